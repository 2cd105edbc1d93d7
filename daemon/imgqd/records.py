"""The records that cross the daemon's rooms: one frozen record a thing, never parallel lists."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import os

    import numpy as np

FailureKind = Literal["damaged", "unsupported", "too_large", "crashed", "timeout", "unreadable"]

# Faults of the picture itself: final until the file, or the decoder, changes. "crashed" and "timeout"
# become final at the second attempt; "unreadable" is the disk's fault and is tried again.
FINAL: frozenset[FailureKind] = frozenset({"damaged", "unsupported", "too_large"})
LOST: frozenset[FailureKind] = frozenset({"crashed", "timeout"})
MOST_ATTEMPTS = 2

# The version of what a decoder reads beside the model's pixels: pictures of an older one are read again.
METADATA = 1

# Of a picture's tiny copy: pixels of luma, and of either chroma, across and down.
IMPRINT_SIDE, CHROMA_SIDE = 16, 4
IMPRINT_BYTES = IMPRINT_SIDE**2 + 2 * CHROMA_SIDE**2


@dataclass(frozen=True, slots=True)
class Stamp:
    """What `stat` says of a file; two equal stamps mean the same bytes (`touch -r` shows in ctime_ns)."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return cls(
            status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev
        )


def is_regular(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)


@dataclass(frozen=True, slots=True)
class Notes:
    """What is written of a picture in it (EXIF, IPTC, XMP), or in a sidecar beside it.

    taken_at: ISO 8601, as the clock stood where it was taken, with its zone ("+02:00") where that is
    known; taken_from: which of them says so. latitude, longitude: degrees, north and east positive.
    rating: 0 to 5, -1 for rejected. exposure_time: seconds; focal_length: millimeters.
    """

    taken_at: str | None = None
    taken_from: Literal["exif", "iptc", "xmp"] | None = None
    camera: str | None = None
    lens: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    title: str | None = None
    description: str | None = None
    keywords: tuple[str, ...] = ()
    rating: int | None = None
    exposure_time: float | None = None
    f_number: float | None = None
    iso: int | None = None
    focal_length: float | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a decoder reads of a picture beside what the model sees of it.

    width, height: of the upright picture; orientation: EXIF's, how it lies in the file. pixels: a hash of
    all its upright pixels, equal for the same picture in another file; imprint: a tiny copy of it, nearly
    equal for another size or quality (`pictures.sameness`); None where they were not taken.
    """

    format: str
    width: int
    height: int
    notes: Notes = Notes()
    orientation: int = 1
    pixels: bytes | None = None
    imprint: bytes | None = None


@dataclass(frozen=True, slots=True)
class PixelSpec:
    """How a model wants its pixels: open_clip's preprocessing up to, not including, the normalization.

    resize: "shortest" (then a center crop), "longest" (then padded with `fill`) or "squash".
    """

    width: int
    height: int
    resize: Literal["shortest", "longest", "squash"] = "shortest"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    fill: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of one picture: uint8, (height, width, 3), RGB."""
        return self.width * self.height * 3


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a file could not be indexed; `reason` is a sentence for a person."""

    kind: FailureKind
    reason: str


@dataclass(frozen=True, slots=True)
class Precedent:
    """What became of the same bytes before. is_final: whether they are not worth another attempt."""

    failure: Failure
    is_final: bool


# What a commit takes: each brings one path of the index up to date with what was seen of it.


@dataclass(frozen=True, slots=True)
class Indexed:
    """A file shows this picture. `metadata` and `embedding` (float32, (dim,), unit norm) are None where
    the store has the picture already. An untrusted stamp (as young as the look) is looked at again."""

    path: bytes
    stamp: Stamp
    hash: bytes
    trusted: bool = True
    metadata: Metadata | None = None
    embedding: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A file could not be indexed; `hash` where its bytes could be read. tried: whether that is an attempt,
    or only what is known of the same bytes. of_model: whether it is the model that made nothing of it."""

    path: bytes
    stamp: Stamp
    failure: Failure
    hash: bytes | None = None
    tried: bool = True
    of_model: bool = False


@dataclass(frozen=True, slots=True)
class Ignored:
    """A file is no picture, neither by its first bytes nor by its name. notes: what it says, where it is a
    sidecar. trusted: as in `Indexed`."""

    path: bytes
    stamp: Stamp
    notes: Notes | None = None
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Moved:
    """A known file, with an equal stamp, has another path: its row moves, nothing is read. Where its old
    path is by now known as another file, the new one is to be read."""

    source: bytes
    path: bytes
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Gone:
    """A file is no more. A folder that took its name stays."""

    path: bytes


@dataclass(frozen=True, slots=True)
class GoneFolder:
    """A folder is no more, nor is what was under it. A file that took its name stays."""

    path: bytes


@dataclass(frozen=True, slots=True)
class Embedded:
    """A picture was embedded, but its file has moved or gone meanwhile: it is kept for whoever shows
    it next. Or it was embedded by another model than the one in use, whose number is `model`; that it is
    known, and what of it, is the matter of the one in use. embedding: float32, (dim,), unit norm."""

    hash: bytes
    metadata: Metadata
    embedding: np.ndarray
    model: int | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """What is written of a known picture was read again; None where it could not be."""

    hash: bytes
    metadata: Metadata | None


Change = Indexed | Failed | Ignored | Moved | Gone | GoneFolder | Embedded | Noted
