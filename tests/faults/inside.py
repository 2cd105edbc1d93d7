"""The index from inside, by plain SQL: what no command shows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import sqlite_vec


def unsound(path: Path) -> list[str]:
    """What does not fit together in an index, a line each; a daemon may be at work on it."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as index:
        index.enable_load_extension(True)
        index.load_extension(sqlite_vec.loadable_path())
        index.execute("BEGIN")  # all of one moment
        (said,) = index.execute("PRAGMA quick_check").fetchone()
        return [f"quick_check: {said}"] * (said != "ok") + _strays(index)


def _strays(index: apsw.Connection) -> list[str]:
    shown = _ids(index, "SELECT picture FROM files WHERE picture IS NOT NULL")
    pictures = _ids(index, "SELECT id FROM pictures")
    orphans = _ids(index, "SELECT id FROM pictures WHERE orphaned_at IS NOT NULL")
    names = "SELECT count(*) FROM (SELECT 1 FROM files GROUP BY folder, name HAVING count(*) > 1)"
    found = {
        "shown and not known": shown - pictures,
        "shown and an orphan": shown & orphans,
        "neither shown nor an orphan": pictures - shown - orphans,
        "twice": _ids(index, names) - {0},
    }
    for (model,) in index.execute("SELECT id FROM models").fetchall():
        sums = _ids(index, f"SELECT picture FROM embedding_sums WHERE model = {model}")
        vectors = _ids(index, f"SELECT picture FROM embeddings_{model}")
        found |= {
            f"a checksum and no vector of model {model}": sums - vectors,
            f"a vector of model {model} and no checksum": vectors - sums,
            f"a vector of model {model} and no picture": vectors - pictures,
            f"shown and no vector of model {model}": shown - vectors,
        }
    return [f"{what}: {sorted(ids)[:10]}" for what, ids in found.items() if ids]


def _ids(index: apsw.Connection, query: str) -> set[int]:
    return {id for (id,) in index.execute(query)}
