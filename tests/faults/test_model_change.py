"""Another model comes into use while the one before answers: nothing fails, is mixed, or is lost."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import change
import disks
import oracle
import spaces_apart
from change import COLORS, filled, named, wrong_answer
from conftest import PATIENCE_S, Home, until
from imgq import client, wire
from imgq.errors import Refused, UsageError
from pictures import png
from test_full_disk import ballast, codes, fill_all_but

OTHERS = 40


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A library that builtin has embedded, with two other models at hand."""
    home = Home(tmp_path, change.environment(tmp_path / "embedded"))
    monkeypatch.setenv("IMGQ_HOME", home.environment["IMGQ_HOME"])
    spaces_apart.add_cards(tmp_path / "home")
    filled(home, OTHERS).start()
    home.watch()
    home.settle()
    home.model = None
    yield home
    if home.daemon is not None and home.daemon.poll() is None:
        home.kill()


def tell(home: Home, name: str, what: str, is_so: bool = True) -> None:
    spaces_apart.tell(home.folder / "home", name, what, is_so)


def use(home: Home, name: str, keep: bool = False) -> None:
    home.ask(wire.UseModel(name=name, keep=keep))


def is_used(home: Home, name: str) -> Callable[[], bool]:
    return lambda: home.status().model.name == name and home.status().change is None


def roles(home: Home) -> dict[str, str]:
    return {held.name: held.role for held in home.status().models}


def answers(home: Home, color: str, model: str | None = None) -> str:
    """The model that finds the picture of a color, which is found."""
    request = wire.Search(terms=(wire.Term(text=color),), model=model)
    pieces = list(client.stream(request, PATIENCE_S))
    assert all(isinstance(piece, wire.Hits) for piece in pieces)
    wrong = wrong_answer(home, color, [hit for piece in pieces for hit in piece.hits])  # type: ignore[attr-defined]
    assert wrong is None, wrong
    return str(pieces[0].model)  # type: ignore[attr-defined]


def test_of_many_queries_none_fails_and_none_mixes_models(home: Home) -> None:
    """A thousand by `python -m tests.faults.change`."""
    answered = change.asked(home, 150)
    assert set(answered) == {"builtin", "second"}


def test_fault_38_killed_amid_a_change_it_goes_on(home: Home) -> None:
    """Twenty rounds by `python -m tests.faults.change`."""
    for name in ("second", "builtin"):
        tell(home, name, "waits")
    use(home, "second")
    home.kill()
    home.start()
    assert (answers(home, "red"), roles(home)["second"]) == ("builtin", "coming")
    tell(home, "second", "waits", False)
    until(is_used(home, "second"), "the change")
    home.kill()
    tell(home, "builtin", "waits", False)
    home.start()
    assert answers(home, "red") == "second"
    assert list(change.killed(home, 2))


def test_fault_38_killed_under_load_it_goes_on(home: Home) -> None:
    """Twenty rounds by `python -m tests.faults.change --load`."""
    assert list(change.killed(home, 1, seed=3, load=True))


def test_what_happens_meanwhile_is_right_before_and_after(home: Home) -> None:
    tell(home, "second", "waits")
    use(home, "second")
    until(lambda: home.status().change, "a change")
    red, green, blue = (home.pictures / f"{color}.png" for color in ("red", "green", "blue"))
    red.unlink()
    shutil.copy(blue, green)
    png(home.pictures / "new.png", named((1, 2, 3)))
    (home.pictures / "others").rename(home.pictures / "moved")
    oracle.check(home, home.pictures)
    assert home.status().model.name == "builtin"
    assert answers(home, "yellow") == "builtin"
    tell(home, "second", "waits", False)
    until(is_used(home, "second"), "the change")
    status = home.settle()
    assert (status.index.pending, status.index.files) == (0, len(COLORS) + OTHERS)
    assert answers(home, "yellow") == "second"
    best = home.search("black", top=1)[0]
    assert best.path in (os.fsencode(home.pictures / each) for each in ("new.png", "black.png"))
    assert home.imgq("check").returncode == 0


