"""Looks words up: in the names of files and of their folders, and in what is written of pictures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from imgq.errors import UsageError
from imgqd.store.lookup.words import phrases

if TYPE_CHECKING:
    import apsw
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Scores = NDArray[np.float64]

SCORED = np.dtype([("id", np.int64), ("score", np.float64)])
# the better, the lower, says FTS5; what was written for the picture weighs more than its name
FILES = "-bm25(file_words, 1.0, 3.0, 1.0, 2.0, 1.0) FROM file_words WHERE file_words MATCH ?"
FOLDERS = "-bm25(folder_words) FROM folder_words WHERE folder_words MATCH ?"
UNSCORED = "0.0 FROM {0} WHERE {0} MATCH ?"
IN_FOLDERS = """
SELECT group_concat(file), group_concat(folder) FROM json_each(?)
CROSS JOIN details ON details.folder = value
"""


def scored(connection: apsw.Connection, text: str, ranked: bool) -> tuple[Ids, Scores]:
    """The files of which each word is in a name or a note: ids, ascending, and scores, both (n,). A
    score is the sum over the words of their bm25 (S. Robertson, H. Zaragoza, The Probabilistic
    Relevance Framework, 2009) in the file's own texts and in its folder's, or 0 where they are not
    ranked. Raises UsageError where there is no word."""
    asked = phrases(text)
    if not asked:
        raise UsageError(f"there is no word in {text!r}", "`--text 'holiday rome'`")
    files, scores = _one(connection, asked[0], ranked)
    for phrase in asked[1:]:
        others, more = _one(connection, phrase, ranked)
        files, here, there = np.intersect1d(files, others, assume_unique=True, return_indices=True)
        scores = scores[here] + more[there]
    return files, scores


def numbers(joined: str | None) -> Ids:
    """What group_concat made of whole numbers: many times as fast as row by row."""
    found: Ids = np.fromstring(joined or "", np.int64, sep=",")
    return found


def distinct(ids: Ids) -> Ids:
    """Each once, ascending. np.unique hashes them, which of a million takes most of a second, and fifty
    times as long."""
    ids = np.sort(ids)
    found: Ids = ids[np.diff(ids, prepend=ids[:1] - 1) != 0]
    return found


def _one(connection: apsw.Connection, phrase: str, ranked: bool) -> tuple[Ids, Scores]:
    own, scores = _matching(connection, FILES if ranked else UNSCORED.format("file_words"), phrase)
    which = FOLDERS if ranked else UNSCORED.format("folder_words")
    folders, more = _matching(connection, which, phrase)
    found = connection.execute(IN_FOLDERS, (json.dumps(folders.tolist()),)).get
    files, places = (numbers(each) for each in found)
    theirs = more[np.searchsorted(folders, places)]
    files, places = np.unique(np.concatenate([own, files]), return_inverse=True)
    weights = np.concatenate([scores, theirs])
    return files, np.bincount(places, weights, len(files)).astype(np.float64)


def _matching(connection: apsw.Connection, which: str, phrase: str) -> tuple[Ids, Scores]:
    """Ids, ascending, and scores."""
    found = connection.execute(f"SELECT rowid, {which} ORDER BY rowid", (phrase,))
    rows = np.fromiter(found, SCORED)
    return rows["id"].copy(), rows["score"].copy()
