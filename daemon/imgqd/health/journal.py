"""The daemon's log: a file of bounded size, and stderr where somebody else reads that."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from typing import Any

from imgq.paths import Places
from imgqd.private_file import opener

MOST_BYTES = 5_000_000
OLD_FILES = 2
# A problem that goes on is told again after so long.
AGAIN_S = 3600.0
# So many problems are remembered.
MOST_PROBLEMS = 1000
# Of a warning that tells of a change: where there is another in between, the same is news again.
NEWS = {"is_news": True}


def open_log(where: Places) -> None:
    """Sends what is logged to the log file, and to stderr unless that is the same file."""
    # A log whose disk is full has no room for words about that either.
    logging.raiseExceptions = False
    os.makedirs(where.logs, mode=0o700, exist_ok=True)
    handlers: list[logging.Handler] = [private_log(where)]
    if not os.path.samestat(os.fstat(sys.stderr.fileno()), os.stat(where.log)):
        handlers.append(logging.StreamHandler())
    logging.basicConfig(level=logging.INFO, handlers=handlers)
    write_as("text")
    once = Once()
    for handler in handlers:
        # open_clip tells each step of loading to the root logger.
        handler.addFilter(lambda record: record.name != "root" or record.levelno > logging.INFO)
        handler.addFilter(once)


def write_as(form: str) -> None:
    """For people (`text`), or for programs (`json`), from now on."""
    formatter = Json() if form == "json" else Plain("%(asctime)s %(levelname)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)


class Once(logging.Filter):
    """One line a problem, and not one a look at it: what is told in the same words again is told once in
    AGAIN_S, with how often it happened in between."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[object, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """The same for each handler that asks."""
        if "is_told" not in record.__dict__:
            record.__dict__["is_told"] = self._is_told(record)
        return bool(record.__dict__["is_told"])

    def _is_told(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or hasattr(record, "is_news"):
            return True
        problem, now = _problem(record), time.monotonic()
        last, times = self._told.pop(problem, (now - AGAIN_S, 0))
        is_told = now - last >= AGAIN_S
        self._told[problem] = (now, 0) if is_told else (last, times + 1)
        if len(self._told) > MOST_PROBLEMS:
            del self._told[next(iter(self._told))]
        if is_told and times:
            record.msg, record.args = f"{record.getMessage()} (as {times} times before)", ()
        return is_told


def _problem(record: logging.LogRecord) -> object:
    """Its words; of an error in the program also where it was raised."""
    error = record.exc_info[1] if record.exc_info else None
    place = traceback.extract_tb(error.__traceback__)[-1:] if error else []
    places = tuple((at.filename, at.lineno) for at in place)
    return record.name, record.getMessage(), repr(error), places


class Json(logging.Formatter):
    """An object a line, in ASCII: time in ISO 8601, level, part, message, and error, which a bug has."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{at}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "part": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def private_log(where: Places) -> logging.Handler:
    """Writes to the log file."""
    file = _PrivateFiles(
        where.log, maxBytes=MOST_BYTES, backupCount=OLD_FILES, encoding="utf-8", errors="replace"
    )
    # One that is there already may be of an older imgq.
    os.chmod(where.log, 0o600)
    return file


class Plain(logging.Formatter):
    """Names of files steer no terminal and begin no line of their own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return _plain(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return "\n".join(map(_plain, super().formatException(ei).split("\n")))


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _PrivateFiles(RotatingFileHandler):
    """Each made for its owner alone from its first instant: names of files stand in them."""

    def shouldRollover(self, record: logging.LogRecord) -> int:
        """Before each line: where somebody has taken the file away, the line goes to another."""
        if self.stream and not self._is_in_place(self.stream):
            self.stream.close()
            self.stream = None
        return super().shouldRollover(record)

    def _is_in_place(self, stream: TextIOWrapper) -> bool:
        try:
            there = os.stat(self.baseFilename)
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(stream.fileno()), there)

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", errors="replace", opener=opener)
