"""Looks words up: in the names of files and of their folders, and in what is written of pictures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from imgq.errors import UsageError
from imgqd.store.words import phrases

if TYPE_CHECKING:
    import apsw
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Scores = NDArray[np.float64]

SCORED = np.dtype([("id", np.int64), ("score", np.float64)])
# the better, the lower, says FTS5; what was written for the picture weighs more than its name
FILES = """
SELECT rowid, -bm25(file_words, 1.0, 3.0, 1.0, 2.0, 1.0) FROM file_words WHERE file_words MATCH ?
"""
FOLDERS = "SELECT rowid, -bm25(folder_words) FROM folder_words WHERE folder_words MATCH ?"
IN_FOLDERS = """
SELECT file, folder FROM json_each(?) CROSS JOIN details ON details.folder = value
"""
PLACED = np.dtype([("file", np.int64), ("folder", np.int64)])


def scored(connection: apsw.Connection, text: str) -> tuple[Ids, Scores]:
    """The files of which each word is in a name or a note: ids, ascending, and scores, both (n,). A
    score is the sum over the words of their bm25 (S. Robertson, H. Zaragoza, The Probabilistic
    Relevance Framework, 2009) in the file's own texts and in its folder's. Raises UsageError where
    there is no word."""
    asked = phrases(text)
    if not asked:
        raise UsageError(f"there is no word in {text!r}", "`--text 'holiday rome'`")
    files, scores = _one(connection, asked[0])
    for phrase in asked[1:]:
        others, more = _one(connection, phrase)
        files, here, there = np.intersect1d(files, others, assume_unique=True, return_indices=True)
        scores = scores[here] + more[there]
    return files, scores


def _one(connection: apsw.Connection, phrase: str) -> tuple[Ids, Scores]:
    own = np.fromiter(connection.execute(FILES, (phrase,)), SCORED)
    folders = np.fromiter(connection.execute(FOLDERS, (phrase,)), SCORED)
    if not len(folders):
        own.sort(order="id")
        return own["id"].copy(), own["score"].copy()
    folders.sort(order="id")
    rows = connection.execute(IN_FOLDERS, (json.dumps(folders["id"].tolist()),))
    placed = np.fromiter(rows, PLACED)
    theirs = folders["score"][np.searchsorted(folders["id"], placed["folder"])]
    files, places = np.unique(np.concatenate([own["id"], placed["file"]]), return_inverse=True)
    weights = np.concatenate([own["score"], theirs])
    return files, np.bincount(places, weights).astype(np.float64)
