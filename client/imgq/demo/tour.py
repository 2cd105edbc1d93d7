"""What the demo shows, step by step; everything it says it has just seen happen."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from imgq import lifetime, render, wire
from imgq.cli import progress
from imgq.cli import search as searching
from imgq.cli.gallery import write_page
from imgq.cli.options import parse
from imgq.client import ask, stream
from imgq.demo.stage import Stage
from imgq.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LIBRARY = Path(__file__).with_name("library")
QUERIES = ("red car", "fox in the snow", "under water", "palm tree on the beach")
SEEN_S = 30.0


class Tour:
    """The demo on one library: the sample's, or a folder of the person's own, which is only read."""

    def __init__(
        self, stage: Stage, scratch: Path, library: Path | None, query: str | None
    ) -> None:
        self._stage = stage
        self._live = scratch / "Arrivals"
        self._library = library or scratch / "Pictures"
        self._own = library is not None
        self._queries = (query,) if query else () if self._own else QUERIES

    def run(self, page: Path) -> None:
        """Every step; the page of one answer is written to `page`."""
        self.index()
        for query in self._queries:
            self.ask(query)
        example = self._example()
        self.alike(example)
        self.arrivals(example)
        self.page(page, self._queries[0] if self._queries else None, example)

    def index(self) -> None:
        self._stage.title("A daemon watches a folder and indexes it by itself")
        if not self._own:
            shutil.copytree(LIBRARY, self._library, ignore=shutil.ignore_patterns("*.md"))
        self._live.mkdir()
        self._stage.command(f"imgq start {self._library.name}/")
        began = time.monotonic()
        folders = tuple(os.fsencode(folder) for folder in (self._library, self._live))
        ask(wire.Add(paths=folders))
        now = self._settled()
        seconds = time.monotonic() - began
        self._stage.say(
            f"{now.index.pictures} pictures in {seconds:.1f} s, the model's start included: "
            f"{now.model.name} on {now.model.device}, {now.model.precision}"
        )

    def ask(self, query: str) -> None:
        self._stage.command(f'imgq "{query}"')
        first, hits = _answer([query, "-k", "4"])
        self._stage.hits(hits, self._base())
        self._stage.say(f"  found in {first.took_ms:.1f} ms")
        self._stage.pause(0.8)

    def alike(self, example: Path) -> None:
        name = render.path(os.fsencode(example.name), True).decode("utf-8", "replace")
        self._stage.command(f"imgq --like {name}")
        _, hits = _answer([f"--like={example}", "-k", "4"])
        self._stage.hits(hits, self._base())
        self._stage.pause(0.8)

    def arrivals(self, source: Path) -> None:
        """Pictures come, change, move and go while the daemon runs."""
        self._stage.title("It notices what happens to pictures, the moment it happens")
        added = self._live / f"new{source.suffix}"
        embedded = progress.status().counters.embedded
        self._seen(
            "a picture is copied in", lambda: shutil.copy(source, added), lambda: self._has(added)
        )
        before = self._hash(added)
        self._seen(
            "it is overwritten with another",
            lambda: shutil.copy(self._another(source), added),
            lambda: self._hash(added) not in (None, before),
        )
        folder = self._live / "album"
        moved = folder / added.name
        self._seen(
            "it moves into a new folder",
            lambda: _move(added, moved),
            lambda: self._has(moved) and not self._has(added),
        )
        renamed = self._live / "holidays"
        self._seen(
            "the folder is renamed",
            lambda: folder.rename(renamed),
            lambda: self._has(renamed / moved.name) and not self._has(moved),
        )
        self._seen(
            "the folder is deleted",
            lambda: shutil.rmtree(renamed),
            lambda: not self._has(renamed / moved.name),
        )
        spent = progress.status().counters.embedded - embedded
        self._stage.say(f"embeddings made for all of that: {spent}, since every content was known")

    def page(self, target: Path, query: str | None, example: Path) -> None:
        self._stage.title("An answer as a page")
        words = [query] if query else [f"--like={example}"]
        first, hits = _answer([*words, "-k", "24"])
        write_page(query or f"image:{example}", first, hits, target)
        self._stage.command(
            f'imgq "{query}" --html={target.name}' if query else "imgq --like … --html"
        )
        size = target.stat().st_size / 1000
        self._stage.say(f"{len(hits)} pictures in one file of {size:.0f} KB that opens anywhere")

    def stop(self) -> None:
        self._stage.command("imgq stop")
        lifetime.end()

    def _base(self) -> bytes:
        return os.fsencode(self._library)

    def _settled(self) -> wire.Status:
        most = 0
        ready = False
        while not ready:
            now = progress.status()
            ready = now.settled and now.index.pending == 0
            most = max(most, now.index.files + now.index.pending)
            self._stage.progress(now.index.files, most, now.rates.pictures_per_s)
            time.sleep(0.05)
        self._stage.wipe()
        return now

    def _seen(self, what: str, act: Callable[[], object], is_seen: Callable[[], bool]) -> None:
        """Does something to the disk, and says how long the index took to follow."""
        act()
        began = time.monotonic()
        if not lifetime.poll(is_seen, SEEN_S, 0.02):
            raise Failure(f"the index did not follow within {SEEN_S:g} s when {what}")
        self._stage.say(f"{what:<32} in the index {time.monotonic() - began:.1f} s later")
        self._stage.pause(0.4)

    def _has(self, path: Path) -> bool:
        return self._info(path).state == "indexed"

    def _hash(self, path: Path) -> str | None:
        file = self._info(path).file
        return file.hash if file else None

    def _info(self, path: Path) -> wire.Info:
        known = ask(wire.AskInfo(path=os.fsencode(path)))
        assert isinstance(known, wire.Info)
        return known

    def _example(self) -> Path:
        """The best answer to the first query; without one, the first picture of the library."""
        if self._queries:
            _, hits = _answer([self._queries[0], "-k", "1"])
            return Path(os.fsdecode(hits[0].path))
        return self._files()[0]

    def _another(self, source: Path) -> Path:
        """Another known picture, of the same kind of file where there is one."""
        others = [path for path in self._files() if path != source and path.parent != self._live]
        alike = [path for path in others if path.suffix == source.suffix]
        return (alike or others or [source])[0]

    def _files(self) -> list[Path]:
        found = ask_files()
        if not found:
            raise Failure("there is no picture in the folder that imgq could index")
        return found


def _answer(words: list[str]) -> tuple[wire.Hits, list[wire.Hit]]:
    asked = parse(words)
    return searching.answer(searching.request(asked, searching.terms(asked)))


def ask_files() -> list[Path]:
    """The first files that the index lists."""
    first = next(stream(wire.AskFiles()))
    assert isinstance(first, wire.Files)
    return [Path(os.fsdecode(file.path)) for file in first.files]


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir()
    source.rename(target)
