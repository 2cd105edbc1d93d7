"""Pictures on a terminal: each protocol read back as a terminal reads it, and terminals that are asked."""

from __future__ import annotations

import base64
import os
import re
import termios
from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image

from conftest import Home
from imgq.preview import blocks, graphics, sixel
from imgq.preview.pixels import Box, Canvas, composed, read
from library import library
from terminals import DA1, Terminal

KITTY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
NAME, CELL = b"\x1b[>q", b"\x1b[16t"
PLAIN = b"\x1b[?62;22c"
CELLS = Box(width=6, height=2)

TERMINALS = {
    "kitty": {KITTY: b"\x1b_Gi=31;OK\x1b\\", NAME: b"\x1bP>|kitty(0.30)\x1b\\", DA1: PLAIN},
    "iterm": {NAME: b"\x1bP>|iTerm2 3.5.0\x1b\\", DA1: b"\x1b[?62;4c"},
    "sixel": {CELL: b"\x1b[6;12;6t", DA1: b"\x1b[?63;1;2;4;6c"},
    "blocks": {DA1: PLAIN},
    "silent": {},
}


def ppm(color: tuple[int, int, int], width: int, height: int) -> bytes:
    return b"P6\n%d %d\n255\n" % (width, height) + bytes(color) * (width * height)


@pytest.fixture
def canvas() -> Canvas:
    """Red beside nothing beside a tall blue that is cut, in boxes of 12 x 8."""
    red, blue = read(ppm((220, 30, 30), 12, 6)), read(ppm((40, 60, 220), 2, 20))
    return composed([red, None, blue], Box(width=12, height=8), 2)


def shown(canvas: Canvas) -> Image.Image:
    return Image.frombytes("RGBA", (canvas.width, canvas.height), canvas.rgba)


def test_pictures_stand_in_the_middle_of_their_boxes(canvas: Canvas) -> None:
    image = shown(canvas)
    assert image.size == (40, 8)
    expected = Image.new("RGBA", (40, 8))
    expected.paste((220, 30, 30, 255), (0, 1, 12, 7))
    expected.paste((40, 60, 220, 255), (33, 0, 35, 8))
    assert image.tobytes() == expected.tobytes()


def test_a_png_is_the_canvas(canvas: Canvas) -> None:
    image = Image.open(BytesIO(graphics.png(canvas)))
    assert image.convert("RGBA").tobytes() == canvas.rgba


def test_kitty_is_sent_a_png_in_chunks() -> None:
    noise = Canvas(width=64, height=64, rgba=os.urandom(64 * 64 * 4))
    parts = re.findall(rb"\x1b_G([^;]*);([^\x1b]*)\x1b\\", graphics.kitty(noise, CELLS))
    assert parts[0][0] == b"a=T,f=100,q=2,c=6,r=2,m=1"
    assert [keys for keys, _ in parts[1:]] == [b"m=1"] * (len(parts) - 2) + [b"m=0"]
    assert all(len(data) <= 4096 and len(data) % 4 == 0 for _, data in parts)
    image = Image.open(BytesIO(base64.b64decode(b"".join(data for _, data in parts))))
    assert image.tobytes() == noise.rgba


def test_iterm_is_sent_a_png(canvas: Canvas) -> None:
    keys, data = re.fullmatch(
        rb"\x1b]1337;File=([^:]*):(.*)\x07", graphics.iterm(canvas, CELLS)
    ).groups()  # type: ignore[union-attr]
    png = base64.b64decode(data)
    assert keys == b"inline=1;preserveAspectRatio=0;size=%d;width=6;height=2" % len(png)
    assert Image.open(BytesIO(png)).tobytes() == canvas.rgba


