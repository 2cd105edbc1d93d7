"""A batch of changes, as one transaction."""
