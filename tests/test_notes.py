"""What EXIF, IPTC and XMP say of a picture, which of them is believed, and what hostile ones cost."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from imgqd.pictures import iptc, xmp
from imgqd.pictures.handle import Decoder
from imgqd.pictures.limits import Limits
from imgqd.pictures.metadata import metadata
from imgqd.pictures.opening import identify, opened, prepare
from imgqd.pictures.told import read_notes
from imgqd.records import Metadata, Notes, PixelSpec
from one_file import decoded
from pictures import encoded, painted

pytestmark = pytest.mark.usefixtures("_decoders")

SPACES = """xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:x="adobe:ns:meta/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" xmlns:exifEX="http://cipa.jp/exif/1.0/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" """


@pytest.fixture(scope="module")
def _decoders() -> None:
    prepare()


def packet(inside: str = "", attributes: str = "", head: str = "") -> bytes:
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{head}<x:xmpmeta {SPACES}>
    <rdf:RDF><rdf:Description rdf:about="" {attributes}>{inside}</rdf:Description></rdf:RDF>
    </x:xmpmeta><?xpacket end="w"?>""".encode()


def listed(name: str, kind: str, *items: str) -> str:
    return f"<{name}><rdf:{kind}>{''.join(items)}</rdf:{kind}></{name}>"


def item(text: str, language: str = "") -> str:
    return f"<rdf:li{language and f' xml:lang={language!r}'}>{text}</rdf:li>"


def of(data: bytes) -> Notes:
    file = io.BytesIO(data)
    with opened(file, identify(file), Limits()) as picture:
        return metadata(picture).notes


def jpeg(exif: Image.Exif | None = None, **options: Any) -> bytes:
    if exif is not None:
        options["exif"] = exif.tobytes()
    return encoded(painted(1, (40, 30)), "JPEG", **options)


def with_exif(main: dict[int, Any], details: dict[int, Any] | None = None) -> Notes:
    exif = Image.Exif()
    exif.update(main)
    exif.get_ifd(ExifTags.IFD.Exif).update(details or {})
    return of(jpeg(exif))


def record(dataset: int, value: bytes, group: int = 2) -> bytes:
    return struct.pack(">BBBH", 0x1C, group, dataset, len(value)) + value


def with_records(records: bytes, digest: bytes | None = None, **options: Any) -> bytes:
    """A JPEG with IPTC records, as Photoshop puts them there."""

    def resource(number: int, data: bytes) -> bytes:
        return b"8BIM" + struct.pack(">HHL", number, 0, len(data)) + data + b"\0" * (len(data) % 2)

    inside = b"Photoshop 3.0\0" + resource(0x0404, records)
    if digest is not None:
        inside += resource(0x0425, digest)
    whole = jpeg(**options)
    return whole[:2] + b"\xff\xed" + struct.pack(">H", len(inside) + 2) + inside + whole[2:]


WHOLE = packet(
    listed("dc:title", "Alt", item("Titel", "de"), item("Title", "x-default"))
    + listed("dc:description", "Alt", item("A\n long  one", "x-default"))
    + listed("dc:subject", "Bag", item("sea"), item(" sky "), item("sea"), item(""))
    + listed("exif:ISOSpeedRatings", "Seq", item("400"))
    + "<exif:DateTimeOriginal>2024-05-06T07:08:09.25+02:00</exif:DateTimeOriginal>"
    + "<exif:GPSLatitude>52,22.5S</exif:GPSLatitude><exif:GPSLongitude>4,53,24W</exif:GPSLongitude>",
    'xmp:Rating="4" tiff:Make="NIKON CORPORATION" tiff:Model="NIKON D90" aux:Lens="50mm f/1.8"'
    ' exif:ExposureTime="1/250" exif:FNumber="28/10" exif:FocalLength="50/1"',
)
SAID = Notes(
    taken_at="2024-05-06T07:08:09+02:00",
    taken_from="xmp",
    camera="NIKON D90",
    lens="50mm f/1.8",
    latitude=-52.375,
    longitude=-4.89,
    title="Title",
    description="A long one",
    keywords=("sea", "sky"),
    rating=4,
    exposure_time=0.004,
    f_number=2.8,
    iso=400,
    focal_length=50.0,
)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_all_that_xmp_says(format: str) -> None:
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {format}")
    options: dict[str, Any] = {"xmp": WHOLE}
    if format == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", WHOLE.decode())
        options = {"pnginfo": info}
    if format == "TIFF":
        options = {"tiffinfo": {700: WHOLE}}
    assert of(encoded(painted(1, (40, 30)), format, **options)) == SAID


