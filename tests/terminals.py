"""Terminals for tests: a pseudo-terminal that answers questions as a kind of terminal does."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

PATIENCE_S = 60.0
DA1 = b"\x1b[c"
# A terminal that controls the process, as a shell's does, tells it of Ctrl-C.
_CONTROLLED = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
# What the terminal that the tests run on says of itself.
TOLD = {"NO_COLOR", "COLORTERM", "TERM_PROGRAM", "LC_TERMINAL"}


@dataclass
class Terminal:
    """answers: what it sends back, by what it is sent. size: rows, columns, and pixels across and down."""

    answers: Mapping[bytes, bytes] = field(default_factory=dict)
    size: tuple[int, int, int, int] = (24, 80, 0, 0)
    sent: bytes = b""

    def __post_init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("4H", *self.size))
        self._answered = 0

    def run(
        self, *words: str, environment: Mapping[str, str], **told: str
    ) -> subprocess.Popen[bytes]:
        return self.start(sys.executable, "-m", "imgq", *words, environment=environment, **told)

    def start(
        self, *command: str, environment: Mapping[str, str], **told: str
    ) -> subprocess.Popen[bytes]:
        plain = {name: value for name, value in environment.items() if name not in TOLD}
        return subprocess.Popen(
            [sys.executable, "-c", _CONTROLLED, *command],
            env={**plain, "TERM": "xterm-256color", **told},
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            start_new_session=True,
        )

    def until(self, condition: Callable[[], object]) -> None:
        """Reads and answers until the condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.sent
            self.read()

    def read(self) -> None:
        if select.select([self.ours], [], [], 0.02)[0]:
            self.sent += os.read(self.ours, 1 << 16)
            self._answer()

    def _answer(self) -> None:
        """In the order of the questions."""
        new = self.sent[self._answered :]
        found = sorted((new.find(each), each) for each in self.answers if each in new)
        for place, question in found:
            os.write(self.ours, self.answers[question])
            self._answered = max(self._answered, len(self.sent) - len(new) + place + len(question))

    def type(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def modes(self) -> list[object]:
        return termios.tcgetattr(self.theirs)

    def finished(self, child: subprocess.Popen[bytes]) -> bytes:
        """All that it was sent, once the child has ended well."""
        self.until(lambda: child.poll() is not None)
        while select.select([self.ours], [], [], 0)[0]:
            self.read()
        assert child.returncode == 0, self.sent
        return self.sent

    def close(self) -> None:
        os.close(self.ours)
        os.close(self.theirs)
