"""How the demo speaks: with color and a little time on a terminal, plainly in a pipe."""

from __future__ import annotations

import sys
import time

import click

from imgq import render, wire

_BAR = 24


class Stage:
    """Where the demo is shown."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()

    def title(self, words: str) -> None:
        self._line()
        self._line(click.style(words, bold=True))

    def say(self, words: str) -> None:
        self._line(f"  {words}")

    def command(self, words: str) -> None:
        """A command as a person would type it."""
        self._line()
        sys.stdout.write(click.style("  $ ", fg="green") if self._terminal else "  $ ")
        for character in words:
            sys.stdout.write(character)
            if self._terminal:
                sys.stdout.flush()
                time.sleep(0.015)
        self._line()

    def hits(self, hits: list[wire.Hit], below: bytes) -> None:
        """The answer, with paths from the library's folder on."""
        best = max((hit.score for hit in hits), default=1.0)
        for hit in hits:
            name = hit.path.removeprefix(below.rstrip(b"/") + b"/")
            shown = render.path(name, True).decode("utf-8", "replace")
            bar = "▇" * round(10 * max(hit.score, 0) / best) if self._terminal else ""
            self._line(f"    {hit.score:.3f}  {click.style(f'{bar:<10}', fg='cyan')}{shown}")
        if not hits:
            self._line("    nothing")

    def progress(self, done: int, total: int, rate: float) -> None:
        """Drawn over itself; in a pipe nothing, the end is said by `say`."""
        if self._terminal and total:
            filled = _BAR * done // total
            bar = "━" * filled + click.style("─" * (_BAR - filled), dim=True)
            sys.stdout.write(f"\r\x1b[K  {bar}  {done}/{total}  {rate:.0f}/s")
            sys.stdout.flush()

    def wipe(self) -> None:
        if self._terminal:
            sys.stdout.write("\r\x1b[K")

    def pause(self, seconds: float) -> None:
        """For a reader's eyes."""
        if self._terminal:
            time.sleep(seconds)

    def _line(self, words: str = "") -> None:
        sys.stdout.write((words if self._terminal else click.unstyle(words)) + "\n")
        sys.stdout.flush()
