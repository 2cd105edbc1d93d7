"""Filters against plain Python over ten thousand made files, in a real store."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from batches import hash_of, vector
from imgq import wire
from imgq.errors import UsageError
from imgqd.records import Indexed, Metadata, Notes, Stamp
from imgqd.store import Identity, Store

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 10_000
CAMERAS = (None, "Leica Q2", "NIKON COOLPIX P6000", "Canon EOS 5D", "Чайка", "Lumière Élite")
LENSES = (None, "Summilux 28mm", "EF 50mm f/1.8", "Гелиос-44")
SUFFIXES = ("jpg", "JPG", "png", "jpeg", "webp", "")
FOLDERS = (
    "/r",
    "/r/2023",
    "/r/2024/rome",
    "/r/2024",
    "/r/20",
    "/away",
    "/away/rome",
    "/r/caf\u00e9",
)
WORDS = ("holiday", "rome", "beach", "Zürich", "straße", "東京", "red", "IMG")
TITLES = (None, "A holiday in Rome", "Red car", "夜の東京タワー", "cafe\u0301 Zu\u0308rich")


@dataclass(frozen=True)
class File:
    path: str
    stamp: Stamp
    metadata: Metadata
    offline: bool

    @property
    def notes(self) -> Notes:
        return self.metadata.notes


def made(number: int, dice: random.Random) -> File:
    folder = dice.choice(FOLDERS)
    suffix = dice.choice(SUFFIXES)
    name = f"{dice.choice(WORDS)}_{number:05}" + f".{suffix}" * bool(suffix)
    taken = datetime(2020, 1, 1) + timedelta(seconds=dice.randrange(5 * 366 * 86400))
    zone = dice.choice(("", "", "+02:00", "-09:30", "+00:00"))
    dated, placed = dice.random() < 0.7, dice.random() < 0.5
    pole = dice.choice((dice.uniform(-90, 90), 89.9, -89.99, dice.uniform(-1, 1)))
    notes = Notes(
        taken_at=taken.isoformat() + zone if dated else None,
        taken_from="exif" if dated else None,
        camera=dice.choice(CAMERAS),
        lens=dice.choice(LENSES),
        latitude=pole if placed else None,
        longitude=dice.choice((dice.uniform(-180, 180), 179.95, -179.97)) if placed else None,
        title=dice.choice(TITLES),
        keywords=tuple(dice.sample(("sea", "Sky", "Straße", "two words"), dice.randrange(3))),
        rating=dice.choice((None, 0, 1, 2, 3, 4, 5, -1)),
    )
    side = dice.choice((100, 1000, 1920, 4000))
    size = (side, dice.choice((100, 1000, 1080, 3000)))
    mtime = int(datetime(2022, 1, 1, tzinfo=UTC).timestamp()) + dice.randrange(3 * 366 * 86400)
    stamp = Stamp(dice.randrange(1, 5_000_000), mtime * 10**9 + 999_999_999, 1, number, 1)
    return File(
        f"{folder}/{name}", stamp, Metadata("JPEG", *size, notes), folder.startswith("/away")
    )


@pytest.fixture(scope="module")
def files() -> list[File]:
    dice = random.Random(5)
    return [made(number, dice) for number in range(1, COUNT + 1)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, files: list[File]) -> Iterator[Store]:
    store = Store.open(tmp_path_factory.mktemp("store") / "index.db", "decoder-1")
    store.use_model("one", "one", 8)
    for root in (b"/r", b"/away"):
        store.add_root(root, Identity(1, 2, "ext4:1", "ext4"))
    for first in range(0, COUNT, 1000):
        store.commit(
            [change(n, file) for n, file in enumerate(files[first : first + 1000], first + 1)], 1.0
        )
    store.set_root(b"/away", state="offline")
    yield store
    store.close()


def change(number: int, file: File) -> Indexed:
    # every tenth is a copy of the one before: its picture has two files
    picture = number - 1 if number % 10 == 0 else number
    metadata = None if picture != number else file.metadata
    vector_of = None if picture != number else vector(number % 50)
    path = file.path.encode()
    return Indexed(path, file.stamp, hash_of(picture), True, metadata, vector_of)


def shows(files: list[File], number: int) -> File:
    """A copy has the notes of what it is a copy of."""
    file = files[number - 1]
    return replace(file, metadata=files[number - 2].metadata) if number % 10 == 0 else file


def check(
    store: Store, files: list[File], holds: Callable[[File], bool], filter: wire.Filter
) -> int:
    for offline in (False, True):
        expected = {
            shown.path.encode()
            for number in range(1, COUNT + 1)
            if holds(shown := shows(files, number)) and (offline or not shown.offline)
        }
        passed = store.passed(filter, offline=offline)
        some = range(1, COUNT, 3)
        assert store.passing(filter, some, offline=offline) == {*passed.files.tolist()} & {*some}
        found = store.shown(passed.files.tolist())
        assert {each.path for each in found.values()} == expected
        assert sorted({each.picture.id for each in found.values()}) == passed.pictures.tolist()
        assert passed.files.tolist() == sorted(found)
        assert all(passed.holds(file) for file in found)
        assert not passed.holds(-1)
        assert not passed.holds(COUNT + 1)
    return len(expected)


def when(file: File) -> tuple[bool, float]:
    """Whether the zone is known; and the seconds."""
    if file.notes.taken_at is None:
        return True, file.stamp.mtime_ns // 10**9
    taken = datetime.fromisoformat(file.notes.taken_at)
    return taken.tzinfo is not None, taken.replace(tzinfo=taken.tzinfo or UTC).timestamp()


def since(utc: int, clock: int) -> wire.Instant:
    return wire.Instant(utc=utc, clock=clock)


NOON = int(datetime(2023, 6, 1, 12, tzinfo=UTC).timestamp())
# as no clock on Earth goes: a month before UTC, so that some files lie between
AHEAD = 30 * 86400
AFTER, BEFORE = since(NOON, NOON + AHEAD), since(NOON + 10**7, NOON + 10**7 + AHEAD)


def is_between(file: File) -> bool:
    zoned, seconds = when(file)
    shift = 0 if zoned else AHEAD
    return NOON + shift <= seconds < NOON + 10**7 + shift


def distance(file: File, lat: float, lon: float) -> float:
    """Kilometers, by vectors, not by the formula that is used."""
    if file.notes.latitude is None or file.notes.longitude is None:
        return math.inf

    def unit(lat: float, lon: float) -> tuple[float, float, float]:
        a, b = math.radians(lat), math.radians(lon)
        return math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a)

    one, other = unit(lat, lon), unit(file.notes.latitude, file.notes.longitude)
    return 2 * 6371.0088 * math.asin(min(1.0, math.dist(one, other) / 2))


def suffix(file: File) -> str:
    return file.path.rpartition("/")[2].rpartition(".")[2].lower() if "." in file.path else ""


def near(lat: float, lon: float, km: float) -> tuple[Callable[[File], bool], wire.Filter]:
    place = wire.Near(lat=lat, lon=lon, km=km)
    return lambda file: distance(file, lat, lon) <= km, wire.Filter(near=(place,))


def between(of: str, **ends: int) -> wire.Filter:
    return wire.Filter(ranges=(wire.Range(of=of, **ends),))


CASES: dict[str, tuple[Callable[[File], bool], wire.Filter]] = {
    "all": (lambda file: True, wire.Filter()),
    "in a folder": (
        lambda file: file.path.startswith("/r/2024/"),
        wire.Filter(within=(b"/r/2024",)),
    ),
    "in two folders": (
        lambda file: file.path.startswith(("/r/20/", "/away/rome/")),
        wire.Filter(within=(b"/r/20", b"/away/rome")),
    ),
    "after": (lambda f: when(f)[1] >= NOON + AHEAD * (not when(f)[0]), wire.Filter(after=AFTER)),
    "between": (is_between, wire.Filter(after=AFTER, before=BEFORE)),
    "camera": (
        lambda f: "nikon" in (f.notes.camera or "").lower(),
        wire.Filter(cameras=("nIkOn",)),
    ),
    "camera in Russian": (lambda f: f.notes.camera == "Чайка", wire.Filter(cameras=("ЧАЙ",))),
    "cameras": (
        lambda f: f.notes.camera in ("Leica Q2", "Lumière Élite"),
        wire.Filter(cameras=("leica", "LUMIE\u0300RE e\u0301lite")),
    ),
    "no such camera": (lambda f: False, wire.Filter(cameras=("q2%",))),
    "lens": (lambda f: "50mm" in (f.notes.lens or ""), wire.Filter(lenses=("50MM",))),
    "ext": (lambda f: suffix(f) == "jpg", wire.Filter(extensions=("jpg",))),
    "exts": (lambda f: suffix(f) in ("png", "webp"), wire.Filter(extensions=("png", "webp"))),
    "near": near(52.0, 4.0, 3000),
    "near the antimeridian": near(10.0, 180.0, 400),
    "near a pole": near(90.0, 0.0, 30),
    "near the other pole": near(-89.9, 120.0, 50),
    "near everything": near(0.0, 0.0, 20_100),
    "pixels": (
        lambda f: f.metadata.width * f.metadata.height >= 2_000_000,
        between("pixels", low=2_000_000),
    ),
    "width": (lambda f: f.metadata.width <= 1000, between("width", high=1000)),
    "bytes": (lambda f: f.stamp.size < 100_000, between("bytes", high=99_999)),
    "rating": (lambda f: (f.notes.rating or 0) >= 4, between("rating", low=4)),
    "no rating": (lambda f: not f.notes.rating, between("rating", low=0, high=0)),
    "low rating": (lambda f: (f.notes.rating or 0) <= 1, between("rating", high=1)),
    "portrait": (
        lambda f: f.metadata.width < f.metadata.height,
        wire.Filter(orientations=("portrait",)),
    ),
    "landscape or square": (
        lambda f: f.metadata.width >= f.metadata.height,
        wire.Filter(orientations=("landscape", "square")),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_filter_passes_what_plain_python_passes(store: Store, files: list[File], name: str) -> None:
    holds, filter = CASES[name]
    count = check(store, files, holds, filter)
    assert name == "no such camera" or count > 5
    assert name in ("all", "near everything") or count < COUNT


def merged(filters: list[wire.Filter]) -> wire.Filter:
    values: dict[str, Any] = {}
    for filter in filters:
        values |= {n: v for n, v in filter.__dict__.items() if v not in (None, ())}
    return wire.Filter(**values)


def test_filters_in_any_combination(store: Store, files: list[File]) -> None:
    dice = random.Random(7)
    exclusive = ["in a folder", "between", "camera", "lens", "ext", "near", "portrait", "pixels"]
    for _ in range(40):
        chosen = dice.sample(exclusive, dice.randrange(2, 5))
        pairs = [CASES[name] for name in chosen]
        check(
            store,
            files,
            lambda file, pairs=pairs: all(holds(file) for holds, _ in pairs),  # type: ignore[misc]
            merged([filter for _, filter in pairs]),
        )


def folded(text: str) -> str:
    for accented, plain in (
        ("ü", "u"),
        ("u\u0308", "u"),
        ("é", "e"),
        ("e\u0301", "e"),
        ("ß", "ss"),
    ):
        text = text.replace(accented, plain)
    return text.casefold()


def texts(file: File) -> list[str]:
    folder, _, name = file.path.rpartition("/")
    said = [folder, name, file.notes.title or "", file.notes.camera or "", *file.notes.keywords]
    return [" ".join("".join(c if c.isalnum() else " " for c in folded(t)).split()) for t in said]


def says(file: File, *words: str) -> bool:
    return all(any(f" {word} " in f" {text} " for text in texts(file)) for word in words)


SPOKEN: dict[str, tuple[Callable[[File], bool], str]] = {
    "a word": (lambda f: says(f, "holiday"), "HOLIDAY"),
    "a word of a folder": (lambda f: says(f, "rome"), "rome"),
    "words": (lambda f: says(f, "rome", "red"), "red rome"),
    "accents": (lambda f: says(f, "zurich"), "zürich"),
    "accents left out": (lambda f: says(f, "zurich"), "ZURICH"),
    "letters of their own": (lambda f: says(f, "strasse"), "STRASSE"),
    "a whole name": (lambda f: "beach_00009" in f.path, "beach_00009"),
    "signs without spaces": (
        lambda f: any("東京" in text for text in (f.path, f.notes.title or "")),
        "東京",
    ),
    "a phrase": (lambda f: says(f, "two words"), '"two words"'),
    "a beginning": (lambda f: any(" hol" in f" {text}" for text in texts(f)), "hol*"),
    "a camera": (lambda f: f.notes.camera == "Чайка", "чайка"),
    "nothing": (lambda f: False, "unheard"),
    "a quotation mark that folds to one": (lambda f: says(f, "two words"), "two\uff02words"),
    "nothing at all between": (lambda f: says(f, "two words"), "two\0words"),
    "an operator": (lambda f: False, "red NOT rome OR x"),
}


@pytest.mark.parametrize("name", SPOKEN)
def test_words_find_what_plain_python_finds(store: Store, files: list[File], name: str) -> None:
    holds, words = SPOKEN[name]
    count = check(store, files, holds, wire.Filter(words=words))
    assert bool(count) == (name not in ("nothing", "an operator", "a whole name")) or count < 5
    check(
        store,
        files,
        lambda f: holds(f) and f.metadata.width < f.metadata.height,
        wire.Filter(words=words, orientations=("portrait",)),
    )


def test_words_that_are_none_are_refused(store: Store) -> None:
    for words in ("", "-- !", '""', "***"):
        with pytest.raises(UsageError, match="no word"):
            store.passed(wire.Filter(words=words))


def test_what_fits_better_has_the_higher_score(store: Store) -> None:
    passed = store.passed(wire.Filter(words="rome"), ranked=True)
    assert passed.scores is not None
    scores = dict(zip(passed.files.tolist(), passed.scores.tolist(), strict=True))
    assert min(scores.values()) > 0
    shown = store.shown(scores)
    both = [f for f, s in shown.items() if b"/rome/rome" in s.path]
    one = [f for f, s in shown.items() if b"/rome/" not in s.path and b"rome" in s.path]
    assert min(scores[f] for f in both) > max(scores[f] for f in one if not _titled(shown[f]))


def _titled(shown: Any) -> bool:
    return bool(shown.picture.metadata.notes.title)
