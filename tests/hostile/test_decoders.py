"""Decoders that die, hang and babble: each costs the picture that it was at, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
import unruly

from conftest import PATIENCE_S, Home, until
from imgq import wire
from imgqd.pictures.handle import MOST_TOGETHER, Decoder, DecoderLost
from imgqd.pictures.limits import Limits
from imgqd.pictures.messages import Look, Undecoded, Unseen
from imgqd.records import Metadata, PixelSpec
from pictures import encoded, jpeg, painted

NewHome = Callable[..., Home]
HERE = Path(__file__).parent
# A second for the next picture, and what the rest of the way to the index takes on a busy machine.
SERVED_S = 5.0


@pytest.fixture
def unruly_home(new_home: NewHome) -> Home:
    """A daemon with one decoder, which does what pictures say."""
    home = new_home()
    home.environment["IMGQ_TEST_TEXT"] = "small_patience:FakeTexts"
    home.environment["PYTHONPATH"] += f"{os.pathsep}{HERE / 'plants'}{os.pathsep}{HERE}"
    home.settings("decoders = 1\n")
    return home


def start(home: Home) -> wire.Status:
    """The status when the decoder is an unruly one, and has done a first picture."""
    home.start()
    home.watch()
    end_the_first(home)
    jpeg(home.pictures / "first.jpg", 1)
    home.settle()
    until(lambda: is_unruly(decoder(home)), "an unruly decoder")
    return home.status()


def end_the_first(home: Home) -> None:
    """What it is followed by is planted. It must be at rest."""
    until(lambda: home.status().model.state != "loading", "what is planted")
    found = until(lambda: decoder(home), "a decoder")
    if not is_unruly(found):
        with suppress(psutil.NoSuchProcess):
            found.kill()
            until(lambda: found.status() == psutil.STATUS_ZOMBIE, "its end")


def is_unruly(decoder: psutil.Process | None) -> bool:
    try:
        words = decoder.cmdline() if decoder else []
    except psutil.NoSuchProcess:  # replaced since
        words = []
    return any(word.endswith("unruly.py") for word in words)


def decoder(home: Home) -> psutil.Process | None:
    for each in home.status().processes:
        if each.role == "decoder":
            with suppress(psutil.NoSuchProcess):
                return psutil.Process(each.pid)
    return None


def poison(folder: Path, act: str) -> Path:
    path = folder / f"{act}.jpg"
    path.write_bytes(unruly.poison(encoded(painted(1), "JPEG"), act.encode()))
    return path


def errors(home: Home) -> dict[Path, wire.FileError]:
    reply = home.ask(wire.AskErrors())
    assert isinstance(reply, wire.Errors)
    return {Path(os.fsdecode(error.path)): error for error in reply.errors}


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        ("segfault", "crashed", "Segmentation fault"),
        ("fill memory", "crashed", "for want of memory"),
        ("hang", "timeout", "longer than 3 s"),
        ("close the pipe", "crashed", "hung up"),
        ("say garbage", "crashed", "answered with a message of"),
        ("answer nonsense", "crashed", "answered with a failure of no kind"),
    ],
)
def test_fault_55_what_a_picture_does_to_its_decoder_costs_that_picture(
    unruly_home: Home, act: str, kind: str, words: str
) -> None:
    home = unruly_home
    start(home)
    bad = poison(home.pictures, act)
    until(lambda: [each.attempts for each in errors(home).values()] == [2], "both attempts")
    good = jpeg(home.pictures / "after.jpg", 3)
    until(lambda: good in home.indexed(), "the next picture", SERVED_S)
    status = home.settle()
    assert {path.name for path in home.indexed()} == {"first.jpg", "after.jpg"}
    assert [*errors(home)] == [bad]
    assert errors(home)[bad].kind == kind
    assert words in errors(home)[bad].reason
    assert home.embedded() == status.index.files == 2


def test_fault_55_what_a_decoder_prints_is_not_kept(unruly_home: Home) -> None:
    home = unruly_home
    restarts = start(home).counters.restarts
    assert home.daemon is not None
    daemon = psutil.Process(home.daemon.pid)
    before = daemon.memory_info().rss
    loud = poison(home.pictures, "print much")
    home.settle()
    assert loud in home.indexed()
    assert daemon.memory_info().rss - before < 10 << 20
    assert len(home.log) < 100_000
    assert home.status().counters.restarts == restarts


def test_fault_56_a_poison_is_tried_twice_in_all(unruly_home: Home) -> None:
    """Whatever it is called, and however often it is there."""
    home = unruly_home
    before = start(home).counters.restarts
    bad = poison(home.pictures, "segfault")
    until(lambda: bad in errors(home), "the failure")
    for number in range(3):
        copy = Path(shutil.copy(bad, home.pictures / f"copy-{number}.jpg"))
        until(lambda copy=copy: copy in errors(home), "the failure of a copy")
    home.settle()
    bad = bad.rename(home.pictures / "renamed.jpg")
    home.settle()
    restarts = home.status().counters.restarts - before
    for number in range(3):
        assert home.stop() == 0
        shutil.copy(bad, home.pictures / f"while-it-slept-{number}.jpg")
        before = start(home).counters.restarts
        restarts += home.settle().counters.restarts - before
    assert len(errors(home)) == 7
    assert {error.kind for error in errors(home).values()} == {"crashed"}
    assert restarts == 2
    assert home.log.count("Segmentation fault") == 1, "one line a problem"


@pytest.mark.parametrize("act", ["say garbage", "answer nonsense", "segfault"])
def test_fault_56_so_is_one_amid_others_which_lose_nothing(unruly_home: Home, act: str) -> None:
    """The daemon is killed between the two attempts."""
    home = unruly_home
    home.environment["IMGQ_TEST_TEXT"] = "killed_after_one:FakeTexts"
    start(home)
    home.ask(wire.Pause())
    good = [jpeg(home.pictures / f"{number}.jpg", number) for number in range(2 * MOST_TOGETHER)]
    bad = poison(home.pictures, act)
    until(lambda: home.status().index.pending == len(good) + 1, "all of them")
    (paused,) = home.folder.rglob("paused")
    pause = paused.read_bytes()
    home.ask(wire.Resume())
    assert home.daemon is not None
    assert home.daemon.wait(PATIENCE_S) == -signal.SIGKILL
    paused.write_bytes(pause)
    home.environment["IMGQ_TEST_TEXT"] = "small_patience:FakeTexts"
    home.start()
    end_the_first(home)
    assert [error.attempts for error in errors(home).values()] == [1]
    home.ask(wire.Resume())
    for _ in range(2):
        home.settle()
        assert {*good} < {*home.indexed()}
        assert {path: error.attempts for path, error in errors(home).items()} == {bad: 2}
        assert home.stop() == 0
        home.start()
    assert (home.folder / "lost").read_text().splitlines() == [bad.name] * 2


def test_a_decoder_serves_some_pictures_and_makes_way(unruly_home: Home) -> None:
    home = unruly_home
    restarts = start(home).counters.restarts
    assert home.daemon is not None
    daemon = psutil.Process(home.daemon.pid)
    first, descriptors = decoder(home), daemon.num_fds()
    for number in range(40):
        jpeg(home.pictures / f"{number}.jpg", number + 100)
    status = home.settle()
    assert (home.embedded(), status.counters.restarts) == (41, restarts)
    assert first is not None
    assert not first.is_running()
    until(lambda: daemon.num_fds() <= descriptors + 2, "no descriptors left behind")


class Unruly(Decoder):
    PROGRAM = (unruly.__file__,)


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        ("segfault", "crashed"),
        ("fill memory", "crashed"),
        ("hang", "timeout"),
        ("close the pipe", "crashed"),
        ("say garbage", "crashed"),
        ("answer nonsense", "crashed"),
    ],
)
@pytest.mark.parametrize("number", [0, 2, MOST_TOGETHER - 1])
def test_which_of_several_a_decoder_was_lost_at_is_known(
    tmp_path: Path, act: str, kind: str, number: int
) -> None:
    paths = [jpeg(tmp_path / f"{each}.jpg", each) for each in range(MOST_TOGETHER)]
    paths[number] = poison(tmp_path, act)
    decoder = Unruly(PixelSpec(16, 16), MOST_TOGETHER, Limits(deadline_s=0.5))
    with ExitStack() as files:
        opened = [files.enter_context(path.open("rb")).fileno() for path in paths]
        looks = decoder.look([Unseen(descriptor) for descriptor in opened])
        assert all(isinstance(look, Look) and look.hash for look in looks)
        with pytest.raises(DecoderLost) as lost:
            decoder.decode([Undecoded(each, slot) for slot, each in enumerate(opened)])
    assert (lost.value.failure.kind, len(lost.value.done)) == (kind, number)
    assert all(isinstance(each, Metadata) for each in lost.value.done)
    decoder.close()
