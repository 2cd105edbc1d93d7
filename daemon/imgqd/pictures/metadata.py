"""What a picture's EXIF, IPTC and XMP say of it. A broken note is as good as none and costs no picture.

Where they differ, EXIF comes first, then XMP, then IPTC; IPTC before XMP where its digest tells that it was
changed alone (Metadata Working Group, Guidelines for Handling Image Metadata 2.0, 2010, chapter 3).
"""

from __future__ import annotations

from dataclasses import fields, replace

from imgqd.pictures import exif, iptc, xmp
from imgqd.pictures.opening import Opened
from imgqd.records import Metadata, Notes

# What goes together: half of a place, or a time and where it is from, are not mixed.
_GROUPS = (("taken_at", "taken_from"), ("latitude", "longitude"))
_CLOCK = len("2024-05-06T07:08:09")
_FIRST = {name: group[0] for group in _GROUPS for name in group}


def metadata(picture: Opened) -> Metadata:
    """What is known of an opened picture. Never raises for what is in the file."""
    image = picture.image
    others = [xmp.notes(image.info.get("xmp")) or Notes(), iptc.notes(image)]
    if iptc.is_newer(image):
        others.reverse()
    notes = reconciled([exif.notes(image), *others])
    if notes.taken_at is None and (written_at := exif.written_at(image)):
        notes = replace(notes, taken_at=written_at, taken_from="exif")
    return Metadata(picture.format, picture.width, picture.height, notes, picture.orientation)


def reconciled(sources: list[Notes]) -> Notes:
    """Of each thing what the first says that says anything."""
    values = {}
    for field in fields(Notes):
        told_by = _FIRST.get(field.name, field.name)
        teller = next((each for each in sources if getattr(each, told_by) not in (None, ())), None)
        values[field.name] = getattr(teller or Notes(), field.name)
    return replace(Notes(**values), taken_at=_zoned(values["taken_at"], sources))


def _zoned(taken_at: str | None, sources: list[Notes]) -> str | None:
    """With its zone, where another knows it of the same time."""
    if taken_at is None or len(taken_at) > _CLOCK:
        return taken_at
    same = (each.taken_at for each in sources if (each.taken_at or "").startswith(taken_at))
    return max((each for each in same if each), key=len)
