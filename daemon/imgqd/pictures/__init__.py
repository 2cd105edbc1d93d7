"""Pictures: from a file's bytes to a hash, metadata, a thumbnail and a model's pixels.

The daemon's side is `handle`, with `child` and `slab`; `messages`, `limits`, `formats` and `text`
are on both sides; all the rest runs in a decoder, a child process, and only there.
"""
