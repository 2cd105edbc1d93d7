"""`--html` and `--open`: an answer as a page."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from imgq import wire
from imgq.client import stream
from imgq.errors import UsageError
from imgq.gallery import Picture, page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from imgq.cli.options import Asked

_AT_ONCE = 200
# Sharp enough when one of them is enlarged.
_LONGEST = 480


def show(title: str, first: wire.Hits, hits: list[wire.Hit], asked: Asked) -> None:
    """Writes the page, prints its path where it is a temporary one, opens it if asked."""
    target = _target(asked.html)
    write_page(title, first, hits, target)
    if not asked.html:
        sys.stdout.write(f"{target}\n")
    if "--open" in asked.flags:
        import webbrowser

        webbrowser.open(target.as_uri())


def write_page(title: str, first: wire.Hits, hits: list[wire.Hit], target: Path) -> None:
    """The gallery of an answer, thumbnails inside. Raises UsageError where it cannot be written."""
    shown = [
        Picture(hit=hit, rank=rank, thumbnail=jpeg)
        for rank, (hit, jpeg) in enumerate(zip(hits, _thumbnails(hits), strict=True), 1)
    ]
    try:
        target.write_bytes(page(title, first.model, shown).encode("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"cannot write {str(target)!r}: {error.strerror}") from None


def _thumbnails(hits: list[wire.Hit]) -> list[bytes | None]:
    found: list[bytes | None] = []
    for start in range(0, len(hits), _AT_ONCE):
        paths = tuple(hit.path for hit in hits[start : start + _AT_ONCE])
        for reply in stream(wire.AskThumbnails(paths=paths, longest=_LONGEST)):
            assert isinstance(reply, wire.Thumbnail)
            found.append(reply.jpeg)
    return found


def _target(named: str | None) -> Path:
    if named:
        return Path(named).absolute()
    descriptor, path = tempfile.mkstemp(prefix="imgq-", suffix=".html")
    os.close(descriptor)
    return Path(path)
