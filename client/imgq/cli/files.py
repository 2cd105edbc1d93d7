"""`imgq errors`, `info`, `files`, `reindex`: what the index holds, file by file."""

from __future__ import annotations

import sys

import click

from imgq import render, wire
from imgq.cli.options import not_together
from imgq.client import ask, stream
from imgq.paths import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
@click.option("--retry", is_flag=True, help="Take every one of them again.")
def errors(as_json: bool, retry: bool) -> None:
    """List every file that could not be indexed, with the reason."""
    if retry:
        _taken(ask(wire.Retry()))
        return
    found = [error for piece in stream(wire.AskErrors()) for error in _errors(piece)]
    if as_json:
        sys.stdout.buffer.write(render.json_line([render.plain(error) for error in found]))
        return
    for error in found:
        path = render.path(error.path, sys.stdout.isatty())
        reason = render.words(error.reason)
        sys.stdout.buffer.write(path + f"\n    {error.kind}: {reason}\n".encode())


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
@click.option("-0", "--null", is_flag=True, help="Paths alone, each ended by NUL.")
def files(as_json: bool, null: bool) -> None:
    """List every file in the index, with its hash."""
    if as_json and null:
        raise not_together("--json", "--null")
    out, terminal = sys.stdout.buffer, sys.stdout.isatty()
    if as_json:
        known = (file for piece in stream(wire.AskFiles()) for file in _files(piece))
        out.writelines(render.json_list(map(render.plain, known)))
        return
    for piece in stream(wire.AskFiles()):
        for file in _files(piece):
            shown = render.path(file.path, terminal)
            out.write(shown + b"\0" if null else f"{file.hash}\t".encode() + shown + b"\n")


@click.command()
@click.argument("path", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def info(path: str, as_json: bool) -> int:
    """Show all that the index knows of a file."""
    raw = absolute(path)
    known = ask(wire.AskInfo(path=raw))
    assert isinstance(known, wire.Info)
    if as_json:
        sys.stdout.buffer.write(render.json_line(_info_object(raw, known)))
    else:
        sys.stdout.buffer.writelines(line + b"\n" for line in _info_lines(raw, known))
    return 1 if known.state == "unknown" else 0


@click.command()
@click.argument("paths", metavar="[PATH]…", nargs=-1)
def reindex(paths: tuple[str, ...]) -> None:
    """Embed again: all pictures, or those under the paths."""
    _taken(ask(wire.Reindex(paths=tuple(map(absolute, paths)))))


def _taken(reply: wire.Reply) -> None:
    assert isinstance(reply, wire.Taken)
    click.echo(f"{reply.files} {'file is' if reply.files == 1 else 'files are'} taken again")


def _errors(piece: wire.Reply) -> tuple[wire.FileError, ...]:
    assert isinstance(piece, wire.Errors)
    return piece.errors


def _files(piece: wire.Reply) -> tuple[wire.KnownFile, ...]:
    assert isinstance(piece, wire.Files)
    return piece.files


def _info_object(path: bytes, known: wire.Info) -> dict[str, object]:
    file = render.seen_object(known.file) if known.file else {}
    error = render.plain(known.error) if known.error else None
    copies = [render.path_fields(path)["path"] for path in known.copies]
    return {
        **render.path_fields(path),
        "state": known.state,
        **file,
        **_notes_object(known.notes or wire.Notes()),
        "sidecar": render.path_fields(known.sidecar)["path"] if known.sidecar else None,
        "copies": copies,
        "model": known.model,
        "error": error,
    }


def _notes_object(notes: wire.Notes) -> dict[str, object]:
    exposure = {
        "time_s": notes.exposure_time,
        "f_number": notes.f_number,
        "iso": notes.iso,
        "focal_length_mm": notes.focal_length,
    }
    is_known = any(value is not None for value in exposure.values())
    return {
        "lens": notes.lens,
        "exposure": exposure if is_known else None,
        "title": notes.title,
        "description": notes.description,
        "keywords": list(notes.keywords),
        "rating": notes.rating,
        "orientation": notes.orientation,
    }


def _exposure(notes: wire.Notes) -> str | None:
    """As photographers write it: 1/250 s, f/2.8, ISO 400, 50 mm."""
    time, parts = notes.exposure_time, []
    if time:
        parts.append(f"1/{1 / time:.0f} s" if time < 0.4 else f"{time:g} s")
    if notes.f_number:
        parts.append(f"f/{notes.f_number:g}")
    if notes.iso:
        parts.append(f"ISO {notes.iso}")
    if notes.focal_length:
        parts.append(f"{notes.focal_length:.4g} mm")
    return ", ".join(parts) or None


def _info_lines(path: bytes, known: wire.Info) -> Iterator[bytes]:
    """As a person reads it; paths are shown as in any answer."""
    terminal = sys.stdout.isatty()
    yield b"path        " + render.path(path, terminal)
    for name, value in _info_object(path, known).items():
        if name == "exposure" and known.notes:
            value = _exposure(known.notes)
        if name not in ("path", "path_bytes", "copies", "error"):
            yield render.words(f"{name:<12}{_words(value)}").encode()
    for copy in known.copies:
        yield b"copy        " + render.path(copy, terminal)
    if known.error:
        yield render.words(f"error       {known.error.kind}: {known.error.reason}").encode()


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "unknown" if value is None else str(value)