def test_one_may_change_one_s_mind(home: Home) -> None:
    tell(home, "second", "waits")
    use(home, "second")
    until(lambda: home.status().change, "a change")
    # To the third in place of it, which has vectors of another length.
    use(home, "third")
    until(is_used(home, "third"), "the change")
    assert (answers(home, "red"), roles(home)) == ("third", {"third": "used"})
    until(lambda: change._models_in(home) == 1, "an end of what was made")
    tell(home, "builtin", "waits")
    use(home, "builtin")
    assert roles(home) == {"third": "used", "builtin": "coming"}
    # And back to what there was.
    use(home, "third")
    assert (home.status().change, roles(home)) == (None, {"third": "used"})
    for name in ("second", "builtin"):
        tell(home, name, "waits", False)
    until(lambda: change._models_in(home) == 1, "an end of what was made")
    assert home.imgq("check").returncode == 0
    home.kill()
    home.start()
    assert (answers(home, "red"), home.status().change) == ("third", None)


def test_whoever_changes_their_mind_near_the_end_has_no_file_wait(home: Home) -> None:
    """Where the end is near and does not come, new files wait for a while."""
    tell(home, "second", "waits")
    use(home, "second")
    numbers = itertools.count()

    def a_file_waits() -> bool:
        png(home.pictures / f"new-{next(numbers)}.png", named((1, 2, 3)))
        settled = home.ask(wire.Settle(timeout=1.0))
        assert isinstance(settled, wire.Settled)
        return not settled.settled

    until(a_file_waits, "a file that waits")
    use(home, "builtin")
    assert home.settle().index.pending == 0


def test_a_model_that_is_kept_can_be_asked(home: Home) -> None:
    with pytest.raises(Refused, match="no vectors of second") as said:
        answers(home, "red", "second")
    assert "builtin" in said.value.hint
    tell(home, "second", "waits")
    use(home, "second", keep=True)
    with pytest.raises(Refused, match="still being made") as said:
        answers(home, "red", "second")
    assert "builtin" in said.value.hint
    # That both are wanted outlives a kill.
    home.kill()
    home.start()
    assert home.status().change is not None
    tell(home, "second", "waits", False)
    until(is_used(home, "second"), "the change")
    assert roles(home) == {"second": "used", "builtin": "kept"}
    assert [answers(home, "red", name) for name in (None, "second", "builtin")] == [
        "second",
        "second",
        "builtin",
    ]
    # What comes gets vectors of both.
    png(home.pictures / "new.png", named((200, 0, 200)))
    home.settle()
    until(lambda: _knows(home, "builtin", "new.png"), "a vector by the one that is kept")
    # And is forgotten by both.
    (home.pictures / "new.png").unlink()
    home.settle()
    assert not _knows(home, "builtin", "new.png")
    # Nor is it away while it comes into use.
    tell(home, "builtin", "waits")
    png(home.pictures / "newer.png", named((0, 200, 200)))
    home.settle()
    use(home, "builtin", keep=True)
    assert roles(home) == {"second": "used", "builtin": "coming"}
    assert answers(home, "red", "builtin") == "builtin"
    # Nor where somebody thinks better of it.
    use(home, "second")
    assert (home.status().change, roles(home)) == (None, {"second": "used", "builtin": "kept"})
    use(home, "builtin", keep=True)
    assert roles(home) == {"second": "used", "builtin": "coming"}
    tell(home, "builtin", "waits", False)
    until(is_used(home, "builtin"), "the change back")
    use(home, "second", keep=True)
    until(is_used(home, "second"), "the change once more")
    with pytest.raises(UsageError, match="is in use"):
        home.ask(wire.DropModel(name="second"))
    home.ask(wire.DropModel(name="builtin"))
    assert roles(home) == {"second": "used"}
    with pytest.raises(Refused):
        answers(home, "red", "builtin")
    until(lambda: change._models_in(home) == 1, "an end of its vectors")
    with pytest.raises(UsageError, match="no vectors of builtin"):
        home.ask(wire.DropModel(name="builtin"))
    assert home.imgq("check").returncode == 0


