"""What a decoder and its handle say to each other, as maps for the channel.

A picture may have taken the decoder over: `read_…` take nothing from its answers but values of the
right kind and size, and raise Nonsense for the rest.

    configure {spec, slots, limits}                → ready {missing}
    job {job, parts, alarm_s} + a descriptor a part → a message a part as soon as it is done, as its job
                                                      has it or failed {kind, reason}

    look: parts {name}                             → looked {hash or nothing}
    decode: {slot}                                 → decoded {metadata}
    sidecar: {}                                    → noted {notes or nothing}
    thumbnail: {longest, form}                     → drawn {picture}

alarm_s: the seconds for a part until the decoder ends by itself. A part that is answered is done: the
first one that is not is what it is at, whatever it says and does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from imgqd.pictures.formats import FORMATS
from imgqd.pictures.limits import Limits
from imgqd.pictures.text import LONGEST_REASON, one_line
from imgqd.pictures.told import Nonsense, read_notes
from imgqd.records import IMPRINT_BYTES, Failure, FailureKind, Metadata, Notes, PixelSpec

Message = dict[str, Any]

HASH_BYTES = 16
LONGEST_THUMBNAIL = 2048
_BEGINNINGS = {"jpeg": b"\xff\xd8\xff", "ppm": b"P6\n"}
_MOST_PIXELS_A_SIDE = 1 << 31
_KINDS: tuple[str, ...] = get_args(FailureKind)
_METADATA = tuple(field.name for field in fields(Metadata))
_NOTES = tuple(field.name for field in fields(Notes))


@dataclass(frozen=True, slots=True)
class Unseen:
    """An open regular file that is to be looked at. Its name may be a picture's where its bytes are not;
    it may take the longer the larger it is (size: bytes)."""

    descriptor: int
    name: bytes = b""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Undecoded:
    """An open regular file whose picture is to be put into a slot of the slab."""

    descriptor: int
    slot: int


@dataclass(frozen=True, slots=True)
class Look:
    """A first look at a file. `hash`: xxh3-128 over its bytes, 16 bytes in canonical (big-endian)
    order; None where neither its bytes nor its name are a picture's, for others are never read through."""

    hash: bytes | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a decoder is started with."""

    pixels: PixelSpec
    slots: int
    limits: Limits

    @property
    def slab_bytes(self) -> int:
        return self.slots * self.pixels.nbytes


def configure(configuration: Configuration) -> Message:
    return {"job": "configure", **asdict(configuration)}


def read_configuration(message: Message) -> Configuration:
    """Comes from the daemon, and is trusted."""
    return Configuration(
        PixelSpec(**message["pixels"]), message["slots"], Limits(**message["limits"])
    )


def ready(missing: tuple[str, ...]) -> Message:
    return {"answer": "ready", "missing": missing}


def failed(failure: Failure) -> Message:
    return {"answer": "failed", "kind": failure.kind, "reason": failure.reason}


def looked(look: Look) -> Message:
    return {"answer": "looked", "hash": look.hash}


def decoded(metadata: Metadata) -> Message:
    # `asdict` copies what it finds, which takes longer than all else that is done for a message.
    told = {name: getattr(metadata, name) for name in _METADATA}
    return {"answer": "decoded", "metadata": told | {"notes": _said(metadata.notes)}}


def noted(notes: Notes | None) -> Message:
    return {"answer": "noted", "notes": None if notes is None else _said(notes)}


def drawn(picture: bytes) -> Message:
    return {"answer": "drawn", "picture": picture}


def _said(notes: Notes) -> Message:
    return {name: getattr(notes, name) for name in _NOTES}


def read_look(message: Message) -> Look | Failure:
    if message.get("answer") == "failed":
        return _read_failure(message)
    _expect(message, "looked")
    hash = message.get("hash", b"")
    if hash is None or (isinstance(hash, bytes) and len(hash) == HASH_BYTES):
        return Look(hash)
    raise Nonsense("a look that sees nothing")


def read_decoded(message: Message) -> Metadata | Failure:
    if message.get("answer") == "failed":
        return _read_failure(message)
    _expect(message, "decoded")
    told = message.get("metadata")
    if not isinstance(told, dict) or told.get("format") not in FORMATS:
        raise Nonsense("metadata of no format")
    return Metadata(
        format=told["format"],
        width=_side(told.get("width")),
        height=_side(told.get("height")),
        notes=read_notes(told.get("notes")),
        orientation=_orientation(told.get("orientation")),
        pixels=_bytes(told.get("pixels"), HASH_BYTES),
        imprint=_bytes(told.get("imprint"), IMPRINT_BYTES),
    )


def read_noted(message: Message) -> Notes | Failure | None:
    if message.get("answer") == "failed":
        return _read_failure(message)
    _expect(message, "noted")
    told = message.get("notes")
    return None if told is None else read_notes(told)


def read_drawn(message: Message, form: str = "jpeg") -> bytes | Failure:
    if message.get("answer") == "failed":
        return _read_failure(message)
    _expect(message, "drawn")
    picture = message.get("picture")
    if not isinstance(picture, bytes) or not picture.startswith(_BEGINNINGS[form]):
        raise Nonsense(f"a thumbnail that is no {form}")
    return picture


def read_ready(message: Message) -> tuple[str, ...]:
    """The barriers that are missing; comes before any picture does, and is trusted."""
    _expect(message, "ready")
    return tuple(message["missing"])


def _read_failure(message: Message) -> Failure:
    kind, reason = message.get("kind"), message.get("reason")
    if kind not in _KINDS or not isinstance(reason, str):
        raise Nonsense("a failure of no kind")
    return Failure(kind, one_line(reason, LONGEST_REASON))


def _expect(message: Message, answer: str) -> None:
    if message.get("answer") != answer:
        raise Nonsense(f"no answer to this: {str(message.get('answer'))[:40]!r}")


def _side(value: object) -> int:
    if type(value) is not int or not 0 < value < _MOST_PIXELS_A_SIDE:
        raise Nonsense("a picture of no size")
    return value


def _orientation(value: object) -> int:
    if type(value) is not int or value not in range(1, 9):
        raise Nonsense("a picture that lies in no way")
    return value


def _bytes(value: object, count: int) -> bytes | None:
    if value is not None and not (isinstance(value, bytes) and len(value) == count):
        raise Nonsense("a hash or a copy that is none")
    return value
