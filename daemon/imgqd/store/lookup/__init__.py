"""What filters and words are looked up in, derived of the rows, and how."""
