"""The models that an index holds: one in use, one that is coming, those that are kept or left."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from batches import ROOT, batch, filled, hash_of, indexed, opened, shell, vector
from imgqd.records import Embedded, Gone, Indexed, Metadata
from imgqd.store import Held, Identity, Model, Store
from imgqd.store.vectors import models

VERSION_3 = Path(__file__).with_name("index-3.db.gz")
OTHER = Model(0, "other", "second", 4)
PHOTO = Metadata("PNG", 1, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = filled(path, 2)
    yield store
    store.close()


def embedded(n: int, model: Model) -> Embedded:
    return Embedded(hash_of(n), PHOTO, vector(n, model.dim), model.id)


def roles(store: Store) -> dict[str, str]:
    return {held.model.identity: held.role for held in store.models()}


def own(store: Store, model: Model) -> dict[int, np.ndarray]:
    """The vectors of a model, all of them sound."""
    blocks = list(store.resident(model))
    assert not any(block.damaged for block in blocks)
    return {
        id: vector
        for block in blocks
        for id, vector in zip(block.ids.tolist(), block.vectors, strict=True)
    }


def given_all(store: Store) -> Model:
    """Another model that is coming, and has a vector of every picture."""
    model = store.hold_model(OTHER, "coming")
    store.commit([embedded(n, model) for n in range(16)], 5.0)
    return model


class TestComing:
    def test_gets_vectors_beside_those_in_use(self, store: Store) -> None:
        model = store.hold_model(OTHER, "coming")
        assert len(store.lacking(model)) == 15
        before = own(store, store.model)
        committed = store.commit([embedded(3, model), embedded(7, model)], 5.0)
        assert committed.added == []
        assert [(each.picture, each.model) for each in committed.beside] == [
            (store.known(hash_of(3)), model.id)
        ]
        assert own(store, store.model).keys() == before.keys()
        assert own(store, model).keys() == {store.known(hash_of(3))}
        # The file of the last one is gone: it is kept, and not shown.
        assert store.known(hash_of(7), model) is not None
        assert store.counts().pending == 0
        assert store.known(hash_of(4), model) is None
        assert store.check() == []

    def test_lacks_what_is_shown_and_online_newest_first(self, store: Store) -> None:
        model = store.hold_model(OTHER, "coming")
        newest = [store.known(hash_of(n)) for n in range(15, -1, -1) if n != 7]
        assert store.lacking(model) == newest
        store.commit([embedded(15, model), Gone(b"/r/14")], 5.0)
        assert store.lacking(model) == newest[2:]
        store.set_root(ROOT.path, state="offline")
        assert store.lacking(model) == []

    def test_is_asked_for_again_where_a_picture_is_embedded_again(self, store: Store) -> None:
        model = given_all(store)
        assert store.lacking(model) == []
        assert store.reindex([b"/r/5"]) == 1
        [picture] = store.lacking(model)
        assert store.vectors([picture], model)[picture].shape == (4,)
        store.commit([embedded(5, model)], 6.0)
        assert store.lacking(model) == []

    def test_takes_no_vector_that_is_none(self, store: Store) -> None:
        model = store.hold_model(OTHER, "coming")
        for bad in (vector(3, 8), np.zeros(4, np.float32), np.full(4, np.nan, np.float32)):
            store.commit([Embedded(hash_of(3), PHOTO, bad, model.id)], 5.0)
        store.commit([Embedded(hash_of(99), PHOTO, vector(3, 4), model.id)], 5.0)
        assert own(store, model) == {}

    def test_is_one_alone(self, store: Store) -> None:
        store.hold_model(OTHER, "coming")
        store.hold_model(Model(0, "third", "third", 8), "coming", keeps=True)
        assert roles(store) == {"one": "used", "other": "left", "third": "coming"}
        assert [held.keeps for held in store.models()] == [False, False, True]
        with pytest.raises(ValueError, match="length 4"):
            store.hold_model(Model(0, "other", "second", 5), "coming")


class TestSwitch:
    def test_is_one_transaction(self, store: Store, path: Path, tmp_path: Path) -> None:
        model = given_all(store)
        commits = store._database.commits
        assert store.use_model("other", "second", 4) == model
        assert store._database.commits == commits + 1
        assert roles(store) == {"one": "left", "other": "used"}
        assert store.counts().pending == 0
        store.close()
        store = Store.open(path, "decoder-1")
        assert roles(store) == {"one": "left", "other": "used"}
        store.close()

    def test_keeps_the_one_before_where_that_is_meant(self, store: Store) -> None:
        model = given_all(store)
        before = store.model
        store.use_model("other", "second", 4, keep=True)
        assert roles(store) == {"one": "kept", "other": "used"}
        assert not store.forget_left()
        # A new picture gets both.
        new = Indexed(b"/r/new", indexed(50).stamp, hash_of(50), True, PHOTO, vector(50, 4))
        store.commit([new], 6.0)
        assert store.lacking(before) == [store.known(hash_of(50))]
        store.commit([embedded(50, before)], 7.0)
        assert store.lacking(before) == []
        assert len(own(store, before)) == len(own(store, model)) == 16


class TestForgetting:
    def test_takes_pieces_and_leaves_nothing(
        self, store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(models, "PIECES", [(each, 4) for each, _ in models.PIECES])
        given_all(store)
        store.use_model("other", "second", 4)
        pieces = 0
        while store.forget_left():
            pieces += 1
            assert store.check() == []
            assert len(own(store, store.model)) == 15
            assert roles(store) == {"other": "used"}
        assert pieces > 8
        names = {name for (name,) in shell(path, "SELECT name FROM sqlite_master")}
        assert not [name for name in names if str(name).startswith("embeddings_1")]
        assert shell(path, "SELECT count(*) FROM embedding_sums WHERE model = 1") == [(0,)]
        assert not store.forget_left()

    def test_outlives_a_kill_after_any_piece(
        self, store: Store, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(models, "PIECES", [(each, 4) for each, _ in models.PIECES])
        given_all(store)
        store.use_model("other", "second", 4)
        copies = 0
        while store.forget_left():
            copies += 1
            copy = tmp_path / str(copies)
            copy.mkdir()
            for file in path.parent.glob("index.db*"):
                shutil.copy(file, copy)
            killed = Store.open(copy / "index.db", "decoder-1")
            killed.use_model("other", "second", 4)
            assert killed.check() == []
            # Whoever wants it again has it anew.
            again = killed.hold_model(Model(0, "one", "one", 8), "coming")
            assert own(killed, again) == {}
            killed.commit([embedded(3, again)], 8.0)
            while killed.forget_left():
                continue
            assert len(own(killed, again)) == 1
            assert killed.check() == []
            killed.close()

    def test_spares_one_that_is_wanted_again_in_time(self, store: Store) -> None:
        before = store.model
        given_all(store)
        store.use_model("other", "second", 4)
        assert store.hold_model(before, "kept") == before
        assert not store.forget_left()
        assert len(own(store, before)) == 15

    def test_has_nothing_counted_anew_where_nothing_was_left(self, store: Store) -> None:
        given_all(store)
        store.counts()
        commits = store._database.commits
        assert not store.forget_left()
        assert store._database.commits == commits


class TestRenewal:
    def test_knows_what_each_model_was_held_for(self, store: Store, path: Path) -> None:
        model = given_all(store)
        store.use_model("other", "second", 4, keep=True)
        store.hold_model(Model(0, "third", "third", 8), "coming", keeps=True)
        before = store.models()
        store.renew()
        assert store.models() == before
        assert store.model == model
        store.close()
        for each in path.parent.glob("index.db-*"):
            each.unlink()
        with path.open("r+b") as file:
            file.write(b"no database")
        store, _ = Store.open_anew(path, "decoder-1")
        # What cannot be read of it is held for nothing.
        assert {held.role for held in store.models()} <= {"used", "kept", "coming"}
        store.close()

    def test_brings_back_a_model_whose_row_is_gone(self, store: Store, path: Path) -> None:
        given_all(store)
        before = store.models()
        shell(path, "PRAGMA foreign_keys = off", "DELETE FROM models WHERE id = 2")
        store.repair()
        assert store.models() == before
        assert store.check() == []


def test_index_of_version_3_is_brought_to_this_form(path: Path) -> None:
    """It had a second model that nobody ever dropped."""
    path.write_bytes(gzip.decompress(VERSION_3.read_bytes()))
    store = Store.open(path, "decoder-1")
    assert store.models() == [
        Held(Model(1, "two", "second", 4), "left"),
        Held(Model(2, "one", "one", 8), "used"),
    ]
    store.use_model("one", "one", 8)
    assert [root.identity for root in store.roots()] == [Identity(1, 2, "ext4:1", "ext4")]
    assert len(own(store, store.model)) == store.counts().files == 3
    assert store.check() == []
    while store.forget_left():
        continue
    assert store.check() == []
    store.commit(batch(5), 1.0)
    store.close()
    store = opened(path)
    assert store.counts().files == 11
    store.close()
