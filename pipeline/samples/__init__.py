"""Images: where they are, which can be read, and the table with a row a sample."""
