"""The models that can be asked, and one exchanged for another while it is being asked."""
