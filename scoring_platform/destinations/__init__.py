"""Systems the platform writes to: one module per CRM and per channel."""
