"""`imgq check`: the index against itself and against the disk."""

from __future__ import annotations

import sys

import click

from imgq import render, wire
from imgq.client import stream
from imgq.paths import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# A library of a million files takes its time, and Ctrl-C ends the wait.
PATIENCE_S = 86400.0


@click.command()
@click.argument("folders", metavar="[DIR]…", nargs=-1)
@click.option(
    "--repair", is_flag=True, help="Mend what can be; a watched DIR is what lies there now."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(folders: tuple[str, ...], repair: bool, as_json: bool) -> int:
    """Hold the index against itself and against the disk: all of it, or what lies under DIR."""
    asked = wire.Check(paths=tuple(map(absolute, folders)), repair=repair)
    pieces = [piece for piece in stream(asked, PATIENCE_S) if isinstance(piece, wire.Checked)]
    findings = [finding for piece in pieces for finding in piece.findings]
    if as_json:
        sys.stdout.buffer.write(render.json_line(_object(pieces[0], findings)))
    else:
        sys.stdout.buffer.writelines(_lines(pieces[0], findings))
    return 0 if all(finding.repaired for finding in findings) else 1


def _object(first: wire.Checked, findings: list[wire.Finding]) -> dict[str, object]:
    return {
        "files": first.files,
        "folders": first.folders,
        "pictures": first.pictures,
        "skipped": [render.path_fields(path)["path"] for path in first.skipped],
        # `files` is a count here, and no size.
        "findings": [render.plain(finding) for finding in findings],
    }


def _lines(first: wire.Checked, findings: list[wire.Finding]) -> Iterator[bytes]:
    """What, where, and what to do, a line a finding; then what was looked at."""
    terminal = sys.stdout.isatty()
    for finding in findings:
        done = "repaired" if finding.repaired else finding.remedy
        said = f"{_files(finding)}{finding.message}; {done}\n"
        yield (
            f"{finding.code}\t".encode()
            + render.path(finding.path, terminal)
            + b"\t"
            + said.encode()
        )
    for path in first.skipped:
        yield b"skipped\t" + render.path(path, terminal) + b"\tit is offline, or may not be read\n"
    yield f"{_summary(findings)}: {first.files} files in {first.folders} folders, ".encode()
    yield f"and {first.pictures} pictures, were checked\n".encode()


def _files(finding: wire.Finding) -> str:
    return f"{finding.files} files: " if finding.files > 1 else ""


def _summary(findings: list[wire.Finding]) -> str:
    if not findings:
        return "nothing is wrong"
    repaired = sum(finding.repaired for finding in findings)
    return f"{len(findings)} wrong, {repaired} repaired" if repaired else f"{len(findings)} wrong"