@pytest.mark.parametrize(
    "written",
    [
        WHOLE.decode(),
        WHOLE + b"\0" * 100,
        WHOLE.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + WHOLE,
        WHOLE.replace(b"rdf:", b"r:").replace(b":rdf=", b":r="),
    ],
)
def test_xmp_is_the_same_however_it_is_written(written: bytes | str) -> None:
    assert xmp.notes(written) == SAID


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("2024-05-06T07:08:09", "2024-05-06T07:08:09"),
        ("2024-05-06T07:08:09Z", "2024-05-06T07:08:09+00:00"),
        ("2024-05-06T07:08-09:30", "2024-05-06T07:08:00-09:30"),
        (" 2024-05-06 ", "2024-05-06T00:00:00"),
        ("2024-05", "2024-05-01T00:00:00"),
        ("1950", "1950-01-01T00:00:00"),
        ("2024-02-30", None),
        ("0000-00-00T00:00:00", None),
        ("2024-05-06T07:08:09+99:00", None),
        ("2024-05-06T07:08:09+00:00:30", None),
        ("yesterday", None),
        ("", None),
        ("\u0662\u0660\u0662\u0664", None),
    ],
)
def test_dates_of_xmp(written: str, found: str | None) -> None:
    said = xmp.notes(packet(f"<exif:DateTimeOriginal>{written}</exif:DateTimeOriginal>"))
    assert said is not None
    assert (said.taken_at, said.taken_from) == (found, "xmp" if found else None)


@pytest.mark.parametrize(
    "attributes",
    [
        'xmp:Rating="6"', 'xmp:Rating="nan"', 'xmp:Rating="-2"', 'xmp:Rating="many"', 'xmp:Rating=""',
        'exif:ExposureTime="1/0"', 'exif:FNumber="-3"', 'exif:FNumber="inf"', 'exif:FocalLength="1e99"',
        'exif:GPSLatitude="91,0N" exif:GPSLongitude="0,1E"', 'exif:GPSLatitude="52,0N"',
        'exif:GPSLatitude="nan,0N" exif:GPSLongitude="4,0E"', 'exif:GPSLatitude="N" exif:GPSLongitude="E"',
        'exif:GPSLatitude="0,0N" exif:GPSLongitude="0,0E"',
    ],
)  # fmt: skip
def test_values_of_xmp_that_make_no_sense_are_unknown(attributes: str) -> None:
    assert xmp.notes(packet(attributes=attributes)) == Notes()


def test_a_rejected_picture_and_a_rating_in_halves() -> None:
    assert [
        xmp.notes(packet(attributes=f'xmp:Rating="{each}"')) for each in ("-1", "3.5", "0", "5")
    ] == [Notes(rating=-1), Notes(rating=4), Notes(rating=0), Notes(rating=5)]


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"no xml",
        b"<html><body>no</body></html>",
        b"<?xml version='1.0' encoding='martian'?><a/>",
        WHOLE[:-300],
        packet(head=LAUGHS),
        packet(head='<!DOCTYPE x SYSTEM "file:///etc/passwd">'),
        packet("&undeclared;"),
        packet("<a>" * 100 + "</a>" * 100),
        packet("<dc:a>" * 100_000),
        packet() + b" " * (4 << 20) + b"x",
        5,
        None,
        ("a", "b"),
    ],
)
def test_what_is_no_xmp_says_nothing(data: object) -> None:
    assert xmp.notes(data) is None


def test_xmp_without_end_costs_little_and_says_little() -> None:
    began = time.process_time()
    long = "x" * 500_000
    said = xmp.notes(
        packet(
            listed("dc:title", "Alt", item(long))
            + listed("dc:subject", "Bag", *(item(f"{n}") for n in range(20_000)))
            + listed("dc:description", "Alt", item("\x85\u202eabc\u2028d"))
            + "".join(f"<dc:n{n}>1</dc:n{n}>" for n in range(10_000)),
            f'tiff:Model="{long}"',
        )
    )
    assert time.process_time() - began < 10
    assert said is not None
    assert (len(said.title or ""), len(said.camera or ""), len(said.keywords)) == (2000, 120, 100)
    assert said.description == "abc d"


def test_broken_xmp_and_iptc_never_cost_the_picture() -> None:
    whole = with_records(record(5, b"Title") + record(25, b"sea"), xmp=WHOLE)
    dice = random.Random(3)
    end = whole.index(b"\xff\xdb")
    for _ in range(300):
        broken = bytearray(whole)
        for _ in range(dice.randint(1, 20)):
            broken[dice.randrange(20, end)] = dice.randrange(256)
        try:
            file = io.BytesIO(broken)
            with opened(file, identify(file), Limits()) as picture:
                found = metadata(picture)
        except Exception:  # the marks between the parts are broken: that is no picture
            continue
        told = {name: getattr(found.notes, name) for name in Notes.__slots__}
        told["keywords"] = list(told["keywords"])
        assert read_notes(told) == found.notes


