"""Who gives way to whom: indexing to people, to their other programs, and to their questions."""
