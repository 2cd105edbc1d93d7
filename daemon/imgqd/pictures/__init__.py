"""Pictures: from a file's bytes to a hash, metadata, a thumbnail and a model's pixels.

The daemon's side is `handle`, with what it imports; the rest runs in a decoder, a child process, and
only there. `messages`, `limits`, `formats`, `text` and `told` are on both sides.
"""