def _knows(home: Home, model: str, name: str) -> bool:
    """Whether a picture is found by a model."""
    request = wire.Search(terms=(wire.Term(text="purple"),), model=model, top=1000)
    pieces = client.stream(request, PATIENCE_S)
    wanted = os.fsencode(home.pictures / name)
    return any(
        hit.path == wanted for piece in pieces if isinstance(piece, wire.Hits) for hit in piece.hits
    )


def test_one_that_is_kept_rests_until_it_is_asked(home: Home) -> None:
    home.kill()
    alone = 2
    home.settings(f"idle_unload = 1\ndecoders = {alone}\n")
    home.start()
    use(home, "second", keep=True)
    until(is_used(home, "second"), "the change")

    def decoders() -> int:
        return sum(process.role == "decoder" for process in home.status().processes)

    until(lambda: decoders() == alone, "an end of the decoders of the one that is kept")
    for _ in range(2):
        assert answers(home, "red", "builtin") == "builtin"
    # What is asked by a picture wakes its pipeline, too.
    change.Askers(home).picture("green")
    png(home.pictures / "new.png", named((200, 0, 200)))
    until(lambda: _knows(home, "builtin", "new.png"), "a vector by the one that is kept")
    until(lambda: decoders() == alone, "an end of the decoders, again")


def test_an_index_that_is_made_anew_amid_a_change_is_whole_before_it_ends(home: Home) -> None:
    tell(home, "second", "waits")
    use(home, "second")
    until(lambda: home.status().change, "a change")
    home.ask(wire.Pause(seconds=None))
    home.store.unlink()
    until(
        lambda: any(each.code == "rebuilt" for each in home.status().degraded), "an index made anew"
    )
    tell(home, "second", "waits", False)
    status = home.status()
    assert (status.model.name, roles(home)["second"]) == ("builtin", "coming")
    home.ask(wire.Resume())
    until(is_used(home, "second"), "the change")
    assert len(home.indexed()) == len(COLORS) + OTHERS
    until(lambda: home.settle().index.pending == 0, "an index with nothing left to do")
    assert answers(home, "red") == "second"


def test_one_that_cannot_be_had_changes_nothing(home: Home) -> None:
    before = (home.folder / "home" / "settings.toml").read_text()
    with pytest.raises(Refused, match="not on disk") as said:
        use(home, "fast")
    assert "imgq model pull fast" in said.value.hint
    assert (home.status().change, roles(home)) == (None, {"builtin": "used"})
    assert (home.folder / "home" / "settings.toml").read_text() == before


def test_one_that_is_no_longer_wanted_at_a_start_is_left(home: Home) -> None:
    """Killed between the word to the store and that to the settings, or these were written meanwhile."""
    tell(home, "second", "waits")
    use(home, "second", keep=True)
    home.kill()
    home.settings('model = "builtin"\n')
    home.start()
    assert (home.status().change, roles(home)) == (None, {"builtin": "used"})
    until(lambda: change._models_in(home) == 1, "an end of what was made")
    # Nor is that to be kept which comes into use next.
    use(home, "third")
    until(is_used(home, "third"), "another change")
    assert roles(home) == {"third": "used"}


def test_one_whose_weights_are_gone_at_a_start_goes_on_when_they_are_back(home: Home) -> None:
    weights = home.folder / "home" / "models" / "second.safetensors"
    tell(home, "second", "waits")
    use(home, "second", keep=True)
    home.kill()
    weights.rename(home.folder / "away")
    home.start()
    assert "the weights of second are not on disk" in change_trouble(home)
    assert answers(home, "red") == "builtin"
    tell(home, "second", "waits", False)
    (home.folder / "away").rename(weights)
    until(is_used(home, "second"), "the change")
    assert roles(home) == {"second": "used", "builtin": "kept"}
    assert change_trouble(home) == ""


@pytest.mark.parametrize("given_up", [wire.UseModel(name="builtin"), wire.DropModel(name="second")])
def test_whoever_gives_up_one_whose_weights_are_gone_is_told_of_it_no_more(
    home: Home, given_up: wire.Request
) -> None:
    tell(home, "second", "waits")
    use(home, "second")
    home.kill()
    (home.folder / "home" / "models" / "second.safetensors").unlink()
    home.start()
    assert "`imgq model use builtin` ends it" in change_trouble(home)
    home.ask(given_up)
    assert change_trouble(home) == ""
    assert 'model = "builtin"' in (home.folder / "home" / "settings.toml").read_text()
    until(lambda: change._models_in(home) == 1, "an end of what was made")


