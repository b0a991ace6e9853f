"""Which part of a batch to learn from (paper section 3.1)."""
