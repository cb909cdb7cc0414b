"""What must survive a crash in the middle of a run: one database, one module per subject."""
