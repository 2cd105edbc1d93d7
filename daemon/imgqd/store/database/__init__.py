"""The database file: its connections, its transactions, its tables."""
