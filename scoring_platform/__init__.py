"""A daily customer-scoring platform.

Extracts, one profile per customer, scores, segments, CRM write-back and a report.
"""
