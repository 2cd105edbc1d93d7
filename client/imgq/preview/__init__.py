"""`--preview`: the pictures of an answer on the terminal itself, in rows, each with its caption."""

from __future__ import annotations

import os

from imgq import render, thumbnails
from imgq.pointing import columns, fitted
from imgq.preview import blocks, graphics, sixel
from imgq.preview.pixels import Box, Canvas, composed, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from imgq.preview.terminal import Terminal
    from imgq.wire import Hit

# Columns that a picture has at least, where there is room for several, and at most.
_LEAST, _MOST = 28, 60
_GAP = 2
_LONGEST = 1024


def drawn(hits: Sequence[Hit], terminal: Terminal) -> Iterator[bytes]:
    """What draws the hits, a row of pictures at a time."""
    across = max(min(terminal.columns // _LEAST, len(hits)), 1)
    wide = max(min(terminal.columns // across - _GAP, _MOST), 1)
    cell = terminal.cell
    high = max(min(round(wide * cell.width * 3 / 4 / cell.height), terminal.rows - 3), 1)
    box = Box(width=wide * cell.width, height=high * cell.height)
    for start in range(0, len(hits), across):
        row = hits[start : start + across]
        pictures = [read(ppm) if ppm else None for ppm in _fetched(row, box)]
        canvas = composed(pictures, box, _GAP * cell.width)
        cells = Box(width=len(row) * (wide + _GAP) - _GAP, height=high)
        yield _encoder(terminal)(canvas, cells) + b"\n"
        captions = (_caption(start + place, hit, wide) for place, hit in enumerate(row, 1))
        yield (b" " * _GAP).join(captions).rstrip() + b"\n"


def _encoder(terminal: Terminal) -> Callable[[Canvas, Box], bytes]:
    match terminal.protocol:
        case "kitty":
            return graphics.kitty
        case "iterm":
            return graphics.iterm
        case "sixel":
            return sixel.encoded
        case _:
            return blocks.true_colors if terminal.true_colors else blocks.few_colors


def _fetched(hits: Sequence[Hit], box: Box) -> list[bytes | None]:
    """A thumbnail a hit that fills its box: a tall picture has another longest side than a wide one."""
    found: dict[int, bytes | None] = {}
    sides = [_longest(hit, box) for hit in hits]
    for side in set(sides):
        places = [place for place, each in enumerate(sides) if each == side]
        pictures = thumbnails.fetched([hits[place] for place in places], side, "ppm")
        found |= zip(places, pictures, strict=True)
    return [found[place] for place in range(len(hits))]


def _longest(hit: Hit, box: Box) -> int:
    side: float = min(box.width, box.height)
    if hit.width and hit.height:
        side = max(hit.width, hit.height) * min(box.width / hit.width, box.height / hit.height)
    return max(16, min(int(side), _LONGEST))


def _caption(rank: int, hit: Hit, wide: int) -> bytes:
    """As wide as its picture; the name leads to the file."""
    head = f"{rank} {hit.score:.3f} "
    name = render.path(os.path.basename(hit.path), True).decode()
    shown = fitted(name, max(wide - len(head), 1))
    space = b" " * (wide - len(head) - columns(shown))
    return head.encode() + render.linked(hit.path, shown.encode()) + space
