"""What SQLite and the system say of the file, in the words of imgq's own errors."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

import apsw

from imgq.errors import StoreBusy, StoreDamaged, StoreError, StoreFull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITABLE = "let its owner read and write the file and its folder"
_MAY_NOT = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Whatever apsw or the system raises of the database at `path` leaves as a StoreError."""
    try:
        yield
    except apsw.Error as error:
        raise _of_sqlite(error, path) from error
    except UnicodeDecodeError as error:
        raise StoreDamaged(f"the index {path} is damaged: words in it are no text") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(path) from error
        hint = WRITABLE if error.errno in _MAY_NOT else ""
        raise StoreError(f"cannot open the index {path}: {error.strerror}", hint) from error


def _full(path: Path) -> StoreFull:
    return StoreFull(f"no space left for the index {path}", "free some space on that disk")


def _of_sqlite(error: apsw.Error, path: Path) -> StoreError:
    match error:
        case apsw.CorruptError() | apsw.NotADBError():
            return StoreDamaged(f"the index {path} is damaged: {error}")
        case apsw.SQLError() if str(error).startswith(
            ("no such", "unsupported file format", "vtable constructor failed")
        ):
            return StoreDamaged(f"the index {path} is damaged: {error}")
        case apsw.FullError():
            return _full(path)
        case apsw.IOError() if _extended(error) == apsw.SQLITE_IOERR_SHMSIZE:
            return _full(path)  # not even the log's own index has room
        case apsw.BusyError() | apsw.LockedError():
            return StoreBusy(f"another process holds the index {path}", "end that process")
        case apsw.ReadOnlyError() | apsw.PermissionsError() | apsw.CantOpenError():
            return StoreError(f"cannot write the index {path}: {error}", WRITABLE)
    return StoreError(f"the index {path} failed: {error}")


def _extended(error: apsw.Error) -> int:
    """SQLite's own code of the error, which apsw's types say nothing of."""
    return int(getattr(error, "extendedresult", 0))
