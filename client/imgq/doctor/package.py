"""What the daemon's package says of itself, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from imgq import package
from imgq.doctor.verdict import Verdict, note, wrong
from imgq.errors import CannotStart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LOADS_S = 120.0


def of_the_package(roots: tuple[bytes, ...], device: str | None = None) -> Iterator[Verdict]:
    """Settings, SQLite, sandbox, file systems of the roots, model, hub, and the device: seen, and used."""
    from json import loads

    try:
        package.require()
    except CannotStart as absent:
        yield note("package", absent.message, absent.hint)
        return
    words = [device or "", *map(os.fsdecode, roots)]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "imgqd.health.doctor", *words],
            capture_output=True,
            timeout=_LOADS_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield wrong("package", f"it does not load within {_LOADS_S:g} s", "install imgq again")
        return
    for line in done.stdout.splitlines():
        yield Verdict(**loads(line))
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        how = last or f"it ended by {done.returncode}"
        yield wrong("package", f"the daemon's package is broken: {how}", "install imgq again")
