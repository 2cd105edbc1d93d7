"""`imgq pause` and `resume`: indexing waits, searching goes on."""

from __future__ import annotations

from itertools import groupby

import click

from imgq import wire
from imgq.cli.progress import status
from imgq.client import ask

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[float]):
    """Seconds, out of words as 90s, 45m, 2h, 1h30m, 3d."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds = duration(str(value))
        if seconds is None or not 1 <= seconds <= 366 * 86400:
            self.fail(f"{value!r} is no time from 1s to 366d, as 45m, 2h or 1h30m", param, ctx)
        return seconds


def duration(words: str) -> float | None:
    """Seconds; None where these are no numbers each with a unit."""
    parts = ["".join(run) for _, run in groupby(words.replace(" ", ""), str.isdecimal)]
    numbers, units = parts[::2], parts[1::2]
    if len(numbers) != len(units) or not words.isascii() or not _UNITS.keys() >= set(units):
        return None
    return sum(float(n) * _UNITS[unit] for n, unit in zip(numbers, units, strict=True))


@click.command()
@click.option("--for", "seconds", type=Duration(), metavar="TIME", help="As 45m, 2h, 1h30m.")
def pause(seconds: float | None) -> None:
    """Have indexing wait, until `imgq resume` or for a time; searching goes on."""
    ask(wire.Pause(seconds=seconds))


@click.command()
def resume() -> None:
    """End a pause, and go on with indexing, unless the settings have it wait."""
    ask(wire.Resume())
    now = status()
    if now.waiting:
        click.echo(
            f"imgq: there is no pause, and indexing still waits: {now.waiting}\n"
            "hint: `imgq config show` tells what has it wait",
            err=True,
        )