def test_all_that_iptc_says() -> None:
    said = of(
        with_records(
            record(5, b"Title")
            + record(120, b"Caf\xe9\rin Rome")
            + record(25, b"sea")
            + record(25, "Zürich".encode())
            + record(55, b"20240506")
            + record(60, b"070809+0200")
        )
    )
    assert said == Notes(
        taken_at="2024-05-06T07:08:09+02:00",
        taken_from="iptc",
        title="Title",
        description="Café in Rome",
        keywords=("sea", "Zürich"),
    )


def test_iptc_says_how_it_is_written() -> None:
    said = of(with_records(record(90, b"\x1b%G", 1) + record(5, b"Z\xc3\xbcrich \xff")))
    assert said.title == "Zürich \ufffd"


@pytest.mark.parametrize(
    ("date", "clock", "taken"),
    [
        (b"20240506", b"", "2024-05-06T00:00:00"),
        (b"20240506", b"070809", "2024-05-06T07:08:09"),
        (b"00000000", b"", None),
        (b"2024", b"", None),
        (b"20240506", b"999999", None),
        (b"\xff" * 8, b"", None),
        (b"", b"", None),
    ],
)
def test_dates_of_iptc(date: bytes, clock: bytes, taken: str | None) -> None:
    records = record(55, date) + (record(60, clock) if clock else b"")
    assert of(with_records(records)).taken_at == taken


def test_records_of_iptc_are_bounded() -> None:
    records = record(5, b"x" * 30_000) + b"".join(record(25, b"%d" % n) for n in range(3000))
    said = of(with_records(records))
    assert (len(said.title or ""), len(said.keywords)) == (2000, 100)
    assert of(with_records(b"\x1c\x02\x05\xff\xff")) == Notes()


def test_exif_comes_first_then_xmp_then_iptc() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "by EXIF"
    exif[ExifTags.Base.Model] = "Holga"
    records = record(5, b"by IPTC") + record(120, b"by IPTC") + record(25, b"iptc")
    said = of(with_records(records, exif=exif, xmp=WHOLE))
    assert (said.description, said.camera) == ("by EXIF", "Holga")
    assert (said.title, said.keywords, said.rating) == ("Title", ("sea", "sky"), 4)
    assert said.taken_from == "xmp"


@pytest.mark.parametrize("is_newer", [False, True])
def test_iptc_that_was_changed_alone_comes_before_xmp(is_newer: bool) -> None:
    records = record(5, b"by IPTC")
    digest = hashlib.md5(records + b"!" * is_newer).digest()
    said = of(with_records(records, digest, xmp=WHOLE))
    assert said.title == ("by IPTC" if is_newer else "Title")
    assert said.keywords == ("sea", "sky")


def test_a_place_and_a_time_are_of_one_source() -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (10.0, 0.0, 0.0)
    said = of(jpeg(exif, xmp=WHOLE))
    assert (said.latitude, said.longitude) == (-52.375, -4.89)


ORIGINAL, OFFSET = ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal


@pytest.mark.parametrize(
    ("offset", "zone"),
    [
        ("+02:00", "+02:00"),
        ("-09:30", "-09:30"),
        ("+99:00", ""),
        ("CEST", ""),
        ("+2:00", ""),
        ("  ", ""),
    ],
)
def test_zone_of_exif(offset: str, zone: str) -> None:
    said = with_exif({}, {ORIGINAL: "2024:05:06 07:08:09", OFFSET: offset})
    assert said.taken_at == f"2024-05-06T07:08:09{zone}"


def test_zone_that_another_knows_of_the_same_time() -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ORIGINAL] = "2024:05:06 07:08:09"
    same = of(jpeg(exif, xmp=WHOLE))
    assert (same.taken_at, same.taken_from) == ("2024-05-06T07:08:09+02:00", "exif")
    exif.get_ifd(ExifTags.IFD.Exif)[ORIGINAL] = "2024:05:06 08:08:09"
    assert of(jpeg(exif, xmp=WHOLE)).taken_at == "2024-05-06T08:08:09"


def test_a_file_may_only_know_when_it_was_written() -> None:
    written = {ExifTags.Base.DateTime: "2024:05:06 07:08:09"}
    said = with_exif(written)
    assert (said.taken_at, said.taken_from) == ("2024-05-06T07:08:09", "exif")
    assert with_exif(written, {ORIGINAL: "2020:01:01 00:00:00"}).taken_at == "2020-01-01T00:00:00"
    exif = Image.Exif()
    exif.update(written)
    assert of(jpeg(exif, xmp=WHOLE)).taken_from == "xmp"


def test_details_may_stand_where_the_rest_does() -> None:
    said = with_exif({ORIGINAL: "2024:05:06 07:08:09", ExifTags.Base.LensModel: "Elmar"})
    assert (said.taken_at, said.lens) == ("2024-05-06T07:08:09", "Elmar")


