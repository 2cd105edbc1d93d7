"""The daemon's log: a file of bounded size, and stderr where somebody else reads that."""

from __future__ import annotations

import logging
import os
import sys
from logging.handlers import RotatingFileHandler

from imgq.paths import Places

MOST_BYTES = 5_000_000
OLD_FILES = 2


def open_log(where: Places) -> None:
    """Sends what is logged to the log file, and to stderr unless that is the same file."""
    # A log whose disk is full has no room for words about that either.
    logging.raiseExceptions = False
    os.makedirs(where.logs, mode=0o700, exist_ok=True)
    file = RotatingFileHandler(
        where.log, maxBytes=MOST_BYTES, backupCount=OLD_FILES, encoding="utf-8", errors="replace"
    )
    os.chmod(where.log, 0o600)
    handlers: list[logging.Handler] = [file]
    if not os.path.samestat(os.fstat(sys.stderr.fileno()), os.stat(where.log)):
        handlers.append(logging.StreamHandler())
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, handlers=handlers
    )
    # open_clip tells each step of loading to the root logger.
    for handler in handlers:
        handler.addFilter(lambda record: record.name != "root" or record.levelno > logging.INFO)
