"""The models: which there are, where their weights lie, and their two towers.

Nothing that loads torch may be imported at the daemon's start.
"""
