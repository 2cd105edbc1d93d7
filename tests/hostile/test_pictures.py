"""Whatever lies in a folder: it is found, or in the ledger with a reason, and the daemon goes on."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bombs
import corpus
import psutil
import pytest
from PIL import Image

import one_file
from conftest import SHARED, Home
from imgq import client, wire
from imgqd.pictures import opening
from imgqd.pictures.decode import Decoded, decode
from imgqd.pictures.formats import HEAD_BYTES, is_picture_name, sniff
from imgqd.pictures.handle import Decoder, DecoderHung
from imgqd.pictures.limits import Limits
from imgqd.records import Failure, Metadata, PixelSpec
from pictures import encoded, jpeg, painted

NewHome = Callable[..., Home]
SPEC = PixelSpec(64, 64)
# FAULT 52 and 53: what the daemon may grow by, and by each picture that it knows.
GROWTH, GROWTH_A_PICTURE = 20 << 20, 4096


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(SPEC, 1)
    yield decoder
    decoder.close()


def decoded(decoder: Decoder, path: Path) -> Metadata | Failure:
    with path.open("rb") as file:
        return one_file.decoded(decoder, file.fileno())


def errors(home: Home) -> dict[Path, wire.FileError]:
    pages = client.stream(wire.AskErrors(), 60)
    return {
        Path(os.fsdecode(error.path)): error
        for page in pages
        if isinstance(page, wire.Errors)
        for error in page.errors
    }


def resident(home: Home) -> int:
    assert home.daemon is not None
    return int(psutil.Process(home.daemon.pid).memory_info().rss)


def is_candidate(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return is_picture_name(os.fsencode(path)) or sniff(head) is not None


def settled(home: Home) -> wire.Status:
    """As Home.settle, for a library that takes longer."""
    reply = home.ask(wire.Settle(timeout=150))
    assert isinstance(reply, wire.Settled)
    assert reply.settled, home.log
    return home.status()


@pytest.mark.timeout(300)
def test_fault_52_thousands_of_broken_pictures(new_home: NewHome) -> None:
    home = new_home()
    sound = corpus.seeds()
    for name, data in (*corpus.truncated(sound), *corpus.broken(52, 1000, sound)):
        (home.pictures / name).write_bytes(data)
    if SHARED.is_dir():
        shutil.copytree(SHARED / "hostile", home.pictures / "hostile")
    home.start()
    before = resident(home)
    home.watch()
    first = settled(home)
    files = {path for path in home.pictures.rglob("*") if path.is_file()}
    found, refused = home.indexed(), errors(home)
    assert found.keys() | refused.keys() == {path for path in files if is_candidate(path)}
    assert not found.keys() & refused.keys()
    assert first.index.files + first.index.failed + first.index.ignored == len(files)
    assert all(len(error.reason.split()) > 3 for error in refused.values())
    assert {error.kind for error in refused.values()} <= {"damaged", "unsupported", "too_large"}
    assert home.daemon is not None
    assert (home.daemon.poll(), first.pid, first.counters.restarts) == (None, home.daemon.pid, 0)
    assert resident(home) - before < GROWTH + GROWTH_A_PICTURE * len(files)
    assert home.stop() == 0
    embedded = home.embedded()
    second = settled(home.start())
    assert (second.counters.decoded, second.counters.failed, home.embedded()) == (0, 0, embedded)
    assert errors(home).keys() == refused.keys()


@pytest.mark.timeout(300)
def test_fault_53_bombs(new_home: NewHome) -> None:
    home = new_home().start()
    before = resident(home)
    bombs.write(home.pictures)
    home.watch()
    status = settled(home)
    limits = {
        psutil.Process(each.pid).rlimit(psutil.RLIMIT_AS)
        for each in status.processes
        if each.role == "decoder"
    }
    assert limits == {(1 << 30, 1 << 30)}
    assert {path.name for path in home.indexed()} == {
        "64-megapixels.png", "64-deep-megapixels.png", "64-megapixels.webp", "texts.png",
        "frames.gif", "scans.jpg", "profile.tif",
    }  # fmt: skip
    reasons = {path.name: (error.kind, error.reason) for path, error in errors(home).items()}
    assert reasons.pop("profile.png") == ("too_large", "a note inside the PNG is too large")
    assert reasons == {
        f"{name}.png": ("too_large", f"it has {count}.0 megapixels, above max_megapixels (64)")
        for name, count in {
            "178-megapixels": 178,
            "178-megapixels-of-one-bit": 178,
            "strip": 178,
            "400-megapixels": 400,
        }.items()
    }
    assert status.counters.restarts == 0
    assert resident(home) - before < GROWTH


def test_fault_53_endless_scans_end_at_the_deadline(tmp_path: Path) -> None:
    path = tmp_path / "scans.jpg"
    path.write_bytes(bombs.scans(14000, 1000))
    decoder = Decoder(SPEC, 1, Limits(deadline_s=1))
    with pytest.raises(DecoderHung) as hung:
        decoded(decoder, path)
    assert hung.value.failure == Failure("timeout", "decoding it took longer than 1 s")
    decoder.close()


def test_fault_54_a_phones_200_megapixels_are_seen(tmp_path: Path, decoder: Decoder) -> None:
    path = tmp_path / "phone.jpg"
    path.write_bytes(bombs.jpeg(16320, 12240))
    found = decoded(decoder, path)
    assert isinstance(found, Metadata)
    assert (found.format, found.width, found.height) == ("JPEG", 16320, 12240)
    assert psutil.Process(decoder.pid).memory_info().rss < 150 << 20
    path.write_bytes(bombs.jpeg(16320, 12260))
    refused = decoded(decoder, path)
    assert isinstance(refused, Failure)
    assert refused.kind == "too_large"
    assert "max_megapixels_jpeg (200)" in refused.reason


@pytest.mark.parametrize("megabytes", [450, 700])
def test_what_takes_too_much_is_not_called_damaged(tmp_path: Path, megabytes: int) -> None:
    """Neither where libwebp begins, nor where it decodes."""
    path = tmp_path / "large.webp"
    path.write_bytes(bombs.webp(8000, 8000))
    decoder = Decoder(SPEC, 1, Limits(memory=megabytes << 20))
    found = decoded(decoder, path)
    decoder.close()
    assert found == Failure("too_large", f"decoding it takes more than a decoder's {megabytes} MB")


def test_fault_57_no_program_is_started_for_a_lie(new_home: NewHome) -> None:
    """Pillow would start Ghostscript for PostScript; a decoder neither asks it to nor could."""
    home = new_home()
    programs = home.folder / "programs"
    programs.mkdir()
    for name in ("gs", "inkscape", "rsvg-convert", "pdftoppm", "unzip"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {home.folder}/started\n")
        (programs / name).chmod(0o755)
    home.environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    lies = {
        "eps.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        "bound.jpg": b"\xc5\xd0\xd3\xc6" + bytes(26) + b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "pdf.jpg": b"%PDF-1.7\n1 0 obj\n",
        "svg.jpg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
        "zip.jpg": b"PK\x03\x04" + bytes(40),
        "video.heic": b"\x00\x00\x00\x20ftypisom" + bytes(40),
    }
    for name, data in lies.items():
        (home.pictures / name).write_bytes(data)
    (home.pictures / "tiff.jpg").write_bytes(encoded(painted(1), "TIFF"))
    (home.pictures / "jpeg.HEIC").write_bytes(encoded(painted(2), "JPEG"))
    home.start().watch()
    home.settle()
    assert {path.name for path in home.indexed()} == {"tiff.jpg", "jpeg.HEIC"}
    refused = {path.name: error for path, error in errors(home).items()}
    assert refused.keys() == lies.keys()
    assert {error.kind for error in refused.values()} == {"unsupported"}
    assert all("which is no kind of picture" in error.reason for error in refused.values())
    assert not (home.folder / "started").exists()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_fault_57_strace_sees_no_program(tmp_path: Path, decoder: Decoder) -> None:
    lie = tmp_path / "a.jpg"
    lie.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-p", str(decoder.pid), "-o", str(trace)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        assert tracer.stderr is not None
        if b"attached" not in (said := tracer.stderr.readline()):
            pytest.skip(f"strace may not trace here: {said.decode().strip()}")
        assert isinstance(decoded(decoder, lie), Failure)
        assert isinstance(decoded(decoder, jpeg(tmp_path / "b.jpg")), Metadata)
        decoder.close()
    calls = trace.read_text()
    assert "recvmsg" in calls
    assert "exec" not in calls
    assert "fork" not in calls


# FAULT 58: the outcome of each kind of picture, a table to hold the program to.


def _turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(painted(1), "JPEG", exif=exif)


def _policy() -> dict[str, tuple[bytes, str]]:
    plain, alpha = painted(1), painted(1)
    alpha.putalpha(Image.linear_gradient("L").resize(alpha.size))
    frames: dict[str, Any] = {"save_all": True, "append_images": [painted(2)]}
    return {
        "nothing": (b"", "damaged"),
        "one byte": (b"\xff", "damaged"),
        "zeros": (bytes(1000), "damaged"),
        "CMYK": (encoded(plain.convert("CMYK"), "JPEG"), "JPEG"),
        "CMYK in a TIFF": (encoded(plain.convert("CMYK"), "TIFF"), "TIFF"),
        "16 bits": (encoded(plain.convert("L").convert("I;16"), "PNG"), "PNG"),
        "16 bits in a TIFF": (encoded(plain.convert("L").convert("I;16"), "TIFF"), "TIFF"),
        "floats": (encoded(plain.convert("F"), "TIFF"), "TIFF"),
        "a transparent palette": (encoded(plain.quantize(16), "PNG", transparency=1), "PNG"),
        "an alpha channel": (encoded(alpha, "PNG"), "PNG"),
        "a transparent WebP": (encoded(alpha, "WEBP"), "WEBP"),
        "an animated GIF": (encoded(plain, "GIF", **frames), "GIF"),
        "an animated PNG": (encoded(plain, "PNG", **frames), "PNG"),
        "an animated WebP": (encoded(plain, "WEBP", **frames), "WEBP"),
        "an animated AVIF": (encoded(plain, "AVIF", **frames), "AVIF"),
        **{f"orientation {each}": (_turned(each), "JPEG") for each in range(9)},
    }


def test_fault_58_the_table_of_outcomes(tmp_path: Path, decoder: Decoder) -> None:
    path, outcomes, policy = tmp_path / "a", {}, _policy()
    for name, (data, _) in policy.items():
        path.write_bytes(data)
        found = decoded(decoder, path)
        outcomes[name] = found.format if isinstance(found, Metadata) else found.kind
    assert outcomes == {name: outcome for name, (_, outcome) in policy.items()}


def test_fault_58_half_a_picture_is_no_picture() -> None:
    """At each hundredth of its length. One whose pixels are all there, up to what follows them, is seen."""
    first_frame_ends = {"animated.gif": 30, "animated.png": 30, "two.mpo": 30, "pages.tif": 30}
    # What its sensor saw comes before the preview.
    first_frame_ends["plain.dng"] = 75
    for name, data in corpus.truncated(corpus.seeds()):
        percent, _, kind = name.partition("-")
        found = decode(io.BytesIO(data), SPEC, Limits())
        if isinstance(found, Failure):
            assert found.kind in ("damaged", "unsupported"), (name, found)
        else:
            assert int(percent) >= first_frame_ends.get(kind, 93), name


@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
def test_fault_58_a_missing_decoder_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, format: str
) -> None:
    opening.prepare()
    path = tmp_path / "a"
    path.write_bytes(encoded(painted(1), format))
    monkeypatch.delitem(Image.OPEN, format)
    with path.open("rb") as file:
        found = decode(file, SPEC, Limits())
    assert not isinstance(found, Decoded)
    assert found.kind == "unsupported"
    assert format in found.reason


def test_fault_60_a_huge_file_is_not_read(new_home: NewHome) -> None:
    home = new_home().start()
    sparse = home.pictures / "sparse.jpg"
    with sparse.open("wb") as file:
        file.truncate(50 << 30)
    home.watch()
    status = home.settle()
    assert errors(home)[sparse].kind == "too_large"
    assert "max_megabytes (2,048)" in errors(home)[sparse].reason
    read = [
        psutil.Process(each.pid).io_counters().read_chars
        for each in status.processes
        if each.role == "decoder"
    ]
    assert max(read) < 200 << 20
