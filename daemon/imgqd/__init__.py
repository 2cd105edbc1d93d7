"""imgqd: the daemon behind imgq."""
