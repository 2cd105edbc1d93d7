"""The resident vectors, and the ranking of what they find."""
