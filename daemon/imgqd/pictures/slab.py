"""Memory that a decoder writes pixels into and the embedder reads them from."""

from __future__ import annotations

import os
import tempfile


def make_slab(size: int) -> int:
    """A descriptor of `size` bytes of memory, without a name in any folder; not inheritable.

    On Linux its size is sealed: a decoder that a picture took over could cut it short otherwise,
    and end the embedder at its next look. Raises OSError where there is no room.
    """
    if hasattr(os, "memfd_create"):
        return _sealed_memory(size)
    descriptor, name = tempfile.mkstemp(prefix="imgq-slab-")
    os.unlink(name)
    os.truncate(descriptor, size)
    return descriptor


def _sealed_memory(size: int) -> int:
    import fcntl

    descriptor = os.memfd_create("imgq-slab", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.truncate(descriptor, size)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
