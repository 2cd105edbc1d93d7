"""A zip for a bug report, which holds no picture, and no path unless asked."""

from __future__ import annotations

import io
import os
import platform
import re
import sys
import zipfile
from collections.abc import Iterable

from imgq import __version__, render
from imgq.doctor.verdict import Verdict
from imgq.errors import Failure, Refused
from imgq.package import read as package_says
from imgq.paths import places

# The last of the log, in bytes.
_MOST_LOG = 1 << 20

# Where in a line of a traceback our own file begins.
_OURS = re.compile(r'File ".*?((?:imgqd?|site-packages)/[^"]*)"')


def write(file: str, verdicts: Iterable[Verdict], with_paths: bool) -> None:
    """Raises Refused where the file is there already or cannot be written."""
    # As a whole, before there is a file that may come to lack its end.
    whole = io.BytesIO()
    keep = str if with_paths else without_paths
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("machine.txt", _machine())
        for name, text in _texts(verdicts):
            archive.writestr(name, "".join(map(keep, text.splitlines(keepends=True))))
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as opened:
                opened.write(whole.getvalue())
        except OSError:
            os.unlink(file)
            raise
    except OSError as error:
        raise Refused(f"cannot write {file}: {error.strerror}", "name another file") from None


def without_paths(line: str) -> str:
    """The line up to its first path, with the system's word for what was wrong with that; of a traceback
    the name of our own file is left."""
    line = line.rstrip("\n")
    if _OURS.search(line):
        return _OURS.sub(r"File …\1", line) + "\n"
    head, slash, rest = line.partition("/")
    reason = rest.rpartition(": ")[2]
    return f"{head}{'…' * bool(slash)}{f': {reason}' if reason in _REASONS else ''}\n"


_REASONS = frozenset(map(os.strerror, range(1, 134)))


def _texts(verdicts: Iterable[Verdict]) -> Iterable[tuple[str, str]]:
    lines = (f"{each.state} {each.subject}: {each.found}; {each.remedy}\n" for each in verdicts)
    yield "doctor.txt", "".join(lines)
    yield "log.txt", _log()
    try:
        yield "settings.toml", package_says("imgqd.settings_file", "show")
    except Failure as failure:
        yield "settings.toml", f"{failure}\n"


def _log() -> str:
    try:
        with open(places().log, "rb") as log:
            log.seek(max(log.seek(0, os.SEEK_END) - _MOST_LOG, 0))
            return render.words(log.read().decode("utf-8", "replace"))
    except OSError as error:
        return f"{error.strerror}\n"


def _machine() -> str:
    return (
        f"imgq {__version__}\nPython {sys.version}\n{platform.platform()}\n{os.cpu_count()} cores\n"
    )
