"""What a model sees of a picture is what open_clip's own preprocessing would show it."""

from __future__ import annotations

import errno
import io
import random
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat, PngImagePlugin

from imgqd.pictures.decode import Decoded, decode
from imgqd.pictures.geometry import layout
from imgqd.pictures.jpeg2000 import skippable
from imgqd.pictures.limits import Limits
from imgqd.pictures.opening import prepare
from imgqd.records import Failure, PixelSpec
from pictures import encoded, jpeg, painted, png, write

pytestmark = pytest.mark.usefixtures("_decoders")
SQUARE = PixelSpec(64, 64)
SPECS = [
    PixelSpec(64, 64),
    PixelSpec(65, 65, "shortest", "bilinear"),
    PixelSpec(48, 80, "shortest", "bilinear"),
    PixelSpec(64, 64, "longest", "bicubic", 127),
    PixelSpec(80, 48, "longest", "bilinear"),
    PixelSpec(64, 64, "squash"),
    PixelSpec(80, 48, "squash", "bilinear"),
]


@pytest.fixture(scope="module")
def _decoders() -> None:
    prepare()


def seen(data: bytes, spec: PixelSpec = SQUARE, limits: Limits | None = None) -> Image.Image:
    found = decode(io.BytesIO(data), spec, limits or Limits())
    assert isinstance(found, Decoded), found
    assert len(found.pixels) == spec.nbytes
    return Image.frombytes("RGB", (spec.width, spec.height), found.pixels)


def refused(data: bytes, limits: Limits | None = None) -> Failure:
    found = decode(io.BytesIO(data), SQUARE, limits or Limits())
    assert isinstance(found, Failure)
    return found


def by_open_clip(image: Image.Image, spec: PixelSpec) -> Image.Image:
    """open_clip's own transform of an upright picture, without tensor and normalization."""
    transform = pytest.importorskip("open_clip.transform").image_transform(
        (spec.height, spec.width),
        is_train=False,
        resize_mode=spec.resize,
        interpolation=spec.interpolation,
        fill_color=spec.fill,
    )
    for step in transform.transforms[:-2]:
        image = step(image)
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two RGB pictures' values, 0 to 255."""
    assert one.size == other.size
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_pixels_equal_open_clips_to_the_bit(spec: PixelSpec) -> None:
    dice = random.Random(str(spec))
    for seed in range(25):
        image = painted(seed, (dice.randint(25, 400), dice.randint(25, 400)))
        theirs = by_open_clip(image, spec)
        assert seen(encoded(image, "PNG"), spec).tobytes() == theirs.tobytes(), image.size


def test_the_layout_is_open_clips_for_any_size() -> None:
    dice = random.Random(1)
    for _ in range(300):
        spec = dice.choice(SPECS)
        image = Image.new("L", (dice.randint(190, 3000), dice.randint(190, 3000)), 255)
        plan = layout(spec, *image.size)
        width, height = plan.size
        left, top = plan.corner
        # Where the picture ends in the frame is where white ends in theirs.
        frame = (spec.width, spec.height)
        ours = (max(0, -left), max(0, -top), *map(min, frame, (width - left, height - top)))
        edge = PixelSpec(*frame, spec.resize, spec.interpolation)
        assert by_open_clip(image, edge).getbbox() == ours, (spec, image.size)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "RGBX", "CMYK"])
def test_every_mode_is_seen_as_by_open_clips_loader(mode: str) -> None:
    image = painted(3, (150, 100))
    if "A" in mode:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    image = image.convert(mode)
    # The first format that keeps the mode as it is.
    format = "TIFF" if mode in ("RGBX", "CMYK") else "PNG"
    ours = seen(encoded(image, format))
    assert difference(ours, by_open_clip(image.convert("RGB"), SQUARE)) < 0.5


@pytest.mark.parametrize(
    ("mode", "top"),
    [("I;16", 65535), ("I", 200), ("I", 65535), ("I", 9_000_000), ("F", 1), ("F", 200), ("F", 5e5)],
)
def test_deep_gray_is_scaled_not_clipped(mode: str, top: float) -> None:
    ramp = Image.linear_gradient("L").resize((256, 256)).convert("F")
    deep = ramp.point(lambda value: value * (top / 255) + 0)
    image = deep if mode == "F" else deep.convert("I")
    if mode == "I;16":
        image = image.convert("I;16")
    values = seen(encoded(image, "TIFF")).convert("L")
    expected = 255 if top != 200 else 200
    assert values.getpixel((32, 2)) < 12  # type: ignore[operator]
    assert values.getpixel((32, 32)) == pytest.approx(expected / 2, abs=4)
    assert values.getpixel((32, 62)) > expected - 12  # type: ignore[operator]


@pytest.mark.parametrize("size", [(500, 375), (1400, 933), (3000, 4000)])
@pytest.mark.parametrize("spec", SPECS[:1] + SPECS[3:6:2], ids=str)
def test_a_jpeg_is_decoded_smaller_and_looks_the_same(
    tmp_path: Path, size: tuple[int, int], spec: PixelSpec
) -> None:
    path = jpeg(tmp_path / "a.jpg", 7, size)
    theirs = by_open_clip(Image.open(path), spec)
    assert difference(seen(path.read_bytes(), spec), theirs) < 1.0


