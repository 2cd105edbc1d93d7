"""Files on disks that may stop answering: a real file system whose server hangs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import threads
from conftest import until
from fuse_disk import PIT, FuseDisk, fuse_disk
from imgqd.embedder import disks as module
from imgqd.embedder import reading
from imgqd.embedder.disks import Disks, SilentDisk
from imgqd.embedder.jobs import Result, ThumbnailOf
from imgqd.embedder.memory import Memory
from imgqd.embedder.pipeline import Pipeline
from imgqd.pictures.handle import Decoder
from imgqd.pictures.limits import Limits
from imgqd.pictures.messages import Undecoded
from imgqd.records import Failed, Failure, Indexed, Stamp
from pictures import jpeg
from test_pipeline import PATIENCE_S, SPEC, Known, job, made_of, new_pipeline, result, told

__all__ = ["new_pipeline", "told"]
NewPipeline = Callable[..., Pipeline]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FuseDisk]:
    """Its files lie in `tmp_path / "source"`."""
    with fuse_disk(tmp_path / "source", tmp_path / "far") as disk:
        if disk is None:
            pytest.skip("only root mounts a file system of its own, where there is /dev/fuse")
        yield disk


@pytest.fixture
def far(disk: FuseDisk, tmp_path: Path) -> Path:
    """A picture on that disk."""
    return disk.folder / jpeg(tmp_path / "source" / "blue.jpg", "blue").name


@pytest.fixture
def known(tmp_path: Path) -> Known:
    prefix = os.fsencode(tmp_path / "far")

    class Far(Known):
        def memory(self) -> Memory:
            return replace(super().memory(), is_remote=lambda path: path.startswith(prefix))

    return Far()


@pytest.fixture
def disks(known: Known, monkeypatch: pytest.MonkeyPatch) -> Disks:
    monkeypatch.setattr(module, "SILENT_S", 0.3)
    return Disks(known.memory())


def descriptors() -> set[str]:
    return set(os.listdir("/dev/fd"))


def can_be_opened(disks: Disks, path: Path) -> bool:
    try:
        with disks.opened(os.fsencode(path), 1):
            return True
    except SilentDisk:
        return False


def test_a_file_far_away_is_read_as_any_other(disks: Disks, far: Path) -> None:
    before = descriptors()
    with disks.opened(os.fsencode(far), 1) as file:
        assert Stamp.of(file.status()) == Stamp.of(file.at_first) == Stamp.of(os.lstat(far))
        assert os.pread(file.descriptor, 3, 0) == b"\xff\xd8\xff"
    until(lambda: descriptors() == before, "the descriptor to be closed")
    far = far.with_name("missing.jpg")
    with pytest.raises(FileNotFoundError), disks.opened(os.fsencode(far), 1):
        pass


def test_a_disk_that_hangs_is_asked_for_nothing_until_it_answers(
    disks: Disks, disk: FuseDisk, far: Path
) -> None:
    before, threads = descriptors(), threading.active_count()
    disk.hang()
    for _ in range(3):
        with pytest.raises(SilentDisk), disks.opened(os.fsencode(far), 1):
            pass
        assert threading.active_count() == threads + 1
    disk.go_on()
    until(lambda: can_be_opened(disks, far), "the disk to answer")
    until(lambda: descriptors() == before, "what was opened in vain to be closed")


def test_a_disk_that_hangs_holds_up_no_other(
    disks: Disks, disk: FuseDisk, far: Path, tmp_path: Path
) -> None:
    near = jpeg(tmp_path / "near.jpg")
    disk.hang()
    assert not can_be_opened(disks, far)
    with disks.opened(os.fsencode(near), 2) as file:
        assert file.at_first.st_size == near.stat().st_size
    disk.go_on()


def test_a_disk_may_hang_while_a_file_is_open(disks: Disks, disk: FuseDisk, far: Path) -> None:
    with disks.opened(os.fsencode(far), 1) as file:
        disk.hang()
        with pytest.raises(SilentDisk):
            file.status()
    disk.go_on()
    until(lambda: can_be_opened(disks, far), "the disk to answer")


def test_a_disk_that_is_known_to_be_silent_is_not_asked(known: Known, tmp_path: Path) -> None:
    disks = Disks(replace(known.memory(), is_silent=lambda _: True))
    with pytest.raises(SilentDisk), disks.opened(os.fsencode(jpeg(tmp_path / "near.jpg")), 1):
        pass


def test_a_disk_that_there_is_no_thread_for_is_asked_later(disks: Disks, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    far = jpeg(tmp_path / "far" / "blue.jpg", "blue")
    before = descriptors()
    with threads.refused():
        assert not can_be_opened(disks, far)
    with disks.opened(os.fsencode(far), 1) as file, threads.refused():
        with pytest.raises(SilentDisk):
            file.status()
        opened = descriptors()
    with disks.opened(os.fsencode(far), 1), threads.refused():
        pass
    until(lambda: descriptors() == before, "the descriptors to be closed")
    assert opened > before


# ── through a pipeline ──────────────────────────────────────────────────────────────────────────────


def test_fault_34_a_disk_that_hangs_holds_up_its_own_pictures_alone(
    new_pipeline: NewPipeline, disk: FuseDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_S", 0.3)
    far = [disk.folder / jpeg(tmp_path / "source" / f"{n}.jpg", n).name for n in range(8)]
    near = [jpeg(tmp_path / f"{n}.jpg", 100 + n) for n in range(8)]
    waiting = [job(path) for path in far]
    disk.hang()
    pipeline = new_pipeline(decoders=2)
    pipeline.start()
    for each in [*waiting, *map(job, near)]:
        pipeline.submit(each)
    found = {each.job.path: each for each in (result(pipeline) for _ in range(16))}
    for path in near:
        assert isinstance(found[os.fsencode(path)].change, Indexed)
    for each in waiting:
        assert found[each.path] == Result(each, again=reading.SILENT_AGAIN_S)
    assert (pipeline.restarts, pipeline.is_alive()) == (0, True)
    disk.go_on()
    until(lambda: isinstance(made_of(pipeline, far[0]).change, Indexed), "the disk to answer")
    for path in far[1:]:
        assert isinstance(made_of(pipeline, path).change, Indexed)


def test_a_pipeline_ends_while_a_disk_hangs(
    new_pipeline: NewPipeline, disk: FuseDisk, far: Path
) -> None:
    work = job(far)
    disk.hang()
    pipeline = new_pipeline()
    pipeline.start()
    pipeline.submit(work)
    until(lambda: pipeline.lanes[0].busy, "the disk to be asked")
    began = time.monotonic()
    pipeline.stop()
    assert time.monotonic() - began < module.SILENT_S / 2
    assert not pipeline.is_alive()
    disk.go_on()


def test_a_thumbnail_from_a_disk_that_hangs_is_a_failure(
    new_pipeline: NewPipeline, disk: FuseDisk, far: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_S", 0.3)
    pipeline = new_pipeline()
    pipeline.start()
    disk.hang()
    work = ThumbnailOf(os.fsencode(far), 64)
    pipeline.submit(work)
    answer = work.answer.result(PATIENCE_S)
    assert isinstance(answer, Failure)
    assert answer.reason == "its disk does not answer"
    disk.go_on()


def test_a_disk_that_hangs_amid_a_picture_is_not_the_pictures_fault(
    new_pipeline: NewPipeline, disk: FuseDisk, far: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Decoder.decode

    def hanging(self: Decoder, files: Sequence[Undecoded]) -> object:
        disk.hang()
        return real(self, files)

    pipeline = new_pipeline(limits=Limits(deadline_s=0.3))
    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "decode", hanging)
        pipeline.start()
        change = made_of(pipeline, far).change
    assert isinstance(change, Failed)
    assert change.failure.kind == "unreadable"
    disk.go_on()
    assert isinstance(made_of(pipeline, far).change, Indexed)


def test_a_decoder_that_cannot_be_ended_is_left_behind(
    new_pipeline: NewPipeline, disk: FuseDisk, far: Path, tmp_path: Path
) -> None:
    (tmp_path / "source" / PIT).write_bytes(far.read_bytes())
    near = jpeg(tmp_path / "near.jpg", "green")
    pipeline = new_pipeline(limits=Limits(deadline_s=0.3))
    pipeline.start()
    (one,) = pipeline.lanes
    stuck = until(lambda: one.pid, "the decoder")
    change = made_of(pipeline, disk.folder / PIT).change
    assert isinstance(change, Failed)
    assert change.failure.kind == "unreadable"
    assert isinstance(made_of(pipeline, near).change, Indexed)
    assert Path(f"/proc/{stuck}").exists()
    disk.close()
    # Whoever starts another buries it.
    until(lambda: (Path(f"/proc/{stuck}/stat").read_text().split()[2]) == "Z", "its end")
    Decoder(SPEC, 1).close()
    assert not Path(f"/proc/{stuck}").exists()
