"""The model is changed while it is asked, and the daemon killed while it changes.

    python -m tests.faults.change --queries 1000 --rounds 20
    python -m tests.faults.change --queries 1000 --rounds 20 --load --seed 2

The models have nothing in common (spaces_apart): an answer in which a query of one meets vectors of
the other scores 0, or fails. While one takes the place of the other, each query is answered, and right. In
each round the daemon is killed amid a change, as by a power cut: it comes back with one of the two, whole,
goes on, and embeds no picture again but for a batch. With `--load` its embedders are killed, too, or one of
them stands still for a while, pictures come and go, and all the while it is asked: what answers is right.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# As a module of the checkout; pytest has both folders on the path already.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import apsw

import fake_embedder
import spaces_apart
from conftest import PATIENCE_S, Home, until
from fake_embedder import COLORS
from imgq import client, wire
from imgq.errors import NoDaemon, TimedOut
from pictures import painted, png

MODELS = ("builtin", "second")
NEAR = 0.99
# So long a process stands still; so many pictures come in a round, and go.
HALT_S = 1.5
STIRRED = 5


def environment(counter: Path, **faults: object) -> dict[str, str]:
    found = fake_embedder.environment(counter, **faults)
    found["PYTHONPATH"] += f"{os.pathsep}{Path(__file__).parent}"
    return found | {
        "IMGQ_TEST_EMBEDDER": "spaces_apart",
        "IMGQ_TEST_TEXT": "spaces_apart:Texts",
    }


def filled(home: Home, others: int) -> Home:
    """A picture of each color, and so many others."""
    for color, values in COLORS.items():
        png(home.pictures / f"{color}.png", named(values))
    for number in range(others):
        png(home.pictures / "others" / f"{number}.png", number, (40, 32))
    return home


def named(values: tuple[int, int, int]) -> str:
    """A color as Pillow calls it."""
    return f"#{bytes(values).hex()}"


def wrong_answer(home: Home, color: str, hits: list[wire.Hit]) -> str | None:
    """What is wrong with the answer to a query for a color."""
    best = hits[0] if hits else None
    wanted = os.fsencode(home.pictures / f"{color}.png")
    if best is None or best.path != wanted or best.score < NEAR:
        return f"{color}: {best and (best.path, best.score)}"
    return None


@dataclass(slots=True)
class Askers:
    """Ask without a pause, in all ways at once, until they are stopped. is_killed: whether the daemon may
    be away."""

    home: Home
    is_killed: bool = False
    wrong: list[str] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        # Where embeddings are counted, none is made for a query.
        by_picture = () if self.is_killed else (self.picture,)
        for ask in (self.text, self.text, self.exact, self.batch, *by_picture):
            self.threads.append(threading.Thread(target=self._repeat, args=(ask,)))
            self.threads[-1].start()

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def by(self, model: str) -> bool:
        """Whether that one is in use, and has answered since."""
        if self.home.status().model.name != model:
            return False
        before = self.answered[model]
        until(lambda: self.answered[model] > before or self.wrong, f"an answer by {model}")
        return True

    @property
    def total(self) -> int:
        return self.answered.total()

    def _repeat(self, ask: object) -> None:
        dice = random.Random(str(ask))
        while not self.over.is_set():
            color = dice.choice(list(COLORS))
            try:
                assert callable(ask)
                ask(color)
            except NoDaemon as error:
                if not self.is_killed or isinstance(error, TimedOut):
                    self.wrong.append(f"{color}: {error}")
            except Exception as error:
                self.wrong.append(f"{color}: {type(error).__name__}: {error}")

    def text(self, color: str) -> None:
        self._check(color, wire.Search(terms=(wire.Term(text=color),), top=3))

    def exact(self, color: str) -> None:
        self._check(color, wire.Search(terms=(wire.Term(text=color),), exact=True))

    def picture(self, color: str) -> None:
        """One that is not in the library: it has to be embedded."""
        image = painted(named(COLORS[color]))
        image.putpixel((0, 0), (1, 2, 3))
        data = io.BytesIO()
        image.save(data, "PNG")
        self._check(color, wire.Search(terms=(wire.Term(picture=data.getvalue()),)))

    def batch(self, color: str) -> None:
        terms = tuple(wire.BatchTerm(text=each, query=n) for n, each in enumerate(COLORS))
        request = wire.Batch(options=wire.Search(terms=(), top=1), terms=terms)
        found = list(_hits(request))
        models = {piece.model for piece in found}
        for hit in (hit for piece in found for hit in piece.hits):
            wrong = wrong_answer(self.home, list(COLORS)[hit.query], [hit])
            self.wrong += [wrong] if wrong else []
        if len(models) != 1:
            self.wrong.append(f"one answer by {models}")
        self.answered[found[0].model] += 1

    def _check(self, color: str, request: wire.Search) -> None:
        found = list(_hits(request))
        wrong = wrong_answer(self.home, color, [hit for piece in found for hit in piece.hits])
        self.wrong += [wrong] if wrong else []
        self.answered[found[0].model] += 1


def _hits(request: wire.Request) -> Iterator[wire.Hits]:
    for piece in client.stream(request, PATIENCE_S):
        assert isinstance(piece, wire.Hits)
        yield piece


def asked(home: Home, queries: int) -> Counter[str]:
    """Changes the model to and fro until so many queries are answered; by which model they were. Fails
    where one is not, or not right."""
    askers = Askers(home)
    askers.start()
    changes = 0
    try:
        while askers.total < queries or changes < 2:
            other = _other(home)
            home.ask(wire.UseModel(name=other))
            until(lambda other=other: askers.by(other) or askers.wrong, "an answer by the other")  # type: ignore[misc]
            changes += 1
    finally:
        askers.stop()
    assert askers.wrong == [], askers.wrong[:10]
    return askers.answered


def _other(home: Home) -> str:
    return next(name for name in MODELS if name != home.status().model.name)


def killed(home: Home, rounds: int, seed: int = 1, load: bool = False) -> Iterator[str]:
    """A line for each round that went well."""
    dice = random.Random(seed)
    home.model = None
    askers = Askers(home, is_killed=True)
    if load:
        askers.start()
    try:
        for number in range(1, rounds + 1):
            yield f"round {number}: {_round(home, dice, load)}"
            assert askers.wrong == [], askers.wrong[:10]
    finally:
        askers.stop()


def _round(home: Home, dice: random.Random, load: bool) -> str:
    pictures, other, before = len(home.indexed()), _other(home), home.embedded()
    home.ask(wire.UseModel(name=other))
    if load:
        _stir(home, dice)
    blows = []
    for _ in range(dice.randint(1, 2)):
        deal = dice.choice(
            (_kill, _kill, *((_kill_embedders, _halt, _halt_embedders) if load else ()))
        )
        blows.append(f"{deal.__name__.strip('_')} {_amid(home, other, dice)}")
        deal(home)
        _require_right(home)
    until(lambda: home.status().model.name == other, "the change")
    _require_right(home)
    home.settle()
    until(lambda: _models_in(home) == 1, "an end of the old vectors")
    checked = home.imgq("check")
    assert checked.returncode == 0, checked.stdout.decode()
    embedded = home.embedded() - before
    most = pictures + 2 * (STIRRED if load else 0) + 2 * fake_embedder.FakeTower.batch * len(blows)
    assert embedded <= most, (embedded, most)
    assert home.status().index.files == len(home.indexed()) == pictures
    return f"to {other}, {', '.join(blows)}; {embedded} embedded"


def _amid(home: Home, other: str, dice: random.Random) -> str:
    """Waits for some moment of a change; how far it is then."""

    def is_there() -> bool:
        change = home.status().change
        return change is None or change.done >= at

    change = home.status().change
    at = dice.randint(0, change.of) if change else 0
    until(is_there, f"a change to {other} that is so far")
    time.sleep(dice.uniform(0, 0.1))
    change = home.status().change
    return f"at {change.done} of {change.of}" if change else "after it"


def _kill(home: Home) -> None:
    home.kill()
    home.start()


def _embedders(home: Home) -> list[int]:
    return [each.pid for each in home.status().processes if each.role == "embedder"]


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _kill_embedders(home: Home) -> None:
    _send(_embedders(home), signal.SIGKILL)


def _halt(home: Home) -> None:
    assert home.daemon is not None
    _stand_still([home.daemon.pid])


def _halt_embedders(home: Home) -> None:
    _stand_still(_embedders(home))


def _stand_still(pids: list[int]) -> None:
    _send(pids, signal.SIGSTOP)
    time.sleep(HALT_S)
    _send(pids, signal.SIGCONT)


def _stir(home: Home, dice: random.Random) -> None:
    """As many pictures come as go."""
    others = sorted((home.pictures / "others").iterdir())
    for gone in dice.sample(others, STIRRED):
        gone.unlink()
    for _ in range(STIRRED):
        seed = dice.randrange(10**6, 10**9)
        png(home.pictures / "others" / f"{seed}.png", seed, (40, 32))


def _require_right(home: Home) -> None:
    for color in ("red", "green", "blue"):
        wrong = wrong_answer(home, color, home.search(color, top=1))
        assert wrong is None, wrong


def _models_in(home: Home) -> int:
    """How many models the index on disk has anything of."""
    database = apsw.Connection(str(home.store), flags=apsw.SQLITE_OPEN_READONLY)
    tables = "SELECT count(*) FROM sqlite_master WHERE name GLOB 'embeddings_*_chunks'"
    found: int = database.execute(tables).get
    database.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--others", type=int, default=200)
    parser.add_argument("--load", action="store_true")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imgq-change-") as folder:
        home = Home(Path(folder), environment(Path(folder) / "embedded", slow=0.05))
        os.environ["IMGQ_HOME"] = home.environment["IMGQ_HOME"]
        spaces_apart.add_cards(Path(folder) / "home")
        filled(home, told.others).start()
        try:
            home.watch()
            home.settle()
            if told.queries:
                print(f"answered: {dict(asked(home, told.queries))}", flush=True)
            for line in killed(home, told.rounds, told.seed, told.load):
                print(line, flush=True)
        finally:
            home.kill()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
