"""Sidecars: files of notes beside a picture, a.jpg.xmp (darktable, digiKam) or a.xmp (Adobe)."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from imgqd.pictures.formats import is_sidecar_name
from imgqd.records import Notes
from imgqd.store import notes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import apsw

SUFFIX = b".xmp"
SUFFIXES = (b".xmp", b".XMP")
QUALIFIED = ", ".join(f"sidecars.{name}" for name in notes.NAMES)
PUT = f"""
INSERT OR REPLACE INTO sidecars(file, {notes.COLUMNS})
VALUES (?, {", ".join("?" for _ in notes.NAMES)})
"""
OF = f"""
SELECT sidecars.file, {QUALIFIED}
FROM files CROSS JOIN sidecars ON sidecars.file = files.id
WHERE files.folder = ? AND files.name = ?
"""
NAMED = """
SELECT id, name FROM files WHERE folder = :folder AND picture IS NOT NULL
    AND (name = :base OR name >= :low AND name < :high)
"""


class Beside:
    """Looks for sidecars beside pictures."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._any = bool(connection.execute("SELECT EXISTS (SELECT 1 FROM sidecars)").get)

    def over(self, folder: int, name: bytes, inside: Notes) -> tuple[int | None, Notes]:
        """The sidecar of the file of that name, a picture, and what is known of it then: what a sidecar
        says goes before what is inside."""
        if self._any:
            for base in dict.fromkeys((name, stem(name))):
                for suffix in SUFFIXES:
                    row = self._connection.execute(OF, (folder, base + suffix)).get
                    if row is not None:
                        return row[0], over(notes.notes(row[1:]), inside)
        return None, inside


def put(connection: apsw.Connection, file: int, said: Notes | None) -> None:
    """Records what the file says that is a sidecar; None where it makes no sense."""
    if said is None:
        connection.execute("DELETE FROM sidecars WHERE file = ?", (file,))
    else:
        connection.execute(PUT, (file, *notes.columns(said)))


def pictures_of(connection: apsw.Connection, folder: int, name: bytes) -> Iterator[int]:
    """The files that show pictures and have the file of that name for a sidecar, if it is one."""
    if is_sidecar_name(name):
        base = name[: -len(SUFFIX)]
        # "/" comes after ".", and is in no name
        bindings = {"folder": folder, "base": base, "low": base + b".", "high": base + b"/"}
        rows: list[Any] = connection.execute(NAMED, bindings).fetchall()
        for id, other in rows:
            if base in (other, stem(other)):
                yield id


def stem(name: bytes) -> bytes:
    head, dot, _ = name.rpartition(b".")
    return head if dot and head else name


def over(said: Notes, inside: Notes) -> Notes:
    """What a sidecar says, and what is inside where that says nothing."""
    values = {field.name: getattr(said, field.name) for field in fields(Notes)}
    given = {name: value for name, value in values.items() if value not in (None, ())}
    if given.get("latitude") is None or given.get("longitude") is None:
        given.pop("latitude", None), given.pop("longitude", None)
    return replace(inside, **given)
