"""`imgq export --npz FILE`: paths, hashes and vectors, as NumPy reads them."""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile

import click

from imgq import render, wire
from imgq.client import stream
from imgq.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO


@click.command()
@click.option("--npz", "target", metavar="FILE", help="The file to write.")
def export(target: str | None) -> None:
    """Write paths, hashes and float32 vectors of every file.

    \b
    >>> with numpy.load(FILE) as index:
    ...     index["paths"], index["hashes"], index["vectors"]
    """
    if not target:
        raise UsageError("export takes the file to write", "`imgq export --npz FILE`")
    if os.path.exists(target) and not os.path.isfile(target):
        raise UsageError(f"{target!r} is there and is no regular file")
    try:
        count = _write_beside(target)
    except OSError as error:
        raise UsageError(f"cannot write {target!r}: {error.strerror}") from None
    shown = render.path(os.fsencode(target), sys.stdout.isatty())
    click.echo(f"{count} vectors in ".encode() + shown)


def write(target: str) -> int:
    """Writes the archive, returns how many files it tells of."""
    paths: list[str] = []
    hashes: list[str] = []
    with tempfile.TemporaryFile() as vectors:
        for row in _rows():
            paths.append(os.fsdecode(row.path))
            hashes.append(row.hash)
            vectors.write(row.vector)
        dimensions = vectors.tell() // 4 // max(len(paths), 1)
        vectors.seek(0)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            _write_texts(archive, "paths", paths)
            _write_texts(archive, "hashes", hashes)
            with _array(archive, "vectors", "<f4", (len(paths), dimensions)) as file:
                while block := vectors.read(1 << 20):
                    file.write(block)
    return len(paths)


def _rows() -> Iterator[wire.Vector]:
    for piece in stream(wire.Export()):
        assert isinstance(piece, wire.Vectors)
        yield from piece.vectors


def _write_texts(archive: zipfile.ZipFile, name: str, texts: list[str]) -> None:
    """An array of NumPy's `<U` texts; one that is not Unicode keeps Python's lone surrogates."""
    longest = max(map(len, texts), default=0) or 1
    with _array(archive, name, f"<U{longest}", (len(texts),)) as file:
        for text in texts:
            file.write(text.ljust(longest, "\0").encode("utf-32-le", "surrogatepass"))


def _array(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...]) -> IO[bytes]:
    """A member in NumPy's format 1.0 (numpy.lib.format), its header written."""
    file = archive.open(f"{name}.npy", "w", force_zip64=True)
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    # The whole head's length is a multiple of 64, for those who map it into memory.
    header = header + " " * (-(len(header) + 11) % 64) + "\n"
    file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    return file


def _write_beside(target: str) -> int:
    """Written under another name and then renamed, so that nobody reads half of it."""
    descriptor, scratch = tempfile.mkstemp(
        dir=os.path.dirname(os.path.abspath(target)), prefix=".imgq-"
    )
    os.close(descriptor)
    try:
        count = write(scratch)
        os.replace(scratch, target)
    except BaseException:
        os.unlink(scratch)
        raise
    return count
