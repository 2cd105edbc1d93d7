"""Where a picture's pixels go in what a model sees: open_clip's preprocessing, as numbers.

After `open_clip.transform.image_transform` and torchvision's `Resize` and `CenterCrop`, whose
rounding is kept to the letter: for pictures up to LONGEST times as long as they are broad the
result is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

from imgqd.records import PixelSpec

# Of a picture longer than this many times its breadth, a center crop sees the middle alone;
# resizing the whole would take memory without bound (a strip of 10,000 x 1 pixels becomes 2,560,000
# x 256).
LONGEST = 16

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """`seen`, (width, height), in the middle of the upright picture, is resized to `size`; then the
    model's frame is laid on it with its corner at `corner`, (x, y), negative where it juts out.
    """

    seen: Size
    size: Size
    corner: tuple[int, int]


def layout(spec: PixelSpec, width: int, height: int) -> Layout:
    """How an upright picture of width x height pixels goes into the model's frame."""
    frame = (spec.width, spec.height)
    if spec.resize == "squash":
        return Layout((width, height), frame, (0, 0))
    if spec.resize == "longest":
        seen = (width, height)
        size = _scaled(seen, max(width / spec.width, height / spec.height))
    else:
        longest = LONGEST * min(width, height)
        seen = (min(width, longest), min(height, longest))
        size = _shortest(spec, seen)
    return Layout(seen, size, (_corner(size[0], frame[0]), _corner(size[1], frame[1])))


def fitted(width: int, height: int, longest: int) -> Layout:
    """The whole picture, scaled down until neither side is above `longest`."""
    whole = (width, height)
    return Layout(whole, _scaled(whole, max(1.0, width / longest, height / longest)), (0, 0))


def _shortest(spec: PixelSpec, seen: Size) -> Size:
    width, height = seen
    if spec.width != spec.height:
        return _scaled(seen, min(height / spec.height, width / spec.width))
    # torchvision cuts off where open_clip's own resizing rounds.
    if width <= height:
        return spec.width, int(spec.width * height / width)
    return int(spec.height * width / height), spec.height


def _scaled(size: Size, ratio: float) -> Size:
    return max(1, round(size[0] / ratio)), max(1, round(size[1] / ratio))


def _corner(size: int, frame: int) -> int:
    return -((frame - size) // 2) if frame > size else round((size - frame) / 2)
