"""Files of weights: safetensors alone, and only such as fit their architecture."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from imgq.errors import Refused, UsageError
from imgqd.models.card import Card
from imgqd.models.presets import BUILTIN

PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
# What torch.save writes: a zip file, or a pickle; protocols 2 to 5 begin with these bytes.
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_CHUNK = 4 << 20

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Misfit:
    """How a file differs from what an architecture needs; each list names tensors."""

    missing: list[str]
    unknown: list[str]
    reshaped: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unknown or self.reshaped)

    def __str__(self) -> str:
        said = (
            _counted(self.missing, "missing"),
            _counted(self.unknown, "unknown"),
            _counted(self.reshaped, "of another shape"),
        )
        return ", ".join(filter(None, said))


def require_safetensors(path: Path, architecture: str) -> None:
    """Raises UsageError where there is no file, Refused where it is a pickle or not sound."""
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as error:
        raise UsageError(f"cannot read the weights {str(path)!r}: {error.strerror}") from None
    if start.startswith(_PICKLE_STARTS) or path.suffix in PICKLED:
        raise Refused(
            f"{path} is a pickle, which can run any code when it is loaded; imgq takes safetensors",
            f"if you trust it, convert it: {_conversion(path, architecture)}",
        )
    shapes(path)


def shapes(path: str | os.PathLike[str]) -> Shapes:
    """The names and shapes of a file's tensors, read from its header alone. Raises Refused."""
    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise Refused(f"{path} is no sound safetensors file: {error}") from None


def digest(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_own(card: Card, found: str | None = None) -> None:
    """Raises Refused where the card's weights are not, byte for byte, those that it was written for.

    found: their SHA-256, where that is known already.
    """
    if (found or digest(card.weights)) != card.sha256:
        raise Refused(
            f"the weights of {card.name} are not those that it came with: the SHA-256 of "
            f"{card.weights} is another",
            _replacement(card),
        )


def bring(source: Path, folder: Path, stem: str) -> tuple[Path, str]:
    """Copies a file into the models folder; returns where it is now, and its SHA-256.

    The name holds the digest, so that a card never points at other weights than its own.
    """
    beside = folder / f".{stem}.{os.getpid()}"
    try:
        total = _copy(source, beside)
        place = folder / f"{stem}-{total[:16]}.safetensors"
        beside.replace(place)
    except OSError as error:
        raise Refused(f"cannot copy {source} into {folder}: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)
    return place, total


def keys_of(tower: str, names: Iterable[str]) -> dict[str, str]:
    """The names that a tower's own tensors have in a file: own name to name in the file.

    tower: "visual" or "text". open_clip's CLIP has the text tower's tensors at the root, its other
    models have them under "text.".
    """
    names = list(names)
    own = {name.removeprefix(f"{tower}."): name for name in names if name.startswith(f"{tower}.")}
    if own or tower != "text":
        return own
    return {name: name for name in names if not name.startswith(("visual.", "logit_"))}


def misfit(needed: Mapping[str, tuple[int, ...]], there: Mapping[str, tuple[int, ...]]) -> Misfit:
    """What differs between the tensors a tower needs and a file's, both by the tower's names."""
    return Misfit(
        # Counts of batches seen are for training; files leave them out.
        missing=[n for n in needed if n not in there and not n.endswith("num_batches_tracked")],
        unknown=[n for n in there if n not in needed and not n.endswith("position_ids")],
        reshaped=[n for n in needed if n in there and needed[n] != there[n]],
    )


def _copy(source: Path, place: Path) -> str:
    total = hashlib.sha256()
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(source, "rb") as reading, open(descriptor, "wb") as writing:
        while chunk := reading.read(_CHUNK):
            total.update(chunk)
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    return total.hexdigest()


def _replacement(card: Card) -> str:
    """What to do about weights that were changed."""
    if card.name == BUILTIN:
        return "`pip install --force-reinstall --no-deps imgq` brings them back"
    # Of the hub's cache the card has a link; what that points at would be taken for a download.
    return (
        f"remove {os.path.realpath(card.weights)}, and have them anew: `imgq model pull {card.name}`, "
        f"or `imgq model add {card.name} --weights FILE` where they were brought"
    )


def _conversion(path: Path, architecture: str) -> str:
    """A command that makes safetensors of a pickle, by open_clip's own way of reading it."""
    model = f'open_clip.create_model("{architecture}", pretrained="{path}")'
    saved = f's.save_model({model}, "weights.safetensors")'
    return f"python -c 'import open_clip, safetensors.torch as s; {saved}'"


def _counted(names: list[str], kind: str) -> str:
    some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} {kind} ({some})" if names else ""