def test_exposure() -> None:
    said = with_exif({}, {0x829A: 0.004, 0x829D: 2.8, 0x8827: 400, 0x920A: 50.0, 0xA434: "Elmar"})
    assert (said.exposure_time, said.f_number, said.iso, said.focal_length) == (0.004, 2.8, 400, 50)
    assert said.lens == "Elmar"


COMMENT = 0x9286


COMMENTS = [
    (b"ASCII\0\0\0a comment\0\0", "a comment"),
    (b"UNICODE\0" + "Zürich 東京".encode("utf-16-le"), "Zürich 東京"),
    (b"UNICODE\0" + "Zürich 東京 abc".encode("utf-16-be"), "Zürich 東京 abc"),
    (b"UNICODE\0" + "Zürich".encode("utf-16"), "Zürich"),
    (b"JIS\0\0\0\0\0" + "東京".encode("iso2022_jp"), "東京"),
    (b"\0" * 8 + "Zürich".encode(), "Zürich"),
    (b"\0" * 8 + b"Z\xfcrich", "Zürich"),
    (b"ASCII\0\0\0      ", None),
    (b"MARTIAN\0abc", "abc"),
    (b"x", None),
    (b"", None),
    (b"UNICODE\0\xd8", None),
]


@pytest.mark.parametrize(("comment", "said"), COMMENTS)
def test_comments_of_users(comment: bytes, said: str | None) -> None:
    found = with_exif({}, {COMMENT: comment}).description
    assert (found or "").strip("\ufffd") == (said or "")


def test_what_windows_writes() -> None:
    said = with_exif(
        {
            0x9C9B: "Título\0".encode("utf-16-le"),
            0x9C9C: "a comment\0".encode("utf-16-le"),
            0x9C9E: "sea;sky; ;\0".encode("utf-16-le"),
            0x4746: 3,
        }
    )
    assert (said.title, said.description, said.keywords) == ("Título", "a comment", ("sea", "sky"))
    assert said.rating == 3


@pytest.mark.parametrize("value", ["many", 6, (1, 2), 65535])
def test_a_rating_that_is_none(value: Any) -> None:
    assert with_exif({0x4746: value}).rating is None


def test_files_of_real_programs(shared_pictures: Path) -> None:
    def read(name: str) -> Notes:
        return of((shared_pictures / "exif" / name).read_bytes())

    square = read("xmp/BlueSquare.jpg")
    assert square.title == "Blue Square Test File - .jpg"
    assert square.keywords == ("XMP", "Blue Square", "test file", "Photoshop", ".jpg")
    assert (square.taken_at, square.taken_from) == ("2005-09-07T15:07:40-07:00", "xmp")
    song = read("xmp/no_exif.jpg")
    assert (song.title, song.keywords) == ("Der Goalie bin ig", ("tag",))
    phone = read("heic/IMG_5195.HEIC")
    assert phone.taken_at == "2021-04-11T15:47:53-05:00"
    assert (phone.iso, phone.f_number, phone.focal_length) == (32, 1.8, 4.25)
    assert read("exif-org/nikon-e950.jpg").description is None


def test_records_are_read_out_of_tiff_too() -> None:
    records = record(5, b"Title")
    data = encoded(painted(1, (40, 30)), "TIFF", tiffinfo={33723: records})
    file = io.BytesIO(data)
    with opened(file, identify(file), Limits()) as picture:
        assert iptc.notes(picture.image).title == "Title"


def test_a_decoder_reads_the_same_behind_its_barriers(tmp_path: Path) -> None:
    files = [jpeg_of(_commented(comment)) for comment, _ in COMMENTS]
    files += [jpeg(xmp=WHOLE), jpeg(xmp=WHOLE.decode().encode("utf-16"))]
    files += [
        with_records(record(90, b"\x1b%G", 1) + record(5, b"Z\xc3\xbcrich \xff"), bytes(15) + b"1")
    ]
    decoder = Decoder(PixelSpec(16, 16), 1)
    for data in files:
        path = tmp_path / "a.jpg"
        path.write_bytes(data)
        with open(path, "rb") as file:
            seen = decoded(decoder, file.fileno())
        assert isinstance(seen, Metadata)
        assert seen.notes == of(data)
    for sidecar in (WHOLE, b"\xef\xbb\xbf" + WHOLE, WHOLE.decode().encode("utf-16"), b"none"):
        path = tmp_path / "a.xmp"
        path.write_bytes(sidecar)
        with open(path, "rb") as file:
            assert decoder.sidecar(file.fileno()) == xmp.notes(sidecar)
    decoder.close()


def jpeg_of(exif: bytes) -> bytes:
    return encoded(painted(1, (40, 30)), "JPEG", exif=exif)


def _commented(comment: bytes) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[COMMENT] = comment
    return exif.tobytes()
