"""Formats whose decoders come with an extra: JPEG XL and camera raw."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from imgqd.pictures import jxl, raw
from imgqd.pictures.decode import Decoded, decode
from imgqd.pictures.limits import Limits
from imgqd.pictures.opening import prepare
from imgqd.records import Failure, FailureKind, PixelSpec
from pictures import encoded, notes, painted
from raw_file import dng
from test_decode import difference

SPEC = PixelSpec(64, 64)
JXL = pytest.mark.skipif(not jxl.is_installed(), reason="imgq[jxl] is not installed")
RAW = pytest.mark.skipif(not raw.is_installed(), reason="imgq[raw] is not installed")


def found(data: bytes, limits: Limits | None = None) -> Decoded | Failure:
    prepare()
    return decode(io.BytesIO(data), SPEC, limits or Limits())


def shown(data: bytes) -> Image.Image:
    decoded = found(data)
    assert isinstance(decoded, Decoded), decoded
    return Image.frombytes("RGB", (SPEC.width, SPEC.height), decoded.pixels)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jxl, "Decoder", None)
    monkeypatch.setattr(raw, "rawpy", None)
    for data, extra in {
        b"\xff\x0a\xfa\x7f": "imgq[jxl]",
        b"FUJIFILMCCD-RAW 0201": "imgq[raw]",
        dng(painted(1, (64, 48))): "imgq[raw]",
    }.items():
        failure = found(data)
        assert isinstance(failure, Failure)
        assert failure.kind == "unsupported"
        assert f"pip install '{extra}'" in failure.reason


@pytest.mark.parametrize(
    ("header", "size"),
    [
        # Small and square; then each size in 9, 13 and 18 bits; then a ratio.
        (b"\xff\x0a" + (1 | 3 << 1 | 1 << 6).to_bytes(16, "little"), (32, 32)),
        (
            b"\xff\x0a"
            + (0 | 0 << 1 | 99 << 3 | 0 << 12 | 1 << 15 | 1999 << 17).to_bytes(16, "little"),
            (2000, 100),
        ),
        (
            b"\xff\x0a" + (0 | 2 << 1 | 99_999 << 3 | 7 << 21).to_bytes(16, "little"),
            (200_000, 100_000),
        ),
    ],
)
def test_the_header_of_a_jpeg_xl(header: bytes, size: tuple[int, int]) -> None:
    assert jxl.size(header) == size
    box = (len(header) + 8).to_bytes(4, "big") + b"jxlc" + header
    assert jxl.size(b"\0\0\0\x0cJXL \r\n\x87\n" + box) == size


def test_a_damaged_jpeg_xl_has_no_size() -> None:
    for data in (b"", b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\0JXL \r\n\x87\n"):
        with pytest.raises(ValueError, match="it"):
            jxl.size(data)


class Panic(BaseException):
    """As of Rust."""


@pytest.mark.parametrize(
    ("error", "side", "kind", "reason"),
    [
        (RuntimeError, 1000, "damaged", "its JPEG XL data is damaged"),
        (Panic, 1000, "damaged", "its JPEG XL data is damaged"),
        (RuntimeError, 1 << 24, "too_large", "decoding it takes more than a decoder's 1024 MB"),
    ],
)
def test_a_jpeg_xl_that_cannot_be_decoded_says_what_is_known(
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    side: int,
    kind: FailureKind,
    reason: str,
) -> None:
    class Decoder:
        def __init__(self, num_threads: int) -> None:
            pass

        def __call__(self, data: bytes) -> None:
            raise error("generic error")

    monkeypatch.setattr(jxl, "Decoder", Decoder)
    header = b"\xff\x0a" + (0 | 3 << 1 | (side - 1) << 3 | 1 << 33).to_bytes(16, "little")
    assert jxl.size(header) == (side, side)
    # So large that no machine has room for it.
    assert found(header, Limits(max_megapixels=1 << 30)) == Failure(kind, reason)


@JXL
def test_a_jpeg_xl_is_seen() -> None:
    import pillow_jxl  # noqa: F401

    image = painted(1, (400, 300))
    exif = notes(make="Maker").tobytes()
    whole = encoded(image, "JXL", lossless=True, exif=exif)
    assert difference(shown(whole), shown(encoded(image, "PNG"))) < 1
    decoded = found(whole)
    assert isinstance(decoded, Decoded)
    assert (decoded.metadata.format, decoded.metadata.notes.camera) == ("JXL", "Maker")
    refused = found(whole, Limits(max_megapixels=0))
    assert isinstance(refused, Failure)
    assert refused.kind == "too_large"
    for part in (0.1, 0.5, 0.9):
        assert isinstance(found(whole[: int(len(whole) * part)]), Failure)


@RAW
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_raw_preview_is_shown_upright(orientation: int) -> None:
    turns = {
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_270,
        8: Image.Transpose.ROTATE_90,
    }
    lying = painted(2, (600, 450))
    upright = lying.transpose(turns[orientation]) if orientation in turns else lying
    sensor = painted(1, (640, 480))
    expected = shown(encoded(upright, "PNG"))
    assert difference(shown(dng(sensor, orientation, encoded(lying, "JPEG"))), expected) < 3
    if orientation in (6, 8):
        assert difference(shown(dng(sensor, orientation, encoded(upright, "JPEG"))), expected) < 3


@RAW
def test_a_raw_without_a_preview_is_developed() -> None:
    sensor = Image.new("RGB", (640, 480), "black")
    sensor.paste((200, 200, 200), (320, 0, 640, 480))
    stamp = encoded(painted(2, (100, 80)), "JPEG")
    for data in (dng(sensor), dng(sensor, preview=stamp)):
        image = shown(data).convert("L")
        left, right = (image.crop((x, 20, x + 10, 40)).getextrema() for x in (5, 50))
        assert left[1] < 30 < 100 < right[0]
    assert isinstance(found(dng(sensor)[:100_000]), Failure)
    refused = found(dng(sensor), Limits(max_megapixels=0))
    assert isinstance(refused, Failure)
    assert refused.kind == "too_large"
