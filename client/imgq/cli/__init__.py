"""The command line: `main` is its door, one file a group of commands."""
