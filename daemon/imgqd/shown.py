"""Rows of the store as the wire's records show them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imgq import wire
from imgqd.health.check import Finding
from imgqd.store import Arrived, Exported, FailedFile, FileInfo, FileLine, Picture, Shown

if TYPE_CHECKING:
    from imgqd.dupes import Group

# More paths of one picture than these are not told one by one.
MOST_COPIES = 1000
MOST_SKIPPED = 100
MOST_COPIES_BYTES = 4 << 20


def hit(shown: Shown, score: float, query: int = 0) -> wire.Hit:
    return wire.Hit(score=score, query=query, **_fields(shown))


def arrival(arrived: Arrived, score: float | None) -> wire.Arrival:
    return wire.Arrival(seq=arrived.seq, score=score, **_fields(arrived.shown))


def seen(shown: Shown) -> wire.Seen:
    return wire.Seen(**_fields(shown))


def known_file(line: FileLine) -> wire.KnownFile:
    return wire.KnownFile(
        path=line.path,
        hash=hash_text(line.hash),
        size=line.size,
        mtime=mtime(line.mtime_ns),
        offline=line.offline,
    )


def file_error(failed: FailedFile) -> wire.FileError:
    ledger = failed.ledger
    return wire.FileError(
        path=failed.path,
        reason=ledger.failure.reason,
        kind=ledger.failure.kind,
        attempts=ledger.attempts,
        first_seen=utc(ledger.first_seen),
        last_seen=utc(ledger.last_seen),
    )


def duplicates(number: int, group: Group) -> Iterator[wire.Duplicate]:
    """The files of a group, the one to keep first."""
    files = [(group.keeper, 1.0), *((extra.shown, min(extra.alike, 1.0)) for extra in group.extras)]
    for shown, alike in files:
        yield wire.Duplicate(group=number, kind=group.kind, alike=alike, **_fields(shown))


def finding(found: Finding) -> wire.Finding:
    return wire.Finding(**asdict(found))


def info(known: FileInfo) -> dict[str, Any]:
    """The fields of `wire.Info` that the store knows."""
    shown, ledger = known.shown, known.row.ledger
    fields: dict[str, Any] = {"copies": tuple(_told(known.copies)), "sidecar": known.sidecar}
    if shown is not None:
        fields["file"] = seen(shown)
        fields["notes"] = _notes(shown)
    if ledger is not None:
        fields["error"] = file_error(FailedFile(0, known.path, ledger))
    return fields


def vector(exported: Exported) -> wire.Vector:
    return wire.Vector(
        path=exported.shown.path,
        hash=hash_text(exported.shown.picture.hash),
        vector=exported.vector.astype("<f4").tobytes(),
    )


def hash_text(hash: bytes) -> str:
    return f"xxh3:{hash.hex()}"


def utc(seconds: float) -> str:
    """ISO 8601, whole seconds; a time out of any calendar is its nearest end."""
    try:
        moment = datetime.fromtimestamp(int(seconds), UTC)
    except (OverflowError, ValueError, OSError):
        moment = (
            datetime.max.replace(tzinfo=UTC) if seconds > 0 else datetime.min.replace(tzinfo=UTC)
        )
    return f"{moment.isoformat()[:19]}Z"


def mtime(nanoseconds: int) -> str:
    return utc(nanoseconds // 1_000_000_000)


def _fields(shown: Shown) -> dict[str, Any]:
    picture: Picture = shown.picture
    metadata, notes = picture.metadata, shown.notes
    return {
        "path": shown.path,
        "width": metadata.width,
        "height": metadata.height,
        "format": metadata.format,
        "size": shown.stamp.size,
        "mtime": mtime(shown.stamp.mtime_ns),
        "taken_at": notes.taken_at,
        "date_from": notes.taken_from or "file",
        "camera": notes.camera,
        "gps": _place(notes.latitude, notes.longitude),
        "hash": hash_text(picture.hash),
        "offline": shown.offline,
    }


def _notes(shown: Shown) -> wire.Notes:
    notes = shown.notes
    return wire.Notes(
        lens=notes.lens,
        exposure_time=notes.exposure_time,
        f_number=notes.f_number,
        iso=notes.iso,
        focal_length=notes.focal_length,
        title=notes.title,
        description=notes.description,
        keywords=notes.keywords,
        rating=notes.rating,
        orientation=shown.picture.metadata.orientation,
    )


def _told(copies: list[bytes]) -> Iterator[bytes]:
    left = MOST_COPIES_BYTES
    for path in copies[:MOST_COPIES]:
        left -= len(path)
        if left < 0:
            return
        yield path


def _place(latitude: float | None, longitude: float | None) -> wire.Place | None:
    if latitude is None or longitude is None:
        return None
    return wire.Place(lat=latitude, lon=longitude)
