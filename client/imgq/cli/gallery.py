"""`--html` and `--open`: an answer as a page."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from imgq import thumbnails, wire
from imgq.errors import UsageError
from imgq.gallery import Picture, page
from imgq.paths import is_far, socket_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from imgq.cli.options import Asked

# Sharp enough when one of them is enlarged.
_LONGEST = 480


def show_page(title: str, first: wire.Hits, hits: list[wire.Hit], asked: Asked) -> None:
    """Writes the page, prints its path where it is a temporary one, opens it if asked."""
    target = _target(asked.html)
    try:
        write_page(title, first, hits, target)
    except BaseException:
        # Also at Ctrl-C: nobody is told where it is, and what went wrong is told further up.
        if not asked.html:
            target.unlink()
        raise
    if not asked.html:
        sys.stdout.write(f"{target}\n")
    if is_far():
        sys.stderr.write(f"imgq: the page's links name files at {socket_address()}\n")
    if "--open" in asked.flags:
        import webbrowser

        if not webbrowser.open(target.as_uri()):
            sys.stderr.write(f"imgq: no browser could be started; the page is {target}\n")


def write_page(title: str, first: wire.Hits, hits: list[wire.Hit], target: Path) -> None:
    """The gallery of an answer, thumbnails inside. Raises UsageError where it cannot be written."""
    jpegs = thumbnails.fetched(hits, _LONGEST)
    shown = [
        Picture(hit=hit, rank=rank, thumbnail=jpeg)
        for rank, (hit, jpeg) in enumerate(zip(hits, jpegs, strict=True), 1)
    ]
    try:
        target.write_bytes(page(title, first.model, shown).encode("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"cannot write {str(target)!r}: {error.strerror}") from None


def _target(named: str | None) -> Path:
    if named:
        return Path(named).absolute()
    descriptor, path = tempfile.mkstemp(prefix="imgq-", suffix=".html")
    os.close(descriptor)
    return Path(path)
