"""`imgq dupes`: files that show the same picture, or nearly."""

from __future__ import annotations

import sys
from itertools import groupby

import click

from imgq import render, wire
from imgq.cli.options import not_together
from imgq.client import stream
from imgq.paths import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# A look at a million pictures takes minutes before its first answer.
PATIENCE_S = 3600.0


@click.command()
@click.option(
    "--near",
    type=click.FloatRange(0.01, 1),
    default=wire.NEAR,
    show_default=True,
    metavar="X",
    help="How alike nearly the same pictures are; 1 leaves them out.",
)
@click.option("--in", "within", multiple=True, metavar="DIR", help="Only files under DIR.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list of groups.")
@click.option("-0", "--null", is_flag=True, help="The extras alone, each ended by NUL.")
def dupes(near: float, within: tuple[str, ...], as_json: bool, null: bool) -> None:
    """List files that show the same picture: same bytes, same pixels, or nearly.

    \b
    bytes    the files have the same bytes
    pixels   other bytes, and the same pixels when upright
    near     another size, quality or format of one picture

    Of each group one file is suggested to be kept, and the others are extras; each group counts
    one file of a stricter one. Nothing is ever deleted.
    """
    if as_json and null:
        raise not_together("--json", "--null")
    out, terminal = sys.stdout.buffer, sys.stdout.isatty()
    groups = _groups(wire.Dupes(near=near, within=tuple(map(absolute, within))))
    if as_json:
        out.writelines(render.json_list(map(_object, groups)))
    elif null:
        extras = (extra for _, *others in groups for extra in others)
        out.writelines(render.path(extra.path, terminal) + b"\0" for extra in extras)
    else:
        for number, group in enumerate(groups):
            out.write(b"\n" * bool(number))
            out.writelines(_line(place, file, terminal) for place, file in enumerate(group))


def _groups(request: wire.Dupes) -> Iterator[list[wire.Duplicate]]:
    """Each group's files, the one to keep first."""
    files = (
        file
        for piece in stream(request, PATIENCE_S)
        if isinstance(piece, wire.Duplicates)
        for file in piece.files
    )
    for _, group in groupby(files, key=lambda file: file.group):
        yield list(group)


def _line(place: int, file: wire.Duplicate, terminal: bool) -> bytes:
    what = "extra" if place else "keep"
    return f"{what}\t{file.kind}\t".encode() + render.path(file.path, terminal) + b"\n"


def _object(group: list[wire.Duplicate]) -> dict[str, Any]:
    keeper, *extras = group
    return {
        "class": keeper.kind,
        "keeper": render.seen_object(keeper),
        "extras": [
            {**render.seen_object(extra), "alike": round(extra.alike, 4)} for extra in extras
        ],
    }
