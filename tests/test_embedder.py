"""The embedder's process and the daemon's handle on it: real children, real shared memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from fake_embedder import FakeTexts, embedded, environment, vectors
from imgqd.embedder import loop
from imgqd.embedder.embedder import Embedder, EmbedderDied, EmbedderFailed
from imgqd.embedder.tower import Configuration
from imgqd.models.card import Card
from imgqd.records import PixelSpec
from slabs import Slab, noise

FAKE = Card(
    name="fake",
    architecture="fake",
    tag=None,
    weights="",
    sha256="",
    identity="fake@1",
    dim=64,
    pixels=PixelSpec(16, 16),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    context_length=8,
)
PATIENCE_S = 60.0


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


New = Callable[..., Embedder]


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    return tmp_path / "embedded"


@pytest.fixture
def new(monkeypatch: pytest.MonkeyPatch, counter: Path) -> Iterator[New]:
    """Starts an Embedder with the fake tower; faults as in fake_embedder.environment."""
    started: list[Embedder] = []

    def start(
        configuration: Configuration | None = None, timeout: float = PATIENCE_S, **faults: object
    ) -> Embedder:
        for name, value in environment(counter, **faults).items():
            monkeypatch.setenv(name, value)
        started.append(Embedder(configuration or Configuration(FAKE), timeout=timeout))
        return started[-1]

    yield start
    for each in started:
        each.close()


class TestEmbedder:
    def test_embeds_what_lies_in_the_slots(self, new: New, counter: Path) -> None:
        first, second = Slab(noise(FAKE.pixels, 3)), Slab(noise(FAKE.pixels, 2))
        embedder = new()
        ready = embedder.ready()
        assert (ready.device, ready.batch) == ("cpu", 16)
        embedder.attach(7, first.descriptor, 3)
        embedder.attach(9, second.descriptor, 2)
        found = embedder.embed([(9, 1), (7, 0), (7, 2), (9, 1)])
        pixels = np.stack([second.pixels[1], first.pixels[0], first.pixels[2], second.pixels[1]])
        np.testing.assert_array_equal(
            np.stack([v for v in found if v is not None]), vectors(pixels, 64)
        )
        # What a decoder writes later is seen without another word.
        first.pixels[0] = 200
        (again,) = embedder.embed([(7, 0)])
        np.testing.assert_array_equal(again, vectors(first.pixels[:1], 64)[0])
        assert embedded(counter) == 5
        assert embedder.embed([]) == []

    def test_refuses_slots_that_are_not_there(self, new: New) -> None:
        slab = Slab(noise(FAKE.pixels, 2))
        embedder = new()
        embedder.ready()
        embedder.attach(1, slab.descriptor, 2)
        for slot in [(1, 2), (1, -1), (2, 0)]:
            with pytest.raises(EmbedderFailed, match="there is no slot"):
                embedder.embed([(1, 0), slot])
        embedder.detach(1)
        with pytest.raises(EmbedderFailed, match="there is no slot"):
            embedder.embed([(1, 0)])
        with pytest.raises(EmbedderFailed, match="not 3 slots long"):
            embedder.attach(1, slab.descriptor, 3)
        embedder.attach(1, slab.descriptor, 2)
        assert len(embedder.embed(slab.all(1))) == 2

    def test_gives_no_vector_that_is_none(self, new: New) -> None:
        slab = Slab(noise(FAKE.pixels, 5))
        embedder = new(nan=4)
        embedder.ready()
        embedder.attach(0, slab.descriptor, 5)
        found = embedder.embed(slab.all(0))
        assert [vector is None for vector in found] == [False, False, False, True, False]
        assert all(vector is not None for vector in embedder.embed(slab.all(0)))

    def test_gives_no_vectors_of_the_wrong_length(self, new: New) -> None:
        slab = Slab(noise(FAKE.pixels, 3))
        embedder = new(short=1)
        embedder.ready()
        embedder.attach(0, slab.descriptor, 3)
        assert embedder.embed(slab.all(0)) == [None] * 3
        assert all(vector is not None for vector in embedder.embed(slab.all(0)))

    def test_halves_its_batch_when_memory_runs_out(
        self, new: New, counter: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        slab = Slab(noise(FAKE.pixels, 13))
        embedder = new(memory=3)
        assert embedder.ready().batch == 16
        embedder.attach(0, slab.descriptor, 13)
        found = [vector for vector in embedder.embed(slab.all(0)) if vector is not None]
        np.testing.assert_array_equal(np.stack(found), vectors(slab.pixels, 64))
        assert embedder.batch == 3
        assert "out of memory" in caplog.text
        # Every picture once, in batches that fit.
        assert embedded(counter) == 13
        embedder.embed(slab.all(0))
        assert embedder.batch == 3

    def test_says_so_when_not_even_one_picture_fits(self, new: New) -> None:
        slab = Slab(noise(FAKE.pixels, 2))
        embedder = new(memory=-1)
        embedder.ready()
        embedder.attach(0, slab.descriptor, 2)
        with pytest.raises(EmbedderFailed, match="out of memory"):
            embedder.embed(slab.all(0))

    def test_takes_the_batch_it_is_given(self, new: New) -> None:
        assert new(Configuration(FAKE, batch=5)).ready().batch == 5

    def test_runs_below_the_daemons_priority(self, new: New) -> None:
        embedder = new(Configuration(FAKE, nice=3))
        embedder.ready()
        assert psutil.Process(embedder.pid).nice() == min(psutil.Process().nice() + 3, 19)


class TestItsEnd:
    def test_by_a_signal_is_told(self, new: New) -> None:
        slab = Slab(noise(FAKE.pixels, 1))
        embedder = new()
        embedder.ready()
        embedder.attach(0, slab.descriptor, 1)
        os.kill(embedder.pid, signal.SIGKILL)
        with pytest.raises(EmbedderDied, match="SIGKILL"):
            embedder.embed([(0, 0)])
        with pytest.raises(EmbedderDied):
            embedder.embed([(0, 0)])

    def test_in_the_middle_of_a_batch_is_told(self, new: New, counter: Path) -> None:
        slab = Slab(noise(FAKE.pixels, 1))
        embedder = new(die=2)
        embedder.ready()
        embedder.attach(0, slab.descriptor, 1)
        embedder.embed([(0, 0)])
        with pytest.raises(EmbedderDied, match="SIGKILL"):
            embedder.embed([(0, 0)])
        # The next one lives.
        successor = new(die=2)
        successor.ready()
        successor.attach(0, slab.descriptor, 1)
        for _ in range(3):
            successor.embed([(0, 0)])
        assert embedded(counter) == 4

    def test_comes_with_its_last_words(self) -> None:
        code = "import sys; sys.exit('\\n'.join(['first', *'abcd', 'no such model']))"
        with (
            Embedder(Configuration(FAKE), command=(sys.executable, "-c", code)) as embedder,
            pytest.raises(EmbedderDied, match=r"status 1; a; b; c; d; no such model$"),
        ):
            embedder.ready()

    def test_is_made_where_nobody_can_listen(
        self, new: New, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def start(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        before = psutil.Process().children()
        monkeypatch.setattr(threading.Thread, "start", start)
        with pytest.raises(EmbedderFailed, match="no thread for it: can't start"):
            new()
        assert psutil.Process().children() == before

    def test_is_made_where_it_hangs(self, new: New) -> None:
        slab = Slab(noise(FAKE.pixels, 1))
        embedder = new(timeout=3.0)
        embedder.ready()
        embedder.attach(0, slab.descriptor, 1)
        os.kill(embedder.pid, signal.SIGSTOP)
        with pytest.raises(EmbedderDied, match="did not answer"):
            embedder.embed([(0, 0)])
        assert not psutil.pid_exists(embedder.pid)

    def test_is_there_when_close_returns(self, new: New, counter: Path) -> None:
        slab = Slab(noise(FAKE.pixels, 1))
        embedder = new(slow=PATIENCE_S)
        embedder.ready()
        embedder.attach(0, slab.descriptor, 1)
        ends: list[Exception] = []

        def wait() -> None:
            try:
                embedder.embed([(0, 0)])
            except EmbedderDied as error:
                ends.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        process = psutil.Process(embedder.pid)
        until(lambda: process.status() == psutil.STATUS_SLEEPING)
        embedder.close()
        assert not psutil.pid_exists(process.pid)
        waiting.join(PATIENCE_S)
        assert len(ends) == 1
        embedder.close()

    def test_does_not_come_by_a_keyboard(self, new: New) -> None:
        slab = Slab(noise(FAKE.pixels, 1))
        # A shell's background jobs, and so their children, are deaf to it from the start.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        embedder = new()
        signal.signal(signal.SIGINT, before)
        embedder.ready()
        os.kill(embedder.pid, signal.SIGINT)
        embedder.attach(0, slab.descriptor, 1)
        assert len(embedder.embed([(0, 0)])) == 1

    @pytest.mark.parametrize("slow", [0, PATIENCE_S])
    def test_comes_with_the_daemons(self, new: New, tmp_path: Path, slow: float) -> None:
        """Idle or amid a batch: a child process makes an Embedder and is killed."""
        new(slow=slow).close()
        code = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_embedder import FAKE, Configuration, Embedder, Slab, noise
slab = Slab(noise(FAKE.pixels, 1))
embedder = Embedder(Configuration(FAKE))
embedder.ready()
embedder.attach(0, slab.descriptor, 1)
print(embedder.pid, flush=True)
if {slow}:
    embedder.embed([(0, 0)])
time.sleep({PATIENCE_S})
"""
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
        ) as daemon:
            assert daemon.stdout is not None
            child = int(daemon.stdout.readline())
            daemon.kill()
        until(lambda: not psutil.pid_exists(child) or _is_zombie(child))


class TestFake:
    def test_texts_have_the_vectors_of_pictures_in_their_colors(self) -> None:
        red = np.full((1, 40, 60, 3), (220, 30, 30), np.uint8)
        red_text, blue_text = FakeTexts(FAKE).embed(["a red car", "blue"])
        assert vectors(red, 64)[0] @ red_text > 0.99 > 0.5 > vectors(red, 64)[0] @ blue_text


class TestSound:
    def test_vectors_are_finite_of_unit_norm_and_of_the_right_length(self) -> None:
        found = np.zeros((5, 4), np.float32)
        found[0] = 0.5
        found[1, 0] = np.nan
        found[2, 0] = np.inf
        found[4] = 0.51
        assert loop._sound(found, (5, 4)) == [0]
        assert loop._sound(found, (5, 3)) == loop._sound(found, (4, 4)) == []


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
