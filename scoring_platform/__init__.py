"""A daily customer-scoring platform: extracts, one profile per customer, scores, segments, CRM write-back and a report."""
