"""From paths to changes: real decoders, and an embedder that does as it is told."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import pytest
import xxhash

import threads
from conftest import Home, until
from imgq import client, wire
from imgq.errors import CannotStart, Refused
from imgqd.embedder import ages, batches, lane, looking, reading
from imgqd.embedder import pipeline as module
from imgqd.embedder.embedder import EmbedderDied
from imgqd.embedder.jobs import Job, QueryPicture, QueryVector, Result, ThumbnailOf, Urgency
from imgqd.embedder.memory import Memory
from imgqd.embedder.pipeline import Pipeline, Plant
from imgqd.embedder.reading import STILL_S
from imgqd.embedder.slab import Slab
from imgqd.embedder.tower import Ready
from imgqd.exchange.spaces import Space
from imgqd.pictures.handle import Decoder
from imgqd.pictures.limits import Limits
from imgqd.pictures.messages import Look, Undecoded, Unseen
from imgqd.records import (
    Failed,
    Failure,
    Gone,
    Ignored,
    Indexed,
    PixelSpec,
    Precedent,
    Stamp,
)
from one_file import dying_at
from pictures import encoded, jpeg, painted

DIM = 4
PATIENCE_S = 60.0
SPEC = PixelSpec(16, 16)
LONG_AGO = (10**9, 10**9)


class Told:
    """What the embedders of a test are to do, and what they did."""

    def __init__(self) -> None:
        self.batch = 4
        self.embedded: list[int] = []
        self.alive = 0
        self.detached = 0
        self.dies_at: list[str] = []
        self.bears = 1000  # pictures at a time
        self.go = threading.Event()
        self.go.set()
        self.at_work = threading.Event()

    def maybe_die(self, where: str) -> None:
        if self.dies_at[:1] == [where]:
            self.dies_at.pop(0)
            raise EmbedderDied(f"told to die at {where}")


class Embedding:
    """Stands where the handle of the embedder's process stands; vectors are the pictures' first color.

    There is a process, too, that does nothing but end when it is told to.
    """

    def __init__(self, told: Told) -> None:
        told.maybe_die("start")
        self._told = told
        self._slabs: dict[int, int] = {}
        self._process = subprocess.Popen(["sleep", "1000"])
        self.pid = self._process.pid
        told.alive += 1

    def ready(self) -> Ready:
        self._told.maybe_die("load")
        return Ready("cpu", "f32", self._told.batch)

    def attach(self, key: int, slab: int, slots: int) -> None:
        self._told.maybe_die("attach")
        self._slabs[key] = os.dup(slab)

    def detach(self, key: int) -> None:
        self._told.maybe_die("detach")
        self._told.detached += 1
        os.close(self._slabs.pop(key))

    def embed(self, slots: Sequence[tuple[int, int]]) -> list[np.ndarray | None]:
        self._told.at_work.set()
        while not self._told.go.wait(0.01):
            if self._process.poll() is not None:
                raise EmbedderDied("it was killed")
        self._told.maybe_die("embed")
        if len(slots) > self._told.bears:
            raise EmbedderDied("killed for want of memory")
        self._told.embedded.append(len(slots))
        return [self._vector(*each) for each in slots]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._told.alive -= 1
        for slab in self._slabs.values():
            os.close(slab)

    def _vector(self, key: int, slot: int) -> np.ndarray | None:
        color = os.pread(self._slabs[key], 3, slot * SPEC.nbytes)
        vector = np.array([*color, 1], np.float32)
        return None if color[0] > 250 and color[1] < 5 else vector / np.linalg.norm(vector)


class Known:
    """What the store would know."""

    def __init__(self) -> None:
        self.vectors: dict[bytes, np.ndarray] = {}
        self.failures: dict[bytes, Precedent] = {}
        self.asked: Callable[[bytes], None] = lambda _: None

    def memory(self) -> Memory:
        return Memory(self._is_known, self.vectors.get, self.failures.get, False)

    def _is_known(self, hash: bytes) -> bool:
        self.asked(hash)
        return hash in self.vectors


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(batches, "FIRST_PAUSE_S", 0.01)
    return Told()


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
def new_pipeline(told: Told, known: Known) -> Iterator[Callable[..., Pipeline]]:
    made: list[Pipeline] = []

    def new(decoders: int = 1, idle_unload: float = 60.0, limits: Limits | None = None) -> Pipeline:
        limits = limits or Limits()
        plant = Plant(SPEC, limits, decoders, idle_unload, lambda: Embedding(told))  # type: ignore[arg-type,return-value]
        made.append(Pipeline(plant, known.memory()))
        return made[-1]

    yield new
    told.go.set()
    for pipeline in made:
        if pipeline.batches.ident is not None:
            pipeline.stop()
        assert not any(thread.is_alive() for thread in (*pipeline.lanes, pipeline.batches))


@pytest.fixture
def pipeline(new_pipeline: Callable[..., Pipeline]) -> Pipeline:
    pipeline = new_pipeline()
    pipeline.start()
    return pipeline


def job(path: Path, urgency: Urgency = Urgency.BACKLOG) -> Job:
    return Job(os.fsencode(path), Stamp.of(os.lstat(path)), urgency)


def old(path: Path) -> Path:
    """As if it had been written long ago."""
    os.utime(path, LONG_AGO)
    return path


def result(pipeline: Pipeline) -> Result:
    """The next result, taken as the indexer takes it: what has the same bytes waits for it no longer, nor
    does the next batch."""
    found = pipeline.results.get(timeout=PATIENCE_S)
    assert found is not None
    pipeline.unrecorded.add(-found.embedded)
    change = found.change
    tried = change.tried if isinstance(change, Failed) else found.decoded
    if tried and isinstance(change, Indexed | Failed) and change.hash:
        pipeline.twins.part(change.hash)
    return found


def made_of(pipeline: Pipeline, path: Path) -> Result:
    pipeline.submit(job(path))
    return result(pipeline)


def hash_of(path: Path) -> bytes:
    return xxhash.xxh3_128_digest(path.read_bytes())


# ── one file ────────────────────────────────────────────────────────────────────────────────────────


def test_a_picture_becomes_its_hash_metadata_and_vector(pipeline: Pipeline, tmp_path: Path) -> None:
    path = jpeg(tmp_path / "blue.jpg", "blue", size=(40, 30))
    found = made_of(pipeline, path)
    assert (found.decoded, found.embedded, found.again) == (True, True, None)
    change = found.change
    assert isinstance(change, Indexed)
    assert (change.path, change.hash) == (os.fsencode(path), hash_of(path))
    assert change.stamp == Stamp.of(os.lstat(path))
    assert change.metadata is not None
    assert (change.metadata.format, change.metadata.width) == ("JPEG", 40)
    assert change.embedding is not None
    assert change.embedding.argmax() == 2
    counts = {stage.name: stage.count for stage in pipeline.stages.snapshot()}
    assert counts == {"read": 1, "decode": 1, "embed": 1, "write": 0}


def test_a_known_picture_is_neither_decoded_nor_embedded(
    pipeline: Pipeline, known: Known, told: Told, tmp_path: Path
) -> None:
    path = jpeg(tmp_path / "blue.jpg", "blue")
    known.vectors[hash_of(path)] = np.zeros(DIM, np.float32)
    found = made_of(pipeline, path)
    assert isinstance(found.change, Indexed)
    assert (found.change.hash, found.change.embedding) == (hash_of(path), None)
    assert (found.decoded, found.embedded, told.embedded) == (False, False, [])


def test_a_stamp_as_young_as_the_look_is_not_trusted(pipeline: Pipeline, tmp_path: Path) -> None:
    path = jpeg(tmp_path / "blue.jpg", "blue")
    now = os.stat(path).st_mtime_ns + 10**7
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ages.time, "time_ns", lambda: now)
        young = made_of(pipeline, path).change
        patch.setattr(ages.time, "time_ns", lambda: now + 10**9)
        later = made_of(pipeline, path).change
    assert isinstance(young, Indexed)
    assert isinstance(later, Indexed)
    assert (young.trusted, later.trusted) == (False, True)


def test_a_stamp_of_whole_seconds_is_trusted_later(pipeline: Pipeline, tmp_path: Path) -> None:
    """FAT's are two seconds."""
    path = jpeg(tmp_path / "blue.jpg", "blue")
    second = time.time_ns() // 10**9 * 10**9
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ages.time, "time_ns", lambda: second + 19 * 10**8)
        for written, trusted in ((second, False), (second + 1, True), (second - 10**9, True)):
            os.utime(path, ns=(written, written))
            change = made_of(pipeline, path).change
            assert isinstance(change, Indexed)
            assert change.trusted == trusted


