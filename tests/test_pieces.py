"""Long answers, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from batches import filled, hash_of, vector
from imgq import wire
from imgqd import answers, pieces
from imgqd.pieces import BYTES_A_REPLY, in_pieces, rows
from imgqd.records import Embedded, Metadata
from imgqd.store import Model

DEEP = wire.KnownFile(path=b"/" * (1 << 16), hash="", size=0, mtime="", offline=False)
SMALL = wire.Root(path=b"/p", state="watching", files=1)


@dataclass(frozen=True)
class Row:
    file: int


def sizes(pieces: Iterable[tuple[object, ...]]) -> list[int]:
    return list(map(len, pieces))


def test_a_piece_has_no_more_rows_than_it_may() -> None:
    assert sizes(in_pieces([SMALL] * 5, 2)) == [2, 2, 1]


def test_nothing_is_a_piece_with_nothing_in_it() -> None:
    assert list(in_pieces([])) == [()]


def test_as_many_rows_as_fill_a_piece_are_one() -> None:
    assert sizes(in_pieces([SMALL] * 2, 2)) == [2]


def test_no_piece_is_larger_than_a_client_takes() -> None:
    pieces = list(in_pieces([DEEP] * wire.ROWS_A_REPLY))
    assert sum(map(len, pieces)) == wire.ROWS_A_REPLY
    assert len(pieces) > 1
    for piece in pieces:
        assert sum(len(row.path) for row in piece) <= BYTES_A_REPLY
        assert len(wire.pack_reply(wire.Files(files=piece), 1)) < wire.MOST_REPLY


@pytest.mark.parametrize("count", [0, 1, wire.ROWS_A_REPLY, 2 * wire.ROWS_A_REPLY + 1])
def test_a_listing_is_read_page_by_page_to_its_end(count: int) -> None:
    numbers = [3 * number + 1 for number in range(count)]

    def listing(after: int, limit: int) -> list[Row]:
        return [Row(number) for number in numbers if number > after][:limit]

    assert [row.file for row in rows(listing)] == numbers


def test_an_export_is_by_one_model_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one comes into use amid it; what is asked is held until then."""
    monkeypatch.setattr(wire, "ROWS_A_REPLY", 5)
    monkeypatch.setattr(pieces, "BYTES_A_REPLY", 1)
    store, held = filled(tmp_path / "index.db", 1), []
    other = store.hold_model(Model(0, "other", "second", store.model.dim), "coming")
    photo = Metadata("PNG", 1, 1)
    store.commit([Embedded(hash_of(n), photo, -vector(n), other.id) for n in range(8)], 5.0)

    @contextmanager
    def asked() -> Iterator[SimpleNamespace]:
        held.append(True)
        yield SimpleNamespace(model=store.model)
        held.clear()

    daemon: Any = SimpleNamespace(
        index=SimpleNamespace(store=store), spaces=SimpleNamespace(asked=asked)
    )
    replies: Iterator[Any] = answers._export(daemon)
    found = [*next(replies).vectors]
    assert held
    store.use_model(other.identity, other.name, other.dim)
    found += [row for reply in replies for row in reply.vectors]
    assert not held
    assert len(found) == 8
    for row in found:
        number = int(row.hash.removeprefix("xxh3:"), 16)
        np.testing.assert_array_equal(np.frombuffer(row.vector, "<f4"), vector(number))
    store.close()
