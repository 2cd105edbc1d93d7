"""A query's vector is the rule's: by the scores of an answer, and what NumPy makes of an export."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fake_embedder
from conftest import Home
from library import library
from pictures import jpeg

Weighed = tuple[float, str]


class Oracle:
    """What every file's score must be. Texts are those of the fake; pictures are files of the library."""

    def __init__(self, home: Home) -> None:
        target = home.folder / "index.npz"
        assert home.imgq("export", "--npz", str(target)).returncode == 0
        with np.load(target) as index:
            # As JSON has a path that is no text.
            self.paths = [
                os.fsencode(str(path)).decode("utf-8", "replace") for path in index["paths"]
            ]
            self.vectors = index["vectors"].astype(np.float64)
        card: Any = type("Card", (), {"dim": self.vectors.shape[1]})
        self.texts = fake_embedder.FakeTexts(card)

    def embedding(self, term: str) -> np.ndarray:
        if term.startswith("/"):
            return np.asarray(self.vectors[self.paths.index(term)])
        return np.asarray(self.texts.embed([term])[0], np.float64)

    def scores(self, *terms: Weighed) -> dict[str, float]:
        total = sum(weight * self.embedding(term) for weight, term in terms)
        scores = self.vectors @ (total / np.linalg.norm(total))
        hidden = {tuple(self.embedding(term)) for _, term in terms if term.startswith("/")}
        return {
            path: float(score)
            for path, score, vector in zip(self.paths, scores, self.vectors, strict=True)
            if tuple(vector) not in hidden
        }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with library(tmp_path_factory.mktemp("vector")) as home:
        for seed in range(12):
            jpeg(home.pictures / f"scene {seed}.jpg", seed)
        home.settle()
        yield home


@pytest.fixture(scope="module")
def oracle(home: Home) -> Oracle:
    return Oracle(home)


def asked(home: Home, *words: str, stdin: bytes = b"") -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "imgq", "--json", *words],
        env=home.environment,
        cwd=home.pictures,
        input=stdin,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    results = json.loads(done.stdout)["results"]
    assert [hit["score"] for hit in results] == sorted((h["score"] for h in results), reverse=True)
    return {hit["path"]: hit["score"] for hit in results}


@pytest.mark.parametrize(
    ("words", "terms"),
    [
        ("an old barn", [(1, "an old barn")]),
        ("horse + stripes - people", [(1, "horse"), (1, "stripes"), (-1, "people")]),
        ("2:golden retriever - .25:leash", [(2, "golden retriever"), (-0.25, "leash")]),
        ("0.5:./red.jpg + beach", [(0.5, "P/red.jpg"), (1, "beach")]),
        (r"\16:9 + 1e-3:x", [(1, "16:9"), (1e-3, "x")]),
        ("1e-7:beach - 1e-7:people", [(1, "beach"), (-1, "people")]),
        ("beach - ./blue.jpg", [(1, "beach"), (-1, "P/blue.jpg")]),
        ("image:sub/yellow.jpg + P/green.jpg", [(1, "P/sub/yellow.jpg"), (1, "P/green.jpg")]),
        ("--like=red.jpg --like sub/../blue.jpg", [(1, "P/red.jpg"), (1, "P/blue.jpg")]),
        ("beach --not sand --not 2:sea", [(1, "beach"), (-1, "sand"), (-2, "sea")]),
        ("beach --negative people", [(1, "beach"), (-0.5, "people")]),
        (
            "beach --negative people --negative 2:./red.jpg --negative-weight 0.3",
            [(1, "beach"), (-0.3, "people"), (-0.6, "P/red.jpg")],
        ),
        ("car --like red.jpg --weights 0.7 0.3", [(0.7, "car"), (0.3, "P/red.jpg")]),
        ("2:car + red.jpg --weights 1 0 --like ./red.jpg", [(2, "car"), (1, "red.jpg")]),
        (
            "car - ./blue.jpg --like red.jpg --weights .2 3",
            [(0.2, "car"), (3, "P/red.jpg"), (-1, "P/blue.jpg")],
        ),
    ],
)
def test_scores_are_the_rules(home: Home, oracle: Oracle, words: str, terms: list[Weighed]) -> None:
    folder = f"{home.pictures}/"
    expected = oracle.scores(*((weight, term.replace("P/", folder)) for weight, term in terms))
    if "--weights 1 0" in words:
        # However little it weighs, the query's own picture is left out.
        del expected[f"{folder}red.jpg"]
    found = asked(home, "-k", "1000", *words.replace("P/", folder).split())
    assert found == pytest.approx(expected, abs=6e-5)


def test_a_picture_on_stdin_is_a_term_like_any_other(home: Home, oracle: Oracle) -> None:
    path = f"{home.pictures}/scene 3.jpg"
    data = Path(path).read_bytes()
    expected = oracle.scores((1, "beach"), (1, path))
    for words in (["beach", "--like", "-"], ["beach + image:-"]):
        assert asked(home, "-k1000", *words, stdin=data) == pytest.approx(expected, abs=6e-5)


def test_a_known_picture_costs_no_forward_pass(home: Home) -> None:
    before = home.embedded()
    asked(home, "--like", "scene 3.jpg", "--like", "red.jpg")
    assert home.embedded() == before
    jpeg(home.folder / "unknown.jpg", 99)
    asked(home, "--like", str(home.folder / "unknown.jpg"))
    assert home.embedded() == before + 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["red", "-", "red"], "cancel each other out"),
        (["--like", "note.txt"], "the picture 'note.txt' of the query cannot be used"),
        (["red", "+", "./red.jpg", "-", "./note.txt"], "the picture 'note.txt' of the query"),
    ],
)
def test_what_only_the_daemon_finds_wrong(home: Home, words: list[str], complaint: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "imgq", *words],
        env=home.environment,
        cwd=home.pictures,
        capture_output=True,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert complaint in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