def test_other_bytes_under_the_same_young_stamp_are_taken_again(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were hashed are those that were decoded."""
    path = jpeg(tmp_path / "blue.jpg", "blue")
    data, real = path.read_bytes(), Decoder.decode
    path.write_bytes(data + b"a")

    class Coarse:
        @staticmethod
        def of(status: os.stat_result) -> Stamp:
            return Stamp(status.st_size, 10**9, 10**9, status.st_ino, status.st_dev)

    def changing(self: Decoder, files: Sequence[Undecoded]) -> object:
        path.write_bytes(data + b"b")
        return real(self, files)

    monkeypatch.setattr(reading, "Stamp", Coarse)
    monkeypatch.setattr(looking, "Stamp", Coarse)
    monkeypatch.setattr(ages.time, "time_ns", lambda: 10**9)
    monkeypatch.setattr(Decoder, "decode", changing)
    found = made_of(pipeline, path)
    assert (found.change, found.again) == (None, STILL_S)
    change = made_of(pipeline, path).change
    assert isinstance(change, Indexed)
    assert change.hash == hash_of(path)


def test_what_is_no_picture_is_ignored(pipeline: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("a note")
    assert made_of(pipeline, path).change == Ignored(os.fsencode(path), Stamp.of(os.lstat(path)))


def test_a_broken_picture_waits_while_it_is_young_and_fails_when_it_is_old(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    path = tmp_path / "half.jpg"
    path.write_bytes(encoded(painted(1), "JPEG")[:2000])
    found = made_of(pipeline, path)
    assert (found.change, found.again) == (Gone(os.fsencode(path)), STILL_S)
    before = reading.YOUNG_S
    with pytest.MonkeyPatch.context() as patch:
        # Its ctime cannot be made old.
        patch.setattr(reading, "YOUNG_S", -before)
        change = made_of(pipeline, path).change
    assert isinstance(change, Failed)
    assert (change.failure.kind, change.hash) == ("damaged", hash_of(path))


def test_a_time_in_the_future_keeps_no_file_young(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, half = jpeg(tmp_path / "blue.jpg", "blue"), tmp_path / "half.jpg"
    half.write_bytes(encoded(painted(1), "JPEG")[:2000])
    now = time.time_ns()
    for path in (whole, half):
        os.utime(path, ns=(now, now + 10**18))
    young = made_of(pipeline, half)
    assert (young.change, young.again) == (Gone(os.fsencode(half)), STILL_S)
    # A minute later, by the clock that gave the ctime.
    monkeypatch.setattr(ages.time, "time_ns", lambda: now + 60 * 10**9)
    assert isinstance(made_of(pipeline, half).change, Failed)
    monkeypatch.setattr(ages.time, "time_ns", lambda: os.stat(whole).st_ctime_ns + 10**7)
    change = made_of(pipeline, whole).change
    assert isinstance(change, Indexed)
    assert not change.trusted


def test_what_failed_before_is_not_decoded_again(
    pipeline: Pipeline, known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = jpeg(tmp_path / "blue.jpg", "blue")
    failure = Failure("unsupported", "a known reason")
    known.failures[hash_of(path)] = Precedent(failure, is_final=True)
    monkeypatch.setattr(Decoder, "decode", None)
    change = made_of(pipeline, path).change
    assert isinstance(change, Failed)
    assert change.failure.reason == "a known reason"


def test_a_file_that_is_gone_is_no_failure(pipeline: Pipeline, tmp_path: Path) -> None:
    path = jpeg(tmp_path / "deep" / "blue.jpg", "blue")
    work = job(path)
    for take_away in (path.unlink, path.parent.rmdir, path.parent.touch):
        take_away()
        pipeline.submit(work)
        found = result(pipeline)
        assert (found.change, found.again) == (None, 0.0)


def test_a_file_that_is_gone_leaves_nothing_in_a_circle(pipeline: Pipeline, tmp_path: Path) -> None:
    path = jpeg(tmp_path / "blue.jpg", "blue")
    work = job(path)
    path.unlink()

    def errors() -> list[OSError]:
        return [
            each
            for each in gc.get_objects()
            if issubclass(type(each), OSError) and each.filename == work.path
        ]

    gc.disable()
    try:
        pipeline.submit(work)
        result(pipeline)
        until(lambda: not errors(), "the error to be let go of")
    finally:
        gc.enable()


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(path))


def make_device(path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root makes devices")
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, listen, make_device])
def test_fault_31_a_file_that_became_something_else_blocks_nobody(
    pipeline: Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], None],
) -> None:
    monkeypatch.chdir(tmp_path)
    path = jpeg(tmp_path / "blue.jpg", "blue")
    work = job(path)
    path.unlink()
    make(path)
    pipeline.submit(work)
    assert not isinstance(result(pipeline).change, Indexed)


def test_a_file_that_became_a_link_is_not_followed(pipeline: Pipeline, tmp_path: Path) -> None:
    path = jpeg(tmp_path / "blue.jpg", "blue")
    work = job(path)
    path.rename(tmp_path / "there.jpg")
    path.symlink_to("there.jpg")
    pipeline.submit(work)
    assert not isinstance(result(pipeline).change, Indexed)


def swap(path: Path) -> None:
    """A save beside, then a rename."""
    jpeg(path.with_name("new.jpg"), "green").rename(path)


def append(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


def rewrite(path: Path) -> None:
    """In place, to the same size."""
    with open(path, "r+b") as file:
        data = file.read()
        file.seek(0)
        file.write(data)


@pytest.mark.parametrize("when", ["look", "decode"])
@pytest.mark.parametrize("change", [swap, append, rewrite])
def test_a_file_that_changes_while_it_is_read_is_taken_again(
    new_pipeline: Callable[..., Pipeline],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    when: str,
) -> None:
    path = old(jpeg(tmp_path / "blue.jpg", "blue"))
    real = getattr(Decoder, when)

    def changing(self: Decoder, *words: object) -> object:
        found = real(self, *words)
        change(path)
        return found

    pipeline = new_pipeline()
    with monkeypatch.context() as patch:
        patch.setattr(Decoder, when, changing)
        pipeline.start()
        found = made_of(pipeline, path)
        assert (found.change, found.again) == (None, STILL_S)
    again = made_of(pipeline, path).change
    assert isinstance(again, Indexed)
    assert again.hash == hash_of(path)


def test_a_known_file_that_changes_while_it_is_hashed_is_taken_again(
    pipeline: Pipeline, known: Known, tmp_path: Path
) -> None:
    path = old(jpeg(tmp_path / "blue.jpg", "blue"))
    known.vectors[hash_of(path)] = np.zeros(DIM, np.float32)
    real = Decoder.look

    def changing(self: Decoder, *words: object) -> object:
        found = real(self, *words)  # type: ignore[arg-type]
        append(path)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoder, "look", changing)
        found = made_of(pipeline, path)
    assert (found.change, found.again) == (None, STILL_S)


@pytest.mark.parametrize(("cores", "decoders"), [(3, 3), (200, module.MOST_DECODERS)])
def test_there_are_as_many_decoders_as_cores_may_be_used(
    new_pipeline: Callable[..., Pipeline],
    cores: int,
    decoders: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module.machine, "cores", lambda: cores)
    assert len(new_pipeline(decoders=0).lanes) == decoders


# ── many files ──────────────────────────────────────────────────────────────────────────────────────


def test_files_with_the_same_bytes_are_decoded_once(
    new_pipeline: Callable[..., Pipeline], told: Told, tmp_path: Path
) -> None:
    path = jpeg(tmp_path / "0.jpg", "blue")
    for number in range(1, 10):
        shutil.copy(path, tmp_path / f"{number}.jpg")
    pipeline = new_pipeline(decoders=2)
    told.go.clear()
    pipeline.start()
    for each in sorted(tmp_path.iterdir()):
        pipeline.submit(job(each))
    until(lambda: len(pipeline.twins._waiting.get(hash_of(path), [])) == 9, "the twins to wait")
    told.go.set()
    found = pipeline.results.get(timeout=PATIENCE_S)
    assert found is not None
    assert isinstance(found.change, Indexed)
    assert told.embedded == [1]
    twins = pipeline.twins.part(hash_of(path))
    assert len({twin.job.path for twin in twins}) == 9
    assert pipeline.twins.part(hash_of(path)) == []


def test_the_twins_of_a_broken_picture_wait_until_that_is_known(
    new_pipeline: Callable[..., Pipeline],
    known: Known,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "YOUNG_S", -10.0)
    (tmp_path / "0.jpg").write_bytes(encoded(painted(1), "JPEG")[:2000])
    for number in range(1, 5):
        shutil.copy(tmp_path / "0.jpg", tmp_path / f"{number}.jpg")
    pipeline = new_pipeline(decoders=2)
    pipeline.start()
    for each in tmp_path.iterdir():
        pipeline.submit(job(each))
    # It is not recorded yet.
    taken = pipeline.results.get(timeout=PATIENCE_S)
    first = taken.change if taken else None
    assert isinstance(first, Failed)
    assert first.tried
    assert first.hash is not None
    until(lambda: len(pipeline.twins._waiting[first.hash]) == 4, "the twins to wait")
    known.failures[first.hash] = Precedent(first.failure, is_final=True)
    for twin in pipeline.twins.part(first.hash):
        pipeline.submit(twin.job)
    changes = [result(pipeline).change for _ in range(4)]
    assert all(isinstance(change, Failed) and not change.tried for change in changes)
    assert len({first.path, *(change.path for change in changes if change)}) == 5


def test_a_store_that_fails_amid_a_look_leaves_no_twin_behind(
    pipeline: Pipeline, known: Known, tmp_path: Path
) -> None:
    path = jpeg(tmp_path / "blue.jpg", "blue")
    asked = 0

    def failing(_hash: bytes) -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise OSError("the store is busy")

    known.asked = failing
    assert isinstance(made_of(pipeline, path).change, Failed)
    assert isinstance(made_of(pipeline, path).change, Indexed)


def test_a_lane_that_fails_leaves_no_twin_behind(
    new_pipeline: Callable[..., Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = Decoder.decode, iter([MemoryError])

    def failing(self: Decoder, files: Sequence[Undecoded]) -> object:
        for error in failures:
            raise error
        return real(self, files)

    monkeypatch.setattr(Decoder, "decode", failing)
    pipeline = new_pipeline()
    pipeline.start()
    path = jpeg(tmp_path / "blue.jpg", "blue")
    assert isinstance(made_of(pipeline, path).change, Failed)
    assert isinstance(made_of(pipeline, path).change, Indexed)


def test_work_is_done_by_urgency_then_newest_first(
    new_pipeline: Callable[..., Pipeline], told: Told, tmp_path: Path
) -> None:
    told.batch = 1
    told.go.clear()
    pipeline = new_pipeline()
    names = []
    for urgency in (Urgency.BACKLOG, Urgency.FRESH):
        for age in (300, 100, 200):
            path = jpeg(tmp_path / f"{urgency.name}-{age}.jpg", age + urgency)
            os.utime(path, (10**9 - age, 10**9 - age))
            pipeline.submit(job(path, urgency))
            names.append(path.name)
    query = QueryPicture(os.open(jpeg(tmp_path / "query.jpg", 7), os.O_RDONLY))
    pipeline.submit(query)
    pipeline.start()
    told.go.set()
    assert isinstance(query.answer.result(PATIENCE_S), QueryVector)
    done = [Path(os.fsdecode(result(pipeline).job.path)).stem for _ in names]
    assert done == [f"{kind}-{age}" for kind in ("FRESH", "BACKLOG") for age in (100, 200, 300)]


def test_more_pictures_than_there_is_memory_for_pass_through(
    new_pipeline: Callable[..., Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOTS", 2)
    pipeline = new_pipeline(decoders=2)
    pipeline.start()
    for number in range(40):
        pipeline.submit(job(jpeg(tmp_path / f"{number}.jpg", number, size=(20, 20))))
    found = [result(pipeline) for _ in range(40)]
    assert len({each.job.path for each in found if isinstance(each.change, Indexed)}) == 40


def test_each_embedder_begins_with_little(pipeline: Pipeline, told: Told, tmp_path: Path) -> None:
    """However soon it is killed, something of what it did was recorded."""
    told.batch = 64
    for first in (0, 100):
        told.go.clear()
        told.at_work.clear()
        pipeline.submit(job(jpeg(tmp_path / f"{first}.jpg", first, size=(20, 20))))
        assert told.at_work.wait(PATIENCE_S)
        for number in range(first + 1, first + 30):
            pipeline.submit(job(jpeg(tmp_path / f"{number}.jpg", number, size=(20, 20))))
        until(lambda: pipeline._decoded.qsize() == 29, "all others to be decoded")
        told.go.set()
        assert all(isinstance(result(pipeline).change, Indexed) for _ in range(30))
        assert told.embedded == [1, 2, 4, 8, 15]
        told.embedded.clear()
        # And another takes its place.
        told.dies_at = ["embed"]


def test_broken_pictures_give_their_memory_back(
    new_pipeline: Callable[..., Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOTS", 2)
    pipeline = new_pipeline()
    pipeline.start()
    for number in range(5):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(encoded(painted(number), "JPEG")[:2000])
        assert made_of(pipeline, path).again == STILL_S
    assert isinstance(made_of(pipeline, jpeg(tmp_path / "blue.jpg", "blue")).change, Indexed)


def test_fault_37_files_wait_until_the_batch_before_is_recorded_and_queries_do_not(
    pipeline: Pipeline, told: Told, tmp_path: Path
) -> None:
    """A kill wastes no more than one batch."""
    told.go.clear()
    for number in range(12):
        pipeline.submit(job(jpeg(tmp_path / f"{number}.jpg", number, size=(20, 20))))
    assert told.at_work.wait(PATIENCE_S)
    until(lambda: pipeline._decoded.qsize() + told.batch >= 12, "all to be decoded")
    told.go.set()
    until(lambda: pipeline.results.qsize() == told.batch, "a batch")
    query = asked(pipeline, encoded(painted("green"), "PNG"), tmp_path)
    assert isinstance(query.answer.result(PATIENCE_S), QueryVector)
    # One half was embedded while the other was not recorded, and then no more.
    assert told.embedded == [1, 2, 1, 1]
    for _ in range(12):
        assert isinstance(result(pipeline).change, Indexed)
    assert sum(told.embedded) == 13


# ── a person who waits ──────────────────────────────────────────────────────────────────────────────


def asked(pipeline: Pipeline, data: bytes, folder: Path) -> QueryPicture:
    path = folder / "asked"
    path.write_bytes(data)
    query = QueryPicture(os.open(path, os.O_RDONLY))
    pipeline.submit(query)
    return query


def test_a_query_picture_is_embedded_and_known_ones_are_not(
    pipeline: Pipeline, known: Known, told: Told, tmp_path: Path
) -> None:
    data = encoded(painted("green"), "PNG")
    answer = asked(pipeline, data, tmp_path).answer.result(PATIENCE_S)
    assert isinstance(answer, QueryVector)
    assert answer.hash == xxhash.xxh3_128_digest(data)
    assert answer.vector.argmax() == 1
    known.vectors[answer.hash] = np.full(DIM, 0.5, np.float32)
    again = asked(pipeline, data, tmp_path).answer.result(PATIENCE_S)
    assert isinstance(again, QueryVector)
    assert (again.vector == 0.5).all()
    assert told.embedded == [1]
    assert pipeline.results.empty()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"a note", "unsupported"),
        (b"\xff\xd8\xff\xe0 and no more", None),
        (encoded(painted("red"), "PNG"), "damaged"),
    ],
)
def test_a_query_picture_that_shows_nothing_is_a_failure(
    pipeline: Pipeline, tmp_path: Path, data: bytes, kind: str | None
) -> None:
    answer = asked(pipeline, data, tmp_path).answer.result(PATIENCE_S)
    assert isinstance(answer, Failure)
    assert kind in (None, answer.kind)


def test_the_descriptors_of_queries_are_closed(
    pipeline: Pipeline, known: Known, tmp_path: Path
) -> None:
    samples = [b"a note", b"\xff\xd8\xff\xe0", encoded(painted("blue"), "PNG")]
    for data in samples:
        asked(pipeline, data, tmp_path).answer.result(PATIENCE_S)
    before = len(os.listdir("/dev/fd"))
    for data in samples * 5:
        asked(pipeline, data, tmp_path).answer.result(PATIENCE_S)
    known.vectors[xxhash.xxh3_128_digest(samples[2])] = np.zeros(DIM, np.float32)
    asked(pipeline, samples[2], tmp_path).answer.result(PATIENCE_S)
    assert len(os.listdir("/dev/fd")) == before


def test_thumbnails_are_drawn(pipeline: Pipeline, tmp_path: Path) -> None:
    path = jpeg(tmp_path / "blue.jpg", "blue", size=(400, 300))
    drawn, missing = (
        ThumbnailOf(os.fsencode(each), 64) for each in (path, tmp_path / "missing.jpg")
    )
    for work in (drawn, missing):
        pipeline.submit(work)
    thumbnail = drawn.answer.result(PATIENCE_S)
    assert isinstance(thumbnail, bytes)
    assert thumbnail.startswith(b"\xff\xd8\xff")
    assert isinstance(missing.answer.result(PATIENCE_S), Failure)


# ── children that die ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("where", ["start", "load", "attach", "embed"])
def test_an_embedder_that_dies_is_started_again_and_nothing_is_lost(
    pipeline: Pipeline, told: Told, tmp_path: Path, where: str
) -> None:
    told.dies_at = [where] * 3
    for number in range(6):
        pipeline.submit(job(jpeg(tmp_path / f"{number}.jpg", number)))
    found = [result(pipeline) for _ in range(6)]
    assert len({each.job.path for each in found if isinstance(each.change, Indexed)}) == 6
    assert (pipeline.restarts, told.alive) == (3, 1)
    assert (pipeline.batches.state, pipeline.batches.trouble) == ("ready", None)


def embedded_together(pipeline: Pipeline, told: Told, pictures: list[Path]) -> set[bytes]:
    """The paths of those that have vectors, when all were decoded while the first was held."""
    told.go.clear()
    told.at_work.clear()
    for path in pictures:
        pipeline.submit(job(path))
    assert told.at_work.wait(PATIENCE_S)
    held = pipeline.batches._most // 2
    until(lambda: pipeline._decoded.qsize() >= len(pictures) - held, "all others to be decoded")
    told.go.set()
    found = [result(pipeline) for _ in pictures]
    return {each.job.path for each in found if isinstance(each.change, Indexed)}


def test_an_embedder_that_dies_of_many_at_a_time_is_given_fewer(
    pipeline: Pipeline, told: Told, tmp_path: Path
) -> None:
    """And not killed by the same batch for ever."""
    told.batch, told.bears = 16, 3
    pictures = [jpeg(tmp_path / f"{number}.jpg", number) for number in range(24)]
    assert len(embedded_together(pipeline, told, pictures)) == 24
    assert max(told.embedded) == 2, "of which it can bear three, and died of four"
    assert pipeline.restarts == 1


def test_an_embedder_that_died_once_is_given_more_again(
    pipeline: Pipeline, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "SURE", 2)
    told.batch, told.bears = 16, 3
    for place in range(3):
        pictures = [jpeg(tmp_path / f"{place}-{n}.jpg", 16 * place + n) for n in range(16)]
        assert len(embedded_together(pipeline, told, pictures)) == 16
        told.bears = 1000
    assert max(told.embedded) == told.batch // 2


def test_an_embedder_that_cannot_be_started_is_tried_again(
    new_pipeline: Callable[..., Pipeline],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, failures = Embedding.__init__, iter([OSError("no process to be had")] * 2)

    def failing(self: Embedding, told: Told) -> None:
        for error in failures:
            raise error
        real(self, told)

    monkeypatch.setattr(Embedding, "__init__", failing)
    pipeline = new_pipeline()
    pipeline.start()
    assert isinstance(made_of(pipeline, jpeg(tmp_path / "blue.jpg", "blue")).change, Indexed)
    assert pipeline.restarts == 2


def test_a_query_does_not_wait_for_an_embedder_that_does_not_come_up(
    pipeline: Pipeline, told: Told, tmp_path: Path
) -> None:
    told.dies_at = ["load"] * 10_000
    query = asked(pipeline, encoded(painted("green"), "PNG"), tmp_path)
    with pytest.raises(Refused, match="told to die at load"):
        query.answer.result(PATIENCE_S)
    assert pipeline.batches.state == "failed"
    pipeline.submit(job(jpeg(tmp_path / "blue.jpg", "blue")))
    told.dies_at = []
    assert isinstance(result(pipeline).change, Indexed)


def test_a_picture_without_a_vector_fails_and_its_neighbours_do_not(
    pipeline: Pipeline, told: Told, tmp_path: Path
) -> None:
    told.go.clear()
    for name, color in (("a", "blue"), ("b", "red"), ("c", "green")):
        pipeline.submit(job(jpeg(tmp_path / f"{name}.jpg", color)))
    told.go.set()
    found = [result(pipeline) for _ in range(3)]
    failed = [each for each in found if isinstance(each.change, Failed)]
    assert [os.path.basename(each.job.path) for each in failed] == [b"b.jpg"]
    assert (failed[0].decoded, failed[0].embedded) == (True, False)
    assert failed[0].change.hash == hash_of(tmp_path / "b.jpg")  # type: ignore[union-attr]


def test_an_embedder_without_work_ends_and_comes_back(
    new_pipeline: Callable[..., Pipeline], told: Told, tmp_path: Path
) -> None:
    pipeline = new_pipeline(idle_unload=0.05)
    pipeline.start()
    for number in range(3):
        path = jpeg(tmp_path / f"{number}.jpg", number)
        assert isinstance(made_of(pipeline, path).change, Indexed)
        until(lambda: not told.alive, "the end of the embedder")
        assert (pipeline.batches.state, pipeline.batches.pid) == ("unloaded", None)
    assert pipeline.restarts == 0


def test_the_model_is_loaded_while_the_first_picture_is_decoded(
    pipeline: Pipeline, told: Told, known: Known, tmp_path: Path
) -> None:
    path = jpeg(tmp_path / "blue.jpg", "blue")
    known.vectors[hash_of(path)] = np.zeros(DIM, np.float32)
    made_of(pipeline, path)
    until(lambda: told.alive, "the embedder")


def kill_decoder(pipeline: Pipeline) -> None:
    """As whoever runs out of memory might, while it has nothing to do."""
    (one,) = pipeline.lanes
    assert one.pid is not None
    os.kill(one.pid, signal.SIGKILL)
    until(lambda: psutil.Process(one.pid).status() == psutil.STATUS_ZOMBIE, "its end")


def test_a_decoder_that_dies_between_two_pictures_costs_nothing(
    pipeline: Pipeline, told: Told, tmp_path: Path
) -> None:
    for number in range(5):
        path = jpeg(tmp_path / f"{number}.jpg", number)
        assert isinstance(made_of(pipeline, path).change, Indexed)
        kill_decoder(pipeline)
    assert pipeline.restarts == 4
    # The memory of decoders that are gone is given back.
    assert told.detached >= 3
    assert len(pipeline._slabs._by_key) <= 2


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files each look was at."""
    counts: list[int] = []
    real = Decoder.look

    def counting(self: Decoder, files: Sequence[Unseen]) -> list[Look | Failure]:
        counts.append(len(files))
        return real(self, files)

    monkeypatch.setattr(Decoder, "look", counting)
    return counts


def test_small_files_are_looked_at_together(
    new_pipeline: Callable[..., Pipeline],
    together: list[int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    small = [jpeg(tmp_path / f"{number}.jpg", number, size=(40, 30)) for number in range(18)]
    large = jpeg(tmp_path / "large.jpg", 99, size=(400, 300))
    monkeypatch.setattr(reading, "SMALL_BYTES", large.stat().st_size - 1)
    gone, odd = jpeg(tmp_path / "gone.jpg"), tmp_path / "odd.jpg"
    os.mkfifo(odd)
    pipeline = new_pipeline()
    for path in (*small, gone, odd, large):
        pipeline.submit(job(path))
    gone.unlink()
    pipeline.start()
    found = {each.job.path: each for each in (result(pipeline) for _ in range(21))}
    for path in (*small, large):
        change = found[os.fsencode(path)].change
        assert isinstance(change, Indexed)
        assert change.hash == hash_of(path)
    for path in (gone, odd):
        assert found[os.fsencode(path)].again == 0.0
    assert sum(together) == len(small) + 1
    assert len(together) < len(small) / 2
    counts = {stage.name: stage.count for stage in pipeline.stages.snapshot()}
    assert counts["read"] == counts["decode"] == len(small) + 1


def test_only_small_files_that_are_near_go_together(known: Known, tmp_path: Path) -> None:
    small, large, far = (tmp_path / name for name in ("small", "large", "far"))
    for path, size in ((small, 256 << 10), (large, (256 << 10) + 1), (far, 1)):
        path.write_bytes(bytes(size))
    memory = replace(known.memory(), is_remote=lambda path: path.endswith(b"far"))
    reader = reading.Reader(memory, None, None)  # type: ignore[arg-type]
    assert reader.goes_with_others(job(small))
    for other in (job(large), job(far), replace(job(small), alone=True)):
        assert not reader.goes_with_others(other)


def test_what_comes_one_by_one_waits_for_nothing_else(
    new_pipeline: Callable[..., Pipeline], together: list[int], tmp_path: Path
) -> None:
    pipeline = new_pipeline(decoders=4)
    for number in range(4):
        pipeline.submit(job(jpeg(tmp_path / f"{number}.jpg", number)))
    pipeline.start()
    for _ in range(4):
        assert isinstance(result(pipeline).change, Indexed)
    assert together == [1] * 4


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="/proc tells which file it is")
@pytest.mark.parametrize("job_name", ["look", "decode"])
def test_a_decoder_that_dies_of_one_of_several_pictures_costs_that_one(
    new_pipeline: Callable[..., Pipeline],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    job_name: str,
) -> None:
    real = getattr(Decoder, job_name)

    def dying(self: Decoder, files: Sequence[Unseen | Undecoded]) -> object:
        names = [os.readlink(f"/proc/self/fd/{file.descriptor}") for file in files]
        if str(tmp_path / "poison.jpg") in names:
            return dying_at(real, self, files, names.index(str(tmp_path / "poison.jpg")))
        return real(self, files)

    monkeypatch.setattr(Decoder, job_name, dying)
    pipeline = new_pipeline()
    for seed, name in enumerate(("a", "b", "poison", "c", "d", "e", "f")):
        pipeline.submit(job(jpeg(tmp_path / f"{name}.jpg", seed)))
    pipeline.start()
    results = [result(pipeline) for _ in range(7)]
    found = {os.path.basename(each.job.path): each.change for each in results}
    poison = found.pop(b"poison.jpg")
    assert isinstance(poison, Failed)
    assert poison.failure.kind == "crashed"
    assert len(found) == 6
    assert all(isinstance(change, Indexed) for change in found.values())
    assert pipeline.restarts == 1


@pytest.fixture
def are_new(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """How many pictures were decoded together, each time, and whether by a decoder that had read none."""
    found: list[tuple[int, bool]] = []
    real = Decoder.decode

    def noted(self: Decoder, files: Sequence[Undecoded]) -> object:
        found.append((len(files), self.is_new))
        return real(self, files)

    monkeypatch.setattr(Decoder, "decode", noted)
    return found


def test_what_a_decoder_was_lost_on_is_for_a_new_one_alone(
    new_pipeline: Callable[..., Pipeline], are_new: list[tuple[int, bool]], tmp_path: Path
) -> None:
    """Nothing that another picture did to a decoder can be its fault then."""
    pipeline = new_pipeline()
    suspect = replace(job(jpeg(tmp_path / "suspect.jpg", 100), Urgency.FRESH), alone=True)
    for number in range(3):
        pipeline.submit(job(jpeg(tmp_path / f"fresh-{number}.jpg", number), Urgency.FRESH))
    pipeline.submit(suspect)
    for number in range(3):
        pipeline.submit(job(jpeg(tmp_path / f"{number}.jpg", 10 + number)))
    pipeline.start()
    assert all(isinstance(result(pipeline).change, Indexed) for _ in range(7))
    assert are_new.count((1, True)) == 1
    assert are_new.index((1, True)) > 0
    assert sum(count for count, _ in are_new) == 7
    assert pipeline.restarts == 0


def test_so_are_the_same_bytes_under_another_name(
    pipeline: Pipeline, known: Known, are_new: list[tuple[int, bool]], tmp_path: Path
) -> None:
    assert isinstance(made_of(pipeline, jpeg(tmp_path / "other.jpg", 1)).change, Indexed)
    copy = jpeg(tmp_path / "copy.jpg", 2)
    known.failures[hash_of(copy)] = Precedent(Failure("crashed", "once"), is_final=False)
    assert isinstance(made_of(pipeline, copy).change, Indexed)
    assert are_new == [(1, True), (1, True)]


def test_a_decoder_that_does_not_start_is_tried_again(
    new_pipeline: Callable[..., Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "RESTART_S", 0.01)
    real, failures = Decoder.__init__, iter([CannotStart("no memory")] * 3)

    def failing(self: Decoder, *words: object) -> None:
        for error in failures:
            raise error
        real(self, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(Decoder, "__init__", failing)
    pipeline = new_pipeline()
    pipeline.start()
    assert isinstance(made_of(pipeline, jpeg(tmp_path / "blue.jpg", "blue")).change, Indexed)


def test_a_lane_outlives_a_want_of_descriptors(
    new_pipeline: Callable[..., Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "RESTART_S", 0.01)
    real, failures = Slab.__init__, iter([OSError(24, "Too many open files")] * 3)

    def failing(self: Slab, *words: int) -> None:
        for error in failures:
            raise error
        real(self, *words)

    monkeypatch.setattr(Slab, "__init__", failing)
    pipeline = new_pipeline()
    pipeline.start()
    assert isinstance(made_of(pipeline, jpeg(tmp_path / "blue.jpg", "blue")).change, Indexed)


def test_an_embedder_that_dies_while_old_memory_is_let_go_is_replaced(
    pipeline: Pipeline, told: Told, tmp_path: Path
) -> None:
    assert isinstance(made_of(pipeline, jpeg(tmp_path / "0.jpg", 0)).change, Indexed)
    kill_decoder(pipeline)
    told.dies_at = ["detach"]
    for number in range(1, 4):
        path = jpeg(tmp_path / f"{number}.jpg", number)
        assert isinstance(made_of(pipeline, path).change, Indexed)
    assert told.dies_at == []
    assert pipeline.is_alive()


# ── the end ─────────────────────────────────────────────────────────────────────────────────────────


def test_it_ends_amid_a_batch_and_with_work_left(
    new_pipeline: Callable[..., Pipeline],
    told: Told,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = new_pipeline(decoders=2)
    pipeline.start()
    told.go.clear()
    for number in range(60):
        pipeline.submit(job(jpeg(tmp_path / f"{number}.jpg", number, size=(20, 20))))
    assert told.at_work.wait(PATIENCE_S)
    monkeypatch.setattr(module, "GRACE_S", 0.05)
    pipeline.stop()
    assert (told.alive, told.embedded) == (0, [])
    assert not pipeline.is_alive()


def test_it_does_not_wait_for_a_decoder_that_hangs(
    new_pipeline: Callable[..., Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.05)
    pipeline = new_pipeline(limits=Limits(deadline_s=1000.0))
    pipeline.start()
    (one,) = pipeline.lanes
    pid = until(lambda: one.pid, "the decoder")
    os.kill(pid, signal.SIGSTOP)
    pipeline.submit(job(jpeg(tmp_path / "blue.jpg", "blue")))
    until(lambda: one.busy, "the work to be begun")
    pipeline.stop()
    assert not psutil.pid_exists(pid)


def test_it_ends_while_its_decoders_are_being_started(
    new_pipeline: Callable[..., Pipeline],
) -> None:
    pipeline = new_pipeline(decoders=2)
    pipeline.start()
    pipeline.stop()
    assert not pipeline.is_alive()


def test_it_ends_while_no_decoder_can_be_started(
    new_pipeline: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decoder, "PROGRAM", ("-c", "raise SystemExit(1)"))
    pipeline = new_pipeline()
    with monkeypatch.context() as patch:
        patch.setattr(lane, "RESTART_S", 60.0)
        failed = threading.Event()
        patch.setattr(lane.log, "error", lambda *_: failed.set())
        pipeline.start()
        assert failed.wait(PATIENCE_S)
        pipeline.stop()


def test_one_that_there_are_too_few_threads_for_is_begun_again(
    new_pipeline: Callable[..., Pipeline],
) -> None:
    space = Space(*cast(Any, [None] * 4), lambda *_: new_pipeline(decoders=2))
    before = threading.active_count()
    for after in range(3):
        with threads.refused(after=after), pytest.raises(RuntimeError, match="new thread"):
            _ = space.pipeline
        assert threading.active_count() == before
        assert space.working is None
    assert space.pipeline.is_alive()


# ── through a daemon ────────────────────────────────────────────────────────────────────────────────


def test_the_embedder_gives_its_memory_back_and_comes_again_on_demand(
    new_home: Callable[..., Home],
) -> None:
    home = new_home()
    home.settings("idle_unload = 1\n")
    home.start().watch()

    def embedders() -> list[int]:
        return [each.pid for each in home.status().processes if each.role == "embedder"]

    jpeg(home.pictures / "red.jpg", "red")
    home.settle()
    (first,) = embedders() or [0]
    until(lambda: not embedders(), "the end of the embedder")
    assert home.status().model.state == "unloaded"
    assert not psutil.pid_exists(first)
    # A text needs none of it; a picture that is asked with does.
    assert len(home.search("red")) == 1
    assert embedders() == []
    term = wire.Term(picture=encoded(painted("red"), "PNG"))
    (hits,) = client.stream(wire.Search(terms=(term,)), PATIENCE_S)
    assert isinstance(hits, wire.Hits)
    assert hits.hits[0].score > 0.99
    assert embedders() != [first]
    assert (home.status().counters.embedded, home.status().counters.restarts) == (1, 0)