@pytest.mark.parametrize(
    ("size", "options", "skipped"),
    [
        ((1024, 768), {}, 2),
        ((2007, 1503), {"no_jp2": True}, 3),
        ((2002, 1500), {"tile_size": (256, 256)}, 2),
        ((2000, 1500), {"num_resolutions": 2}, 1),
        ((2000, 1500), {"num_resolutions": 1}, 0),
        ((300, 200), {}, 0),
    ],
)
def test_a_jpeg_2000_is_decoded_smaller_and_looks_the_same(
    size: tuple[int, int], options: dict[str, Any], skipped: int
) -> None:
    data = encoded(painted(1, size), "JPEG2000", **options)
    assert skippable(io.BytesIO(data), size, min(size) / 128) == skipped
    assert difference(seen(data), by_open_clip(painted(1, size), SQUARE)) < 1.0


def test_a_jpeg_2000_of_an_uncommon_kind_is_decoded_whole() -> None:
    data = bytearray(encoded(painted(1, (1024, 768)), "JPEG2000", no_jp2=True))

    def skipped(changed: bytearray) -> int:
        return skippable(io.BytesIO(changed), (1024, 768), 6)

    assert skipped(data) == 2
    coding = data.index(b"\xff\x52")
    assert skipped(data[: coding + 4]) == 0
    assert skipped(data[:coding] + b"\xff\x53\x00\x03\x00" + data[coding:]) == 0
    data[19] = 1  # the picture begins beside the origin of its grid
    assert skipped(data) == 0


def test_photographs_look_as_by_open_clip(shared_pictures: Path) -> None:
    spec = PixelSpec(256, 256)
    for path in sorted((shared_pictures / "photos").iterdir()):
        upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        ours = seen(path.read_bytes(), spec)
        assert difference(ours, by_open_clip(upright, spec)) < 1.0, path.name


@pytest.mark.parametrize("orientation", [0, *range(1, 9), 9])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("size", [(301, 200), (200, 301)])
def test_it_is_turned_upright(
    tmp_path: Path, orientation: int, suffix: str, size: tuple[int, int]
) -> None:
    kept: dict[str, dict[str, Any]] = {"webp": {"lossless": True}, "jpg": {"quality": 95}}
    options = kept.get(suffix, {})
    path = write(tmp_path / f"a.{suffix}", painted(4, size), orientation=orientation, **options)
    for spec in (PixelSpec(64, 64), PixelSpec(65, 65, "longest")):
        theirs = by_open_clip(painted(4, size), spec)
        assert difference(seen(path.read_bytes(), spec), theirs) < 1.5