def drawn_by_sixels(data: bytes) -> Image.Image:
    """As a VT340 draws them."""
    width, height, body = re.fullmatch(
        rb'\x1bP0;1;0q"1;1;(\d+);(\d+)(.*)\x1b\\', data, re.DOTALL
    ).groups()  # type: ignore[union-attr]
    image = Image.new("RGBA", (int(width), int(height)))
    palette: dict[int, tuple[int, ...]] = {}
    color, x, band = 0, 0, 0
    for token in re.findall(rb"#[\d;]+|![\d]+.|[?-~]|[$-]", body):
        if token.startswith(b"#"):
            color, *rest = map(int, token[1:].split(b";"))
            if rest:
                palette[color] = (*(share * 255 // 100 for share in rest[1:]), 255)
            continue
        if token in (b"$", b"-"):
            x, band = 0, band + (token == b"-")
            continue
        count = int(token[1:-1]) if token.startswith(b"!") else 1
        for column in range(x, x + count):
            for bit in range(6):
                if (token[-1] - 63) >> bit & 1:
                    image.putpixel((column, band * 6 + bit), palette[color])
        x += count
    return image


def test_sixels_are_the_canvas_but_for_fewer_colors(canvas: Canvas) -> None:
    image, expected = drawn_by_sixels(sixel.encoded(canvas, CELLS)), shown(canvas)
    assert image.getchannel("A").tobytes() == expected.getchannel("A").tobytes()
    for corner in ((0, 1, 12, 7), (33, 0, 35, 8)):
        found, wanted = (each.crop(corner).convert("RGB") for each in (image, expected))
        middle = found.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        assert middle == pytest.approx(wanted.getpixel((0, 0)), abs=18)


@pytest.mark.parametrize("few", [False, True])
def test_blocks_are_two_pixels_each(canvas: Canvas, few: bool) -> None:
    lines = (blocks.few_colors if few else blocks.true_colors)(canvas, CELLS).decode().split("\n")
    assert len(lines) == 4
    plain = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines]
    assert plain[0] == "▄" * 12 + " " * 21 + "▀▀" + " " * 5
    assert plain[1] == "▀" * 12 + " " * 21 + "▀▀" + " " * 5
    red = "5;160" if few else "2;220;30;30"
    assert lines[0].startswith(f"\x1b[0;38;{red}m▄")
    assert lines[1].startswith(f"\x1b[38;{red};48;{red}m▀▀")
    assert all(line.endswith("\x1b[0m") for line in lines)


def test_a_color_is_the_nearest_of_the_cube() -> None:
    cube = [0, 95, 135, 175, 215, 255]
    for value in range(256):
        distances = [abs(value - each) for each in cube]
        assert distances[blocks._level(value)] == min(distances)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with library(tmp_path_factory.mktemp("preview")) as home:
        yield home


@pytest.mark.parametrize("kind", TERMINALS)
def test_a_terminal_is_asked_and_its_modes_are_as_before(home: Home, kind: str) -> None:
    terminal = Terminal(TERMINALS[kind], size=(40, 90, 900, 800))
    before = terminal.modes()
    child = terminal.run("red", "-k", "4", "--preview", environment=home.environment)
    sent = terminal.finished(child)
    assert terminal.modes() == before
    terminal.close()
    graphic = {"kitty": b"\x1b_Ga=T", "iterm": b"\x1b]1337;File=", "sixel": b"\x1bP0;1;0q"}
    assert {name for name, start in graphic.items() if start in sent} == {kind} & set(graphic)
    assert ("▀".encode() in sent) == (kind not in graphic)
    captions = re.sub(rb"\x1b\].*?(\x1b\\|\x07)|\x1b[_P].*?\x1b\\", b"", sent, flags=re.DOTALL)
    assert b"1 1.000 red.jpg" in captions
    assert f"1.000\t{home.pictures}/red.jpg".encode() in captions


def test_three_pictures_a_row_of_ninety_columns(home: Home) -> None:
    terminal = Terminal(TERMINALS["kitty"], size=(40, 90, 900, 800))
    sent = terminal.finished(terminal.run("red", "-k4", "--preview", environment=home.environment))
    terminal.close()
    assert re.findall(rb"a=T,f=100,q=2,c=(\d+),r=(\d+)", sent) == [(b"88", b"10"), (b"28", b"10")]
    first = sent[sent.index(b"\x1b_Ga=T") : sent.rindex(b"\x1b_Ga=T")]
    data = b"".join(re.findall(rb"\x1b_G[^;]*;([^\x1b]*)\x1b\\", first))
    image = Image.open(BytesIO(base64.b64decode(data)))
    assert image.size == (880, 200)
    red, green, blue, opacity = image.getpixel((140, 100))  # type: ignore[misc]
    assert (red > 200, green < 60, blue < 60, opacity) == (True, True, True, 255)


@pytest.mark.parametrize("told", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_escapes_where_they_are_not_wanted(home: Home, told: dict[str, str]) -> None:
    terminal = Terminal(TERMINALS["kitty"])
    child = terminal.run("red", "-k2", "--preview", environment=home.environment, **told)
    sent = terminal.finished(child)
    terminal.close()
    assert b"\x1b" not in sent
    assert b"--preview needs a terminal" in sent
    assert f"1.000\t{home.pictures}/red.jpg\r\n".encode() in sent


def test_a_pipe_has_no_escapes(home: Home) -> None:
    done = home.imgq("red", "-k2", "--preview")
    assert b"\x1b" not in done.stdout + done.stderr
    assert done.stdout.count(b"\n") == 2


def test_lines_on_a_terminal_lead_to_their_files(home: Home) -> None:
    for words in (["pink"], ["pink", "-l"]):
        terminal = Terminal()
        sent = terminal.finished(terminal.run(*words, "-k1", environment=home.environment))
        terminal.close()
        links = re.findall(rb"\x1b]8;;(.*?)\x1b\\(.*?)\x1b]8;;\x1b\\", sent)
        folder = os.fsencode(home.pictures)
        target = (
            b"file://" + os.uname().nodename.encode() + folder + b"/%1B%5B31mred%20alert%07.jpg"
        )
        assert links == [(target, folder + rb"/\x1b[31mred alert\x07.jpg")]


def test_flags_of_modes_are_really_compared() -> None:
    """The comparison above would see an echo that is still off."""
    terminal = Terminal()
    before = terminal.modes()
    modes = termios.tcgetattr(terminal.theirs)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal.theirs, termios.TCSANOW, modes)
    assert terminal.modes() != before
    terminal.close()
