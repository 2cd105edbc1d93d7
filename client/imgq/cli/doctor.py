"""`imgq doctor`: what a user can get wrong, and what to do."""

from __future__ import annotations

import sys

import click

from imgq import render
from imgq.doctor import Verdict, examine

_MARKS = {
    "ok": click.style("ok   ", fg="green"),
    "note": "note ",
    "wrong": click.style("wrong", fg="red"),
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON list of all verdicts.")
@click.option(
    "--bundle", "file", metavar="FILE", help="Write a zip for a bug report: no picture, no path."
)
@click.option("--with-paths", is_flag=True, help="Leave the names of files in the bundle.")
def doctor(as_json: bool, file: str | None, with_paths: bool) -> int:
    """Check all that can go wrong, and say what to do.

    Exits 1 where something is wrong.
    """
    found = []
    for verdict in examine():
        found.append(verdict)
        if not as_json:
            click.echo(_line(verdict))
    if as_json:
        sys.stdout.buffer.write(render.json_line([render.plain(verdict) for verdict in found]))
    if file is not None:
        from imgq.doctor.bundle import write

        write(file, found, with_paths)
        click.echo(f"imgq: {file} is written; have a look at it before you send it", err=True)
    return int(any(verdict.state == "wrong" for verdict in found))


def _line(verdict: Verdict) -> str:
    said = f"{_MARKS[verdict.state]} {verdict.subject:12} {render.words(verdict.found)}"
    return f"{said}\n{'':19}{render.words(verdict.remedy)}" if verdict.remedy else said