def test_real_turned_pictures_are_one_picture(shared_pictures: Path) -> None:
    for kind in ("Landscape", "Portrait"):
        first = seen((shared_pictures / "orientation" / f"{kind}_1.jpg").read_bytes())
        for number in range(9):
            path = shared_pictures / "orientation" / f"{kind}_{number}.jpg"
            assert difference(seen(path.read_bytes()), first) < 3, path.name


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "MPO"])
def test_only_the_first_frame_is_seen(format: str) -> None:
    frames = [painted(look, (120, 80)) for look in ("red", "green", "blue")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    assert difference(seen(data), painted("red", (64, 64))) < 4


def test_a_phones_mpo_is_a_jpeg() -> None:
    frames = [painted(look, (1200, 800)) for look in (1, 2)]
    data = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    found = decode(io.BytesIO(data), SQUARE, Limits())
    assert isinstance(found, Decoded)
    assert found.metadata.format == "JPEG"
    assert (found.metadata.width, found.metadata.height) == (1200, 800)


@pytest.mark.parametrize("size", [(1, 5000), (30000, 1), (1, 1), (9000, 20)])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_strips_and_dots_fit_too(size: tuple[int, int], spec: PixelSpec) -> None:
    red = seen(encoded(painted("red", size), "PNG"), spec).getchannel("R")
    assert red.getextrema()[1] == 255


def test_a_strip_takes_no_more_memory_than_others() -> None:
    for spec in SPECS:
        for size in ((60_000_000, 1), (1, 60_000_000)):
            width, height = layout(spec, *size).size
            assert width * height <= 16 * 80 * 80, (spec, size)


def test_a_long_strip_shows_its_middle() -> None:
    strip = Image.new("RGB", (4001, 10), "red")
    strip.paste((0, 0, 255), (1990, 0, 2011, 10))
    assert difference(seen(encoded(strip, "PNG")), painted("blue", (64, 64))) < 1


def _png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size, and holds next to nothing."""
    whole = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    whole[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    whole[29:33] = zlib.crc32(bytes(whole[12:29])).to_bytes(4, "big")
    return bytes(whole)


@pytest.mark.parametrize("size", [(8001, 8001), (178_000_000, 1), (65500, 65500)])
def test_too_many_pixels_name_the_setting(size: tuple[int, int]) -> None:
    failure = refused(_png_of(*size))
    assert failure.kind == "too_large"
    assert f"{size[0] * size[1] / 1e6:.1f} megapixels" in failure.reason
    assert "max_megapixels (64)" in failure.reason


def test_a_picture_inside_a_picture_has_the_same_limits() -> None:
    inner = _png_of(8001, 8001)
    entry = struct.pack("<4B2H2I", 0, 0, 0, 0, 1, 32, len(inner), 22)
    failure = refused(struct.pack("<3H", 0, 1, 1) + entry + inner)
    assert failure.reason == "it has 64.0 megapixels, above max_megapixels (64)"


def test_a_note_that_swells_is_refused() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("swelling", "x" * 5_000_000, zip=True)
    data = encoded(painted(1), "PNG", pnginfo=notes)
    assert len(data) < 100_000
    assert refused(data) == Failure("too_large", "a note inside the PNG is too large")


def test_jpegs_have_a_limit_of_their_own() -> None:
    data = encoded(painted(1, (2000, 1600)), "JPEG")
    assert seen(data, limits=Limits(max_megapixels=1))
    failure = refused(data, Limits(max_megapixels_jpeg=3))
    assert failure.reason == "it has 3.2 megapixels, above max_megapixels_jpeg (3)"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "JPEG2000", "PPM"])
def test_half_a_picture_is_none(format: str) -> None:
    data = encoded(painted(2), format)
    for part in (0.02, 0.3, 0.6, 0.95):
        failure = refused(data[: int(len(data) * part)])
        assert failure.kind == "damaged", (part, failure)
        assert "\n" not in failure.reason
    if format == "WEBP":
        assert refused(data[: len(data) // 2]).reason == "its WEBP data is damaged"
    if format in ("JPEG", "PNG"):
        assert refused(data[: len(data) // 2]).reason == "the file ends before the picture does"


def test_pixels_that_do_not_hold_together_are_no_picture() -> None:
    """The beginning of another PNG, written over this one: every piece is there, and the sums are wrong."""
    one, other = (bytearray(encoded(painted(seed), "PNG", compress_level=0)) for seed in (1, 2))
    one[:20_000] = other[:20_000]
    assert refused(bytes(one)).kind == "damaged"


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", "damaged", "empty"),
        (bytes(500), "damaged", "zeros"),
        (b"no picture at all", "damaged", "not those of any picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported", "PostScript"),
        (b"%PDF-1.7\n", "unsupported", "PDF"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported", "SVG"),
        (b"PK\x03\x04", "unsupported", "zip"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "damaged", "PNG"),
    ],
)
def test_reasons(monkeypatch: pytest.MonkeyPatch, data: bytes, kind: str, words: str) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    failure = refused(data)
    assert failure.kind == kind
    assert words in failure.reason


def test_camera_raw_that_looks_like_a_tiff_is_no_thumbnail(tmp_path: Path) -> None:
    dng = write(tmp_path / "a.tif", painted(1), tiffinfo={50706: b"\x01\x04\x00\x00"})
    failure = refused(dng.read_bytes())
    assert failure.kind == "unsupported"
    assert "camera raw" in failure.reason


def test_a_disk_that_cannot_be_read_is_not_the_pictures_fault() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 1000:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(min(size or 0, 500))

    found = decode(Failing(encoded(painted(1), "JPEG")), SQUARE, Limits())
    assert isinstance(found, Failure)
    assert found.kind == "unreadable"
    assert "Input/output error" in found.reason


def test_damage_of_every_kind_is_a_sentence(tmp_path: Path) -> None:
    dice = random.Random(11)
    for format in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "ICO", "PPM"):
        whole = encoded(painted(1, (60, 40)), format)
        for _ in range(60):
            broken = bytearray(whole)
            for _ in range(dice.randint(1, 12)):
                broken[dice.randrange(len(broken))] = dice.randrange(256)
            found = decode(io.BytesIO(bytes(broken)), SQUARE, Limits())
            if isinstance(found, Failure):
                assert found.kind in ("damaged", "unsupported", "too_large"), found
                assert 10 < len(found.reason) <= 300


def test_the_same_file_gives_the_same_pixels(tmp_path: Path) -> None:
    data = png(tmp_path / "a.png", 1).read_bytes()
    assert seen(data).tobytes() == seen(data).tobytes()


def test_a_heif_whose_header_lies_about_its_size_is_seen_as_it_is() -> None:
    data = bytearray(encoded(painted(1, (48, 36)), "HEIF"))
    height = data.index(b"clap") + 12
    assert data[height : height + 4] == (36).to_bytes(4, "big")
    data[height : height + 4] = (65316).to_bytes(4, "big")
    found = decode(io.BytesIO(bytes(data)), SQUARE, Limits())
    assert isinstance(found, Decoded)
    # The picture and what fills its last block.
    assert (found.metadata.width, found.metadata.height) == (48, 64)


def test_a_jpeg_2000_that_ends_before_its_pixels_is_not_black() -> None:
    for options in ({}, {"no_jp2": True}):
        data = encoded(painted(1), "JPEG2000", **options)
        assert refused(data[: data.index(b"\xff\x90") + 2]).kind == "damaged"
