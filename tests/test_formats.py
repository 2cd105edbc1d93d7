"""What is taken for a picture, by its bytes and by its name."""

from __future__ import annotations

import pytest
from PIL import Image

from imgqd.pictures.formats import (
    DECODABLE,
    HEAD_BYTES,
    is_picture_name,
    other_kind,
    raws_beside_jpegs,
    sniff,
)
from imgqd.pictures.opening import prepare
from pictures import encoded, painted


@pytest.mark.parametrize("format", DECODABLE)
def test_every_format_is_known_by_its_first_bytes(format: str) -> None:
    prepare()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {format}")
    assert sniff(encoded(painted(1), format)[:HEAD_BYTES]) == format


@pytest.mark.parametrize(
    ("head", "format"),
    [
        (b"\x00\x00\x00\x1cftypheic\0\0\0\0mif1heic", "HEIF"),
        (b"\x00\x00\x00\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\x00\x00\x00\x1cftypmif1\0\0\0\0mif1heic", "HEIF"),
        (b"\x00\x00\x00\x18ftypcrx \0\0\0\1crx isom", "RAW"),
        (b"II*\x00\x10\x00\x00\x00CR\x02\x00", "RAW"),
        (b"FUJIFILMCCD-RAW 0201", "RAW"),
        (b"IIU\x00\x08\x00\x00\x00", "RAW"),
        (b"\xff\x0a\xfa\x7f", "JXL"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JXL"),
        (b"\xff\x4f\xff\x51\x00\x2f", "JPEG2000"),
        (b"MM\x00+\x00\x08\x00\x00", "TIFF"),
        (b"P5\n# by hand\n4 4\n255\n", "PPM"),
    ],
)
def test_signatures(head: bytes, format: str) -> None:
    assert sniff(head) == format


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        b"BM is the beginning of this text, and no picture",
        b"P5 is a level of priority",
        b"\x00\x00\x01\xba\x44\x00\x04\x00\x04\x01",  # an MPEG stream
        b"\x00\x00\x00\x20ftypisom\0\0\2\0isomiso2",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        bytes(64),
    ],
)
def test_what_is_no_picture(head: bytes) -> None:
    assert sniff(head) is None


@pytest.mark.parametrize(
    ("name", "yes"),
    [
        (b"a.jpg", True),
        (b"/x.y/IMG_1.JPEG", True),
        (b"a.b.HeIc", True),
        (b"raw.NEF", True),
        (b"a.jxl", True),
        (b"caf\xe9.webp", True),
        (b"jpg", False),
        (b".jpg", False),
        (b"a.jpg/readme", False),
        (b"a.txt", False),
        (b"a.jpg.part", False),
        (b"", False),
    ],
)
def test_names(name: bytes, yes: bool) -> None:
    assert is_picture_name(name) is yes


def test_what_a_stranger_is_called() -> None:
    assert other_kind(b"%PDF-1.7") == "a PDF document"
    assert other_kind(b"\xef\xbb\xbf\n<HTML><body>") == "a web page"
    assert other_kind(b"\x00\x00\x00\x20ftypisom") == "a video"
    assert other_kind(b"hello") is None


def test_raw_files_with_a_jpeg_beside_them() -> None:
    names = b"a.CR2 a.JPG b.nef c.dng c.jpeg d.jpg e e.raf f.heic f.arw g.x.cr3 g.x.jpg".split()
    assert raws_beside_jpegs(names) == {b"a.CR2", b"c.dng", b"g.x.cr3"}
    assert raws_beside_jpegs([]) == frozenset()
