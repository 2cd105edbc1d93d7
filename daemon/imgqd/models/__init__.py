"""The models: which there are, where their weights lie, and their two towers.

Only `card` and `presets` may be imported at the daemon's start: all else brings torch with it.
"""
