"""What a file is, by its first bytes and by its name. Pure: nothing is decoded here.

A format has Pillow's name ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000",
"PPM", "ICO"), or "RAW" (a camera's own) or "JXL" (JPEG XL). Short signatures are held against the
bytes behind them, so that a text which begins with "BM" or "P5" is no picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

HEAD_BYTES = 64

DECODABLE = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM", "ICO",
)  # fmt: skip
FORMATS = frozenset((*DECODABLE, "RAW", "JXL"))

_PREFIXES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x0a", "JXL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JXL"),
    (b"FUJIFILMCCD-RAW", "RAW"),  # RAF
    (b"IIRO", "RAW"),  # ORF
    (b"IIRS", "RAW"),
    (b"MMOR", "RAW"),
    (b"IIU\x00", "RAW"),  # RW2
    (b"II\x1a\x00\x00\x00HEAPCCDR", "RAW"),  # CRW
    (b"FOVb", "RAW"),  # X3F
    (b"\x00MRM", "RAW"),  # MRW
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
_PNM = re.compile(rb"P(?:[1-6]\s+[#0-9]|f\s+[#0-9])")
_BMP_HEADERS = frozenset((12, 16, 40, 52, 56, 64, 108, 124))
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))

_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript program"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript program"),
    (b"PK\x03\x04", "a zip archive"),
    (b"8BPS", "a Photoshop document"),
    (b"gimp xcf", "a GIMP document"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML text"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
    (b"\x1a\x45\xdf\xa3", "a video"),
)

_SIDECAR = b".xmp"
_JPEG_EXTENSIONS = frozenset(b"jpg jpeg jpe".split())
_RAW_EXTENSIONS = frozenset(
    (
        b"3fr arw bay cr2 cr3 crw dcr dcs dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf pef "
        b"raf raw rw2 rwl rwz sr2 srf srw x3f"
    ).split()
)
_EXTENSIONS = (
    _JPEG_EXTENSIONS
    | _RAW_EXTENSIONS
    | frozenset(
        (
            b"jfif jif mpo png apng webp gif bmp dib tif tiff "
            b"avif avifs heic heics heif heifs hif jp2 j2k j2c jpc jpf jpx "
            b"pbm pgm ppm pnm pfm ico jxl"
        ).split()
    )
)


def sniff(head: bytes) -> str | None:
    """The format whose signature the first HEAD_BYTES bytes bear, or None."""
    if head[:4] == b"II*\x00" and head[8:10] == b"CR":  # CR2 is a TIFF otherwise
        return "RAW"
    for prefix, name in _PREFIXES:
        if head.startswith(prefix):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if _PNM.match(head):
        return "PPM"
    if _is_icon(head):
        return "ICO"
    return None


def is_picture_name(name: bytes) -> bool:
    """Whether a file of this name or path has a picture's extension, in whatever case."""
    stem, dot, extension = name.rpartition(b"/")[2].rpartition(b".")
    return bool(stem and dot) and extension.lower() in _EXTENSIONS


def is_sidecar_name(name: bytes) -> bool:
    """Whether a file's name is that of a file of notes beside a picture."""
    return len(name) > len(_SIDECAR) and name.lower().endswith(_SIDECAR)


def raws_beside_jpegs(names: Iterable[bytes]) -> frozenset[bytes]:
    """Those of a folder's names that are a camera's raw file and have a JPEG of the same name beside it."""
    parts = [name.rpartition(b".") for name in names]
    jpegs = {stem for stem, _, extension in parts if extension.lower() in _JPEG_EXTENSIONS}
    return frozenset(
        b"".join((stem, dot, extension))
        for stem, dot, extension in parts
        if stem in jpegs and extension.lower() in _RAW_EXTENSIONS
    )


def other_kind(head: bytes) -> str | None:
    """What a file is that bears a picture's name and is none, or None where that does not show."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for prefix, kind in _OTHERS:
        if start.startswith(prefix.lower()):
            return kind
    is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    return "a video" if is_avi or head[4:8] == b"ftyp" else None


def _by_brand(head: bytes) -> str | None:
    """HEIF, AVIF and Canon's CR3 share one container; its brands tell them apart."""
    major = head[8:12]
    if major == b"crx ":
        return "RAW"
    if major in _AVIF_BRANDS:
        return "AVIF"
    if major in _HEIC_BRANDS:
        return "HEIF"
    if major not in (b"mif1", b"msf1"):
        return None
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[at : at + 4] for at in range(16, end, 4)}
    return "AVIF" if brands & _AVIF_BRANDS and not brands & _HEIC_BRANDS else "HEIF"


def _is_icon(head: bytes) -> bool:
    # .NET writes 255 where the format wants 0.
    few = 0 < int.from_bytes(head[4:6], "little") < 256
    return head[:4] == b"\x00\x00\x01\x00" and few and head[9:10] in (b"\x00", b"\xff")
