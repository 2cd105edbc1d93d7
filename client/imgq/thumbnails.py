"""Small pictures of hits, which the daemon draws."""

from __future__ import annotations

from imgq import wire
from imgq.client import stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_AT_ONCE = 200


def fetched(hits: Sequence[wire.Hit], longest: int, form: str = "jpeg") -> list[bytes | None]:
    """One a hit, neither side above `longest` pixels; None where a file shows none any more."""
    found: list[bytes | None] = []
    for start in range(0, len(hits), _AT_ONCE):
        paths = tuple(hit.path for hit in hits[start : start + _AT_ONCE])
        for reply in stream(wire.AskThumbnails(paths=paths, longest=longest, form=form)):
            assert isinstance(reply, wire.Thumbnail)
            found.append(reply.picture)
    return found
