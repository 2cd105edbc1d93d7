"""What a person and the programs of a machine do to a folder and to the daemon, by commands alone; after
each round every word that imgq has on it is held against a walk of the disk.

    python -m tests.faults.stranger --seed 1 --rounds 100

Unlike `churn` it is slow and has each operation from another program: names of either Unicode form and
case, links that are turned over, holes, attributes, a disk that is pulled and plugged (by root), and a
daemon that is stopped, started and killed meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# As a module of the checkout; pytest has both folders on the path already.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import ground
import oracle
import tiny
from conftest import Home

NAMES = (
    "a.png", "A.png", "b.PNG", "c.jpg", "a name.png", "-f.png", "note.txt", "no extension", ".hidden.png",
    unicodedata.normalize("NFC", "\u00e9t\u00e9.png"), unicodedata.normalize("NFD", "\u00e9t\u00e9.png"),
)  # fmt: skip
FOLDERS = ("x", "X", "y z", "lost+found", unicodedata.normalize("NFD", "\u00fc"), "z")
MOST_SAMPLED = 5
NOTHING = oracle.Truth({}, frozenset(), {})
# More than a look at everything, and what is young, take.
WAIT_S = 60


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    rounds: int
    operations: int = 60


@dataclass(slots=True)
class Stranger:
    """root: the folder that is watched; outside: one that is not. is_plugged: whether the disk is there;
    kept: what lay on it when it was pulled, and others: how many files that are no pictures."""

    home: Home
    root: Path
    outside: Path
    dice: random.Random
    log: list[str] = field(default_factory=list)
    is_plugged: bool = False
    kept: oracle.Truth = NOTHING
    others: int = 0
    _number: int = 0

    @property
    def disk(self) -> Path:
        return self.root / "disk"

    def prepare(self) -> None:
        (self.root / "always").mkdir(parents=True)
        (self.root / "always" / "there.png").write_bytes(tiny.png(10**9))
        (self.outside / "disk").mkdir(parents=True)
        if os.geteuid() == 0:
            self.disk.mkdir()
            done = self._run(
                "mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", self.outside / "disk"
            )
            if done:
                (self.outside / "disk" / "first.png").write_bytes(tiny.png(10**9 + 1))

    def finish(self) -> None:
        for place in (self.disk, self.outside / "disk"):
            while subprocess.run(["mountpoint", "-q", place], check=False).returncode == 0:
                subprocess.run(["umount", "-l", place], check=True)

    def turn_the_disk(self) -> None:
        """Pulls it or plugs it, while all is settled."""
        if not (self.outside / "disk" / "first.png").exists():
            return
        if not self.is_plugged:
            self._run("mount", "--bind", self.outside / "disk", self.disk)
            self.kept, self.others = NOTHING, 0
        else:
            self.kept = oracle.truth(self.disk)
            self.others = _others(self.disk, self.kept)
            self._run("umount", self.disk)
        self.is_plugged = not self.is_plugged

    def one(self) -> None:
        """What cannot be done where the dice fell counts as done."""
        with contextlib.suppress(OSError, shutil.Error):
            self.dice.choices(*zip(*ACTS, strict=True))[0](self)

    def _folder(self) -> Path:
        folders = [Path(each) for each, _, _ in os.walk(self.root)]
        if not self.is_plugged:
            folders = [each for each in folders if not each.is_relative_to(self.disk)]
        return self.dice.choice([*sorted(folders), self.outside])

    def _place(self) -> Path:
        return self._folder() / self.dice.choice(NAMES)

    def _file(self) -> Path:
        files = sorted(path for path in self._folder().iterdir() if path.is_file())
        return self.dice.choice(files or [self.root / "always" / "there.png"])

    def _bytes(self) -> bytes:
        self._number += 1
        kinds = (tiny.png, tiny.png, tiny.png, tiny.png, tiny.broken, lambda n: b"words %d" % n)
        return self.dice.choice(kinds)(self._number)

    def _run(self, *words: object) -> bool:
        self.log.append(" ".join(map(str, words)))
        done = subprocess.run([*map(str, words)], capture_output=True, check=False)
        return done.returncode == 0

    # What

    def write(self) -> None:
        place, data = self._place(), self._bytes()
        self.log.append(f"write {place}")
        place.write_bytes(data)

    def overwrite(self) -> None:
        source = self.outside / "bytes"
        source.write_bytes(self._bytes())
        self._run("dd", f"if={source}", f"of={self._file()}", "conv=notrunc", "status=none")

    def copy(self) -> None:
        how = self.dice.choice(
            (["-p"], ["-a"], ["--reflink=auto"], ["-l"], ["--remove-destination"])
        )
        self._run("cp", *how, "-T", self._file(), self._place())

    def copy_all(self) -> None:
        source, target = self._folder(), self._folder()
        if source != self.outside and source not in (target, *target.parents):
            self._run("cp", "-a", source, target / self.dice.choice(FOLDERS))

    def move(self) -> None:
        self._run("mv", "-f", "-T", self._file(), self._place())

    def move_folder(self) -> None:
        source = self._folder()
        if source not in (self.root, self.outside, self.disk, self.root / "always"):
            self._run("mv", "-T", source, self._folder() / self.dice.choice(FOLDERS))

    def make_folder(self) -> None:
        place = self._folder() / self.dice.choice(FOLDERS) / self.dice.choice(FOLDERS)
        self._run("mkdir", "-p", place)
        (place / self.dice.choice(NAMES)).write_bytes(self._bytes())

    def link(self) -> None:
        self._run("ln", "-f", self._file(), self._place())

    def turn_a_link(self) -> None:
        """To a file, a folder, or nothing; in place of a file, too."""
        to = self.dice.choice((self._file(), self._folder(), self.root / "nowhere.png"))
        self._run("ln", "-s", "-f", "-T", to, self._place())

    def folder_for_file(self) -> None:
        place = self._file()
        self._run("rm", "-f", place)
        self._run("mkdir", place)
        (place / "in.png").write_bytes(self._bytes())

    def file_for_folder(self) -> None:
        place = self._folder()
        if place not in (self.root, self.outside, self.disk, self.root / "always"):
            self._run("rm", "-rf", place)
            place.write_bytes(self._bytes())

    def change_mode(self) -> None:
        self._run("chmod", self.dice.choice(("600", "444", "a+x")), self._file())

    def touch(self) -> None:
        how = self.dice.choice(
            (["-r", self._file()], ["-d", "1970-01-02"], ["-d", "2106-01-01"], [])
        )
        self._run("touch", *how, self._file())

    def cut(self) -> None:
        size = self.dice.choice(("-10", "-1", "0", "+20", "120"))
        self._run("truncate", "-s", size, self._file())

    def make_a_hole(self) -> None:
        self._run("truncate", "-s", "5M", self._place())

    def set_attribute(self) -> None:
        place = self._file()
        self.log.append(f"attribute of {place}")
        os.setxattr(place, "user.note", b"%d" % self._number)

    def change_case(self) -> None:
        place = self._file()
        self._run("mv", "-T", place, place.with_name(place.name.swapcase()))

    def hide_or_show(self) -> None:
        place = self._file()
        name = place.name
        self._run("mv", "-T", place, place.with_name(name[1:] if name[0] == "." else f".{name}"))

    def exchange(self) -> None:
        one, other, between = self._file(), self._file(), self.root / ".between"
        self._run("mv", "-T", one, between)
        self._run("mv", "-T", other, one)
        self._run("mv", "-T", between, other)

    def remove(self) -> None:
        place = self._file()
        if place.parent.name != "always":
            self._run("rm", "-f", place)

    def restart(self) -> None:
        how = self.dice.choice(("stop", "kill", "restart"))
        self.log.append(f"{how} the daemon")
        if how == "kill":
            self.home.kill()
        else:
            self.home.stop()
        if how == "restart":
            self.home.start()
            return
        for _ in range(self.dice.randrange(10)):
            self.one_to_files()
        self.home.start()

    def one_to_files(self) -> None:
        with contextlib.suppress(OSError, shutil.Error):
            self.dice.choice([self.write, self.move, self.remove, self.copy, self.move_folder])()


ACTS: tuple[tuple[Callable[[Stranger], None], int], ...] = (
    (Stranger.write, 16), (Stranger.overwrite, 6), (Stranger.copy, 8), (Stranger.copy_all, 1),
    (Stranger.move, 10), (Stranger.move_folder, 3), (Stranger.make_folder, 5), (Stranger.link, 5),
    (Stranger.turn_a_link, 4), (Stranger.folder_for_file, 1), (Stranger.file_for_folder, 1),
    (Stranger.change_mode, 2), (Stranger.touch, 4), (Stranger.cut, 5), (Stranger.make_a_hole, 2),
    (Stranger.set_attribute, 2), (Stranger.change_case, 3), (Stranger.hide_or_show, 3),
    (Stranger.exchange, 3), (Stranger.remove, 12), (Stranger.restart, 1),
)  # fmt: skip


def run(plan: Plan, folder: Path, home: Home) -> Iterator[str]:
    """A line for each round that went well. Raises ground.Failed."""
    root = folder / "root"
    stranger = Stranger(home, root, folder / "outside", random.Random(plan.seed))
    stranger.prepare()
    try:
        assert home.imgq("add", str(root)).returncode == 0
        for number in range(1, plan.rounds + 1):
            stranger.log.clear()
            for _ in range(plan.operations):
                stranger.one()
            wrong = _wrong(stranger)
            if not wrong:
                stranger.turn_the_disk()
                wrong = _wrong(stranger)
            if wrong:
                raise ground.Failed(
                    f"round {number}\n{oracle.words(wrong)}\n"
                    f"operations and log: {ground.keep(home, stranger.log)}"
                )
            yield f"seed {plan.seed}, round {number}: right; {home.json('status')['index']}"
    finally:
        stranger.finish()


def _wrong(stranger: Stranger) -> list[str]:
    """What is wrong by anything that imgq says, when `imgq wait` has said that all is settled."""
    home = stranger.home
    if home.imgq("wait", "--timeout", str(WAIT_S)).returncode:
        return [f"`imgq wait` gave up: {home.json('status')}"]
    expected = oracle.truth(stranger.root)
    files = oracle.listed(home)
    away = {file["path"]: file["hash"] for file in files if file["offline"]}
    here = {file["path"]: file["hash"] for file in files if not file["offline"]}
    kept = stranger.kept
    broken = expected.broken | kept.broken
    wrong = oracle.misjudged(home, replace(expected, broken=broken))
    if away != kept.pictures:
        wrong.append(f"offline: {sorted(away.items() ^ kept.pictures.items())[:5]}")
    if len(files) != len(away) + len(here):
        wrong.append("a file is listed twice")
    wrong += [f"differs {path!r}" for path, _ in here.items() ^ expected.pictures.items()]
    index = home.json("status")["index"]
    others = _others(stranger.root, expected) + stranger.others
    counts = (len(expected.pictures), 0, len(broken), len(away), others)
    if (told := tuple(index[name] for name in _COUNTED)) != counts:
        wrong.append(f"{_COUNTED}: {told} in place of {counts}")
    for path in sorted(expected.pictures)[:: max(len(expected.pictures) // MOST_SAMPLED, 1)]:
        wrong += _misinformed(home, path, expected.pictures | kept.pictures)
    return wrong


_COUNTED = ("files", "pending", "failed", "offline", "ignored")


def _others(folder: Path, expected: oracle.Truth) -> int:
    """How many files there are that are no pictures."""
    return oracle.files(folder) - len(expected.pictures) - len(expected.broken)


def _misinformed(home: Home, path: bytes, hashes: dict[bytes, str]) -> list[str]:
    told: dict[str, Any] = home.json("info", os.fsdecode(path))
    copies = {other for other, hash in hashes.items() if hash == hashes[path]}
    right = told.get("hash") == hashes[path] and len(told["copies"]) == len(copies) - 1
    return [] if right else [f"info {path!r}: {told}"]


if __name__ == "__main__":
    raise SystemExit(ground.main(__doc__, Plan, run, operations=60))
