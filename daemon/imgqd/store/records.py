"""What the store tells of its rows: one frozen record a thing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from imgqd.records import FINAL, MOST_ATTEMPTS

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from imgqd.records import Failed, Failure, Metadata, Notes, Stamp

RootState = Literal["online", "offline"]
FileState = Literal["indexed", "pending", "failed", "ignored"]
# "used": it answers. "coming": it takes the place of that one when it has a vector of every picture.
# "kept": it can be asked, too. "left": it is to be forgotten. "going": it is being so, and is nobody's.
Role = Literal["used", "coming", "kept", "left", "going"]
HELD: frozenset[Role] = frozenset({"used", "coming", "kept", "left"})


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells one root from another at the same path: its device, its inode, its file system's
    name and its kind ("ext4", "fuse.sshfs"; empty where the platform does not tell)."""

    device: int
    inode: int
    fsid: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Root:
    """A watched folder; with `mount`, a file system mounted below one, kept like a root and not
    named as one.

    had_entries: it was once seen with an entry in it.
    """

    path: bytes
    identity: Identity
    state: RootState = "online"
    had_entries: bool = False
    mount: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """The model whose vectors are meant; `dim` is their length."""

    id: int
    identity: str
    name: str
    dim: int


@dataclass(frozen=True, slots=True)
class Held:
    """What a model is held for. keeps: whether the one in use is kept when this takes its place."""

    model: Model
    role: Role
    keeps: bool = False


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A failure with its history: times are seconds since the epoch, `decoder` the version that
    failed."""

    failure: Failure
    attempts: int
    first_seen: float
    last_seen: float
    decoder: str

    def is_final(self, decoder: str) -> bool:
        """Whether these bytes are not worth another attempt by that decoder."""
        if self.decoder != decoder or self.failure.kind == "unreadable":
            return False
        return self.failure.kind in FINAL or self.attempts >= MOST_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Row:
    """A known file. state: "pending" shows a picture that is to be embedded (again) by the current
    model, "failed" has a ledger entry, "ignored" is no picture."""

    stamp: Stamp
    trusted: bool
    state: FileState
    ledger: LedgerEntry | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """hash: 16 bytes, XXH3-128 of the file."""

    id: int
    hash: bytes
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Shown:
    """A file that shows a picture; `file` is the cursor of a listing. notes: the picture's own, and over
    them those of the sidecar, another file, where there is one."""

    file: int
    path: bytes
    offline: bool
    stamp: Stamp
    picture: Picture
    notes: Notes
    sidecar: int | None = None


@dataclass(frozen=True, slots=True)
class FileLine:
    """What a long listing tells of a file that shows a picture; `file` is its cursor."""

    file: int
    path: bytes
    offline: bool
    size: int
    mtime_ns: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that came to show another picture than before; `seq` is its place among all such."""

    seq: int
    shown: Shown


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file of the ledger; `file` is the cursor of a listing."""

    file: int
    path: bytes
    ledger: LedgerEntry


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """A file with its picture's embedding: float32, (dim,)."""

    shown: Shown
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """All that is known of one file. shown: where it shows a picture; sidecar: the path of its notes
    beside it; copies: the other paths that show the same picture."""

    path: bytes
    row: Row
    shown: Shown | None
    sidecar: bytes | None
    copies: list[bytes]

    @property
    def picture(self) -> Picture | None:
        return self.shown.picture if self.shown else None


@dataclass(frozen=True, slots=True)
class Tally:
    """Files by what became of them; no file is in two of them.

    files: can be found now; pending: known and to be embedded; failed: all of the ledger;
    offline: show a picture on a root that is away; ignored: no pictures.
    """

    files: int = 0
    pending: int = 0
    failed: int = 0
    offline: int = 0
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class Counts(Tally):
    """The tally of all roots; pictures: those that some file shows, each once."""

    pictures: int = 0


@dataclass(frozen=True, slots=True)
class Renewed:
    """An index that was made anew in place of a damaged one. aside: where that lies, if there was
    anything; roots, pictures: how many it has of them."""

    aside: Path | None
    roots: int
    pictures: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong with the store; files: how many it concerns, where that is known.

    code: "damaged" (the database), "dangling", "orphans", "folders", "failures", "roots" (rows),
    "details", "words" (what filters and words are looked up in), or "vectors".
    """

    code: str
    message: str
    files: int = 0


class Added(NamedTuple):
    """A picture that was embedded, anew or again: float32, (dim,), unit norm."""

    picture: int
    vector: NDArray[np.float32]


class Beside(NamedTuple):
    """The same, by the model of that number, which is not in use."""

    picture: int
    vector: NDArray[np.float32]
    model: int


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit changed in the set of pictures that can be found; no picture is in two of the
    three.

    added: embedded by it, and shown by a file; shown: shown again, their vectors are in the store;
    hidden: no file shows them any more; again: paths that are to be looked at again, for they could
    not be recorded as told (the picture, or a move's source, is unknown by now), or another link of
    the file is gone; rejected: recorded as
    failures because their vector was not of unit norm or not of the model's length; arrived: the number
    of the last picture that arrived with it, None where none did; beside: pictures that a file shows, and
    that were embedded by other models.
    """

    added: list[Added] = field(default_factory=list)
    beside: list[Beside] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    hidden: list[int] = field(default_factory=list)
    again: list[bytes] = field(default_factory=list)
    rejected: list[Failed] = field(default_factory=list)
    arrived: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Imprints:
    """Tiny copies of pictures. ids: int64, (n,); values: uint8, (n, IMPRINT_BYTES), as
    `pictures.sameness` makes them; sizes: int64, (n, 2), width and height of the pictures."""

    ids: NDArray[np.int64]
    values: NDArray[np.uint8]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A run of stored embeddings. ids: int64, (n,); vectors: float32, (n, dim); damaged: pictures
    whose vector is missing or fails its checksum, which are not among `ids`."""

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    damaged: list[int]
