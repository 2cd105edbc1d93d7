"""The watched folders: what belongs to them, what is in them now, and who tells when that changes."""
