"""A first look at a file: is it a picture, and which bytes does it hold."""

from __future__ import annotations

import os

import xxhash

from imgqd.pictures import formats
from imgqd.pictures.limits import Limits
from imgqd.pictures.messages import Look
from imgqd.pictures.reader import size
from imgqd.pictures.refusal import unreadable
from imgqd.records import Failure

_CHUNK = 1 << 20


def look(descriptor: int, name: bytes, limits: Limits) -> Look | Failure:
    """Sniffs an open regular file, and hashes it where its bytes or its `name` are a picture's.

    Its offset is neither used nor moved. A file above `limits.max_bytes` is not read through.
    """
    try:
        head = os.pread(descriptor, formats.HEAD_BYTES, 0)
        if formats.sniff(head) is None and not formats.is_picture_name(name):
            return Look(None)
        if (count := size(descriptor)) > limits.max_bytes:
            reason = (
                f"it has {count:,} bytes, above max_megabytes ({limits.max_bytes // 1_000_000:,})"
            )
            return Failure("too_large", reason)
        return Look(_hash(descriptor, limits.max_bytes))
    except OSError as error:
        return unreadable(error)


def _hash(descriptor: int, most: int) -> bytes:
    hashing = xxhash.xxh3_128()
    at = 0
    # A file that grows while it is read is looked at again by whoever sees it change.
    while at <= most and (chunk := os.pread(descriptor, _CHUNK, at)):
        hashing.update(chunk)
        at += len(chunk)
    return hashing.digest()