def change_trouble(home: Home) -> str:
    """What `imgq status` tells of a change that does not go on, and what ends it."""
    told = (each for each in home.status().degraded if each.code == "model_change")
    return "".join(f"{each.message}; {each.remedy}" for each in told)


@pytest.mark.parametrize("fault", ["fails", "mute"])
def test_one_that_cannot_be_loaded_is_waited_for(
    home: Home, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(home, "second", fault)
    use(home, "second")

    def told() -> list[str]:
        return [each.message for each in home.status().degraded if each.code == "model_change"]

    [message] = until(told, "a word of it")
    assert "make no sense" in message
    assert answers(home, "red") == "builtin"
    change_now = home.status().change
    assert change_now is not None
    assert change_now.trouble is not None
    tell(home, "second", fault, False)
    if fault == "mute":
        # That is tried again in a minute; a restart is quicker.
        home.kill()
        home.start()
    until(is_used(home, "second"), "the change")
    assert answers(home, "red") == "second"
    assert told() == []


def test_what_the_new_one_makes_nothing_of_is_an_error_then(home: Home) -> None:
    tell(home, "second", "blind")
    use(home, "second")
    until(is_used(home, "second"), "the change")
    home.settle()
    errors = {Path(os.fsdecode(each.path)).name: each.reason for each in _errors(home)}
    assert "red.png" in errors
    assert "no usable vector" in errors["red.png"]
    assert answers(home, "blue") == "second"
    # It can be read by the one before.
    use(home, "builtin")
    until(is_used(home, "builtin"), "the change back")
    home.settle()
    assert _errors(home) == []
    assert answers(home, "red") == "builtin"


def _errors(home: Home) -> list[wire.FileError]:
    pages = client.stream(wire.AskErrors(), PATIENCE_S)
    return [each for page in pages if isinstance(page, wire.Errors) for each in page.errors]


def test_a_pause_holds_it(home: Home) -> None:
    home.ask(wire.Pause(seconds=None))
    use(home, "second")
    until(lambda: home.status().change, "a change")
    before = home.embedded()
    assert answers(home, "red") == "builtin"
    assert home.status().state == "paused"
    assert home.embedded() == before
    home.ask(wire.Resume())
    until(is_used(home, "second"), "the change")


def test_followers_are_told_by_the_model_in_use(home: Home) -> None:
    request = wire.Follow(search=wire.Search(terms=(wire.Term(text="pink"),), min_score=0.9))
    arrivals = client.stream(request, PATIENCE_S)
    assert isinstance(next(arrivals), wire.Arrivals)
    use(home, "second")
    until(is_used(home, "second"), "the change")
    png(home.pictures / "rosy.png", named((250, 150, 189)))
    for told in arrivals:
        assert isinstance(told, wire.Arrivals)
        if told.arrivals:
            [arrival] = told.arrivals
            assert arrival.path == os.fsencode(home.pictures / "rosy.png")
            break


def test_fault_43_a_full_disk_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path, change.environment(tmp_path / "embedded"))
    monkeypatch.setenv("IMGQ_HOME", home.environment["IMGQ_HOME"])
    with disks.tmpfs(tmp_path / "home", "12m"):
        spaces_apart.add_cards(tmp_path / "home")
        filled(home, 300).start()
        try:
            home.watch()
            home.settle()
            # What the log has taken is given back.
            home.stop()
            home.model = None
            home.start()
            fill_all_but(home, 400_000)
            use(home, "second")
            until(lambda: "disk_full" in codes(home), "the disk to be full")
            assert answers(home, "red") == "builtin"
            ballast(home).unlink()
            until(is_used(home, "second"), "the change")
            assert answers(home, "red") == "second"
            assert home.imgq("check").returncode == 0
        finally:
            home.kill()
