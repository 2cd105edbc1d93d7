"""What the index is kept by."""

from __future__ import annotations

from pathlib import Path

import apsw

from imgq.errors import StoreError
from imgqd.store.database.opening import connect


def versions() -> str:
    """Of SQLite and of sqlite-vec, both at work. Raises StoreError where they are not."""
    try:
        connection = connect(Path(":memory:"), apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_MEMORY)
        vec = connection.execute("SELECT vec_version()").get
        connection.close()
    except apsw.Error as error:
        raise StoreError(f"sqlite-vec is of no use here: {error}", "install imgq again") from None
    return f"SQLite {apsw.sqlite_lib_version()}, sqlite-vec {vec}"
