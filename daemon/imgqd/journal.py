"""The daemon's log: a file of bounded size, and stderr where somebody else reads that."""

from __future__ import annotations

import logging
import os
import sys
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from typing import Any

from imgq.paths import Places

MOST_BYTES = 5_000_000
OLD_FILES = 2


def open_log(where: Places) -> None:
    """Sends what is logged to the log file, and to stderr unless that is the same file."""
    # A log whose disk is full has no room for words about that either.
    logging.raiseExceptions = False
    os.makedirs(where.logs, mode=0o700, exist_ok=True)
    handlers: list[logging.Handler] = [private_log(where)]
    if not os.path.samestat(os.fstat(sys.stderr.fileno()), os.stat(where.log)):
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setFormatter(Plain("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=handlers)
    # open_clip tells each step of loading to the root logger.
    for handler in handlers:
        handler.addFilter(lambda record: record.name != "root" or record.levelno > logging.INFO)


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

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", errors="replace", opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
