"""What people and programs do to folders of pictures, at random and all at once, the same for each seed."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import tiny

# So few that most writes meet something that is there.
_NAMES = 40
_DEEPEST = 6
_TOO_MANY = 2500


@dataclass(slots=True)
class Disorder:
    """roots: the folders that are watched; outside: one on the same file system that is not. most: from so
    many files on there come to be fewer again.

    In each root lies a folder `.kept` that nothing is done to: a root is never empty.
    """

    roots: list[Path]
    outside: Path
    dice: random.Random
    most: int = _TOO_MANY
    log: list[str] = field(default_factory=list)
    _number: int = 0
    _growing: list[tuple[BinaryIO, bytes]] = field(default_factory=list)
    _files: int = 0

    def prepare(self) -> None:
        for folder in [*self.roots, self.outside]:
            (folder / ".kept").mkdir(parents=True)
            for name in ("d0", "d1", "d1/d2"):
                (folder / name).mkdir()

    def one(self) -> None:
        """One operation; what cannot be done where the dice fell counts as done."""
        fewer = self._files > self.most and self.dice.random() < 0.5
        act = self._remove if fewer else self.dice.choices(_ACTS, _WEIGHTS)[0].__get__(self)
        with contextlib.suppress(OSError, shutil.Error):
            act()

    def finish(self) -> None:
        """Whoever still writes comes to an end."""
        while self._growing:
            self._grow()
        self._files = sum(len(files) for root in self.roots for _, _, files in os.walk(root))

    # Where

    def _folder(self, tops: list[Path] | None = None) -> Path:
        """A folder somewhere, at times a root itself."""
        folder = self.dice.choice(tops or [*self.roots, *self.roots, self.outside])
        while self.dice.random() < 0.75 and (below := self._folders_in(folder)):
            folder = self.dice.choice(below)
        return folder

    def _lower(self) -> Path:
        """A folder that is not a root; raises OSError where there is none."""
        folder = self._folder()
        if folder in self.roots or folder == self.outside:
            raise FileNotFoundError
        return folder

    def _file(self) -> Path:
        """A regular file somewhere; raises OSError where the dice find none."""
        for _ in range(8):
            folder = self._folder()
            files = [folder / name for name in self._names(folder) if _is_file(folder / name)]
            if files:
                return self.dice.choice(files)
        raise FileNotFoundError

    def _place(self, folder: Path | None = None) -> Path:
        """A name for a picture, in use or not."""
        ending = self.dice.choice(("png", "png", "png", "PNG", "jpg"))
        return (folder or self._folder()) / f"p{self.dice.randrange(_NAMES)}.{ending}"

    def _folder_place(self) -> Path:
        folder = self._folder()
        while len(folder.parts) - len(self.outside.parts) > _DEEPEST:
            folder = folder.parent
        return folder / f"d{self.dice.randrange(8)}"

    def _folders_in(self, folder: Path) -> list[Path]:
        names = self._names(folder)
        return [
            folder / name
            for name in names
            if name.startswith("d")
            and (folder / name).is_dir()
            and not (folder / name).is_symlink()
        ]

    def _names(self, folder: Path) -> list[str]:
        try:
            return sorted(name for name in os.listdir(folder) if name != ".kept")
        except OSError:
            return []

    def _writable(self, place: Path) -> Path:
        """Raises OSError where a write makes no event in any root: through a name outside of a file that
        has names in both, which only the next look at everything can find."""
        real = Path(os.path.realpath(place))
        if real.is_relative_to(self.outside) and real.exists() and os.stat(real).st_nlink > 1:
            raise FileNotFoundError
        return place

    def _bytes(self) -> bytes:
        self._number += 1
        if self.dice.random() < 0.02:
            return tiny.broken(self._number)
        return tiny.png(self._number)

    def _note(self, *words: object) -> None:
        self.log.append(" ".join(map(str, words)))

    # What

    def _write(self) -> None:
        """In place: over what is there, as long as it is at times."""
        place, data = self._writable(self._place()), self._bytes()
        self._note("write", place)
        place.write_bytes(data)

    def _save(self) -> None:
        """As editors save: beside, then renamed, the name beside hidden or not."""
        place, data = self._place(), self._bytes()
        beside = place.with_name(
            self.dice.choice((f".{place.name}.tmp", f"{place.name}~", f"t-{place.name}"))
        )
        self._note("save", beside, place)
        beside.write_bytes(data)
        os.replace(beside, place)

    def _rewrite(self) -> None:
        """The same length, through the old file, neither truncated nor renamed."""
        place, data = self._writable(self._file()), self._bytes()
        self._note("rewrite", place)
        with open(place, "r+b") as file:
            file.write(data)

    def _rewrite_unseen(self) -> None:
        """The same length, and the old time put back: only the inode's change tells."""
        place, data = self._writable(self._file()), self._bytes()
        before = os.stat(place)
        self._note("rewrite, time put back", place)
        with open(place, "r+b") as file:
            file.write(data)
        os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _append(self) -> None:
        place = self._writable(self._file())
        self._note("append", place)
        with open(place, "ab") as file:
            file.write(b"%d" % self.dice.randrange(10**6))

    def _cut(self) -> None:
        """truncate(2) makes no event that is watched."""
        place = self._writable(self._file())
        self._note("cut", place)
        os.truncate(place, os.path.getsize(place) - self.dice.randrange(tiny.SPARE))

    def _begin(self) -> None:
        """A file that is written in two pieces, the second much later."""
        if len(self._growing) > 20:
            return self._grow()
        place, data = self._place(), self._bytes()
        if place.exists() and os.stat(place).st_nlink > 1:
            return
        half = self.dice.randrange(1, len(data))
        self._note("begin", place)
        file = open(place, "wb", buffering=0)  # noqa: SIM115
        file.write(data[:half])
        self._growing.append((file, data[half:]))

    def _grow(self) -> None:
        if self._growing:
            file, rest = self._growing.pop(self.dice.randrange(len(self._growing)))
            self._note("end", file.name)
            with file:
                file.write(rest)

    def _remove(self) -> None:
        place = self._file()
        self._note("remove", place)
        place.unlink()

    def _rename(self) -> None:
        place, to = self._file(), self._place()
        self._note("rename", place, to)
        os.replace(place, to)

    def _rename_twice(self) -> None:
        place, over, to = self._lower(), self._folder_place(), self._folder_place()
        self._note("rename twice", place, over, to)
        os.rename(place, over)
        os.rename(over, to)

    def _move(self) -> None:
        """A folder goes elsewhere: within a root, to the other one, out, or in."""
        place, to = self._lower(), self._folder_place()
        self._note("move", place, to)
        os.rename(place, to)

    def _out_and_in(self) -> None:
        place, away = self._lower(), self.outside / "away"
        self._note("out and in", place)
        os.rename(place, away)
        if self.dice.random() < 0.5:
            place.mkdir()
            (place / "p0.png").write_bytes(self._bytes())
            shutil.rmtree(place)
        os.rename(away, place if self.dice.random() < 0.5 else self._folder_place())

    def _swap(self) -> None:
        one, other = self._lower(), self._lower()
        between = one.with_name("between")
        self._note("swap", one, other)
        os.rename(one, between)
        try:
            os.rename(other, one)
        finally:
            os.rename(between, other if not other.exists() else one)

    def _link(self) -> None:
        place, to = self._file(), self._place()
        if any(
            os.path.samestat(os.fstat(file.fileno()), os.stat(place)) for file, _ in self._growing
        ):
            return
        self._note("link", place, to)
        os.link(place, to)

    def _copy(self) -> None:
        place, to = self._file(), self._writable(self._place())
        copy = self.dice.choice((shutil.copyfile, shutil.copy2))
        self._note(copy.__name__, place, to)
        copy(place, to)

    def _copy_folder(self) -> None:
        place, to = self._lower(), self._folder_place()
        self._note("copy folder", place, to)
        if self._files < self.most and place not in to.parents:
            shutil.copytree(place, to, symlinks=True, dirs_exist_ok=True)

    def _symlink(self) -> None:
        place, to = self.dice.choice((self._file, self._folder))(), self._place()
        self._note("symlink", place, to)
        to.unlink(missing_ok=True)
        to.symlink_to(place)

    def _chmod(self) -> None:
        place = self._file()
        self._note("chmod", place)
        place.chmod(self.dice.choice((0o600, 0o644, 0o444)))

    def _touch(self) -> None:
        place = self._file()
        now = time.time()
        at = self.dice.choice((now, now - 1e6, 0.0, now + 1e6, 4.3e9))
        self._note("touch", place, at)
        os.utime(place, (at, at))

    def _touch_like(self) -> None:
        place, other = self._file(), self._file()
        self._note("touch like", place, other)
        like = os.stat(other)
        os.utime(place, ns=(like.st_atime_ns, like.st_mtime_ns))

    def _remove_folder(self) -> None:
        place = self._lower()
        self._note("remove folder", place)
        shutil.rmtree(place)

    def _make_folders(self) -> None:
        """Deep and new, and written to at once."""
        place = self._folder_place() / "d6" / "d7"
        self._note("make folders", place)
        place.mkdir(parents=True, exist_ok=True)
        for number in range(self.dice.randrange(6)):
            (place / f"p{number}.png").write_bytes(self._bytes())

    def _file_for_folder(self) -> None:
        """A folder becomes a file of the same name; mostly it is one again later."""
        place = self._lower()
        self._note("file for folder", place)
        away = place.with_name(f"{place.name}-was")
        os.rename(place, away)
        place.write_bytes(self._bytes())
        if self.dice.random() < 0.7:
            place.unlink()
            os.rename(away, place)

    def _fifo(self) -> None:
        place = self._folder() / f"q{self.dice.randrange(_NAMES)}.png"
        self._note("fifo", place)
        os.mkfifo(place)


_Act = Callable[[Disorder], None]
_CHANCES: dict[_Act, int] = {
    Disorder._write: 12,
    Disorder._save: 12,
    Disorder._rewrite: 8,
    Disorder._rewrite_unseen: 4,
    Disorder._append: 4,
    Disorder._cut: 5,
    Disorder._begin: 5,
    Disorder._grow: 5,
    Disorder._remove: 10,
    Disorder._rename: 10,
    Disorder._rename_twice: 2,
    Disorder._move: 5,
    Disorder._out_and_in: 3,
    Disorder._swap: 3,
    Disorder._link: 3,
    Disorder._copy: 5,
    Disorder._copy_folder: 1,
    Disorder._symlink: 2,
    Disorder._chmod: 2,
    Disorder._touch: 3,
    Disorder._touch_like: 2,
    Disorder._remove_folder: 2,
    Disorder._make_folders: 4,
    Disorder._file_for_folder: 1,
    Disorder._fifo: 1,
}
_ACTS, _WEIGHTS = list(_CHANCES), list(_CHANCES.values())


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
