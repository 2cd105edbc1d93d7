"""What a terminal can show: asked of the terminal itself, for its name may lie.

It is asked whether it knows kitty's graphics, what it is called (XTVERSION), how large a cell is
(XTWINOPS 16), and last for its attributes (DA1), which every terminal answers: what it has not answered
by then, it does not know.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import termios
from time import monotonic

from imgq.preview.pixels import Box
from imgq.record import Record, boolean, choice, integer, record

# A terminal at the other end of the world has had time to answer.
PATIENCE_S = 0.5
_QUESTIONS = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[>q\x1b[16t\x1b[c"
_ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")
_CELL = re.compile(rb"\x1b\[6;(\d+);(\d+)t")
# Where it does not tell: about what terminals have.
_USUAL = Box(width=10, height=20)
_HALVES = Box(width=1, height=2)


class Terminal(Record):
    """columns and rows of cells, each of so many pixels; those of "blocks" are halves of cells."""

    protocol: str = choice("kitty", "iterm", "sixel", "blocks")
    columns: int = integer(1)
    rows: int = integer(1)
    cell: Box = record(Box)
    true_colors: bool = boolean()


def asked(descriptor: int, patience: float = PATIENCE_S) -> Terminal:
    """The terminal behind an open descriptor."""
    answer = _answer(descriptor, patience) if _listens(descriptor) else b""
    protocol = _protocol(answer)
    rows, columns, wide, high = struct.unpack(
        "4H", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
    )
    rows, columns = rows or 24, columns or 80
    return Terminal(
        protocol=protocol,
        columns=columns,
        rows=rows,
        cell=_HALVES if protocol == "blocks" else _cell(answer, wide // columns, high // rows),
        true_colors=os.environ.get("COLORTERM") in ("truecolor", "24bit"),
    )


def _protocol(answer: bytes) -> str:
    if b"\x1b_Gi=31;OK" in answer:
        return "kitty"
    if b"iTerm2" in answer or os.environ.get("TERM_PROGRAM") == "iTerm.app":
        return "iterm"
    attributes = _ATTRIBUTES.search(answer)
    return "sixel" if attributes and b"4" in attributes[1].split(b";")[1:] else "blocks"


def _cell(answer: bytes, width: int, height: int) -> Box:
    if told := _CELL.search(answer):
        width, height = int(told[2]), int(told[1])
    return Box(width=width, height=height) if 0 < width < 200 and 0 < height < 400 else _USUAL


def _listens(descriptor: int) -> bool:
    """Whether it can be read from, and by us: a job in the background would be stopped."""
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDWR:
        return False
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        # It controls no jobs here.
        return True


def _answer(descriptor: int, patience: float) -> bytes:
    """What it says to the questions, unseen; its modes are as before when this returns."""
    before = termios.tcgetattr(descriptor)
    quiet = termios.tcgetattr(descriptor)
    quiet[3] &= ~(termios.ICANON | termios.ECHO)
    quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 0, 0
    try:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)
        os.write(descriptor, _QUESTIONS)
        return _read(descriptor, monotonic() + patience)
    finally:
        # Flushed, so that what comes too late is not taken for what somebody typed; and wiped, where a
        # terminal has shown what it does not know.
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
        os.write(descriptor, b"\r\x1b[K")


def _read(descriptor: int, deadline: float) -> bytes:
    answer = b""
    while not _ATTRIBUTES.search(answer) and len(answer) < 4096:
        left = deadline - monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            break
        answer += os.read(descriptor, 1024)
    return answer
