"""Brings the index up to date with the disk: what is out of date, looked at and booked."""
