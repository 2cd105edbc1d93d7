"""The embedder: the image tower in a process of its own, and the daemon's handle on it."""
