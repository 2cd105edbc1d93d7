"""The pipelines of the README and of docs/answers.md, as a shell runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Home
from library import ESCAPE, NEWLINE, library

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("jq", "fzf", "xargs", "head")
# What stands in a console block or behind its prompt, and hands an answer on.
PIPELINE = re.compile(r"^(?:\$ )?(imgq [^#\n]*?\|[^#\n]*?)\s*(?:#.*)?$", re.MULTILINE)


def pipelines() -> list[str]:
    texts = [(ROOT / name).read_text() for name in ("README.md", "docs/answers.md")]
    blocks = "\n".join(
        "\n".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL)) for text in texts
    )
    return sorted(set(PIPELINE.findall(blocks)))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with library(tmp_path_factory.mktemp("pipelines")) as home:
        programs = home.folder / "programs"
        programs.mkdir()
        (programs / "imgq").write_text(f'#!/bin/sh\nexec {sys.executable} -m imgq "$@"\n')
        (programs / "imgq").chmod(0o755)
        home.environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
        (home.folder / "cars").mkdir()
        yield home


def piped(home: Home, pipeline: str) -> bytes:
    for tool in TOOLS:
        if re.search(rf"\b{tool}\b", pipeline) and not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    if sys.platform == "darwin" and "cp -t" in pipeline:
        pytest.skip("cp -t is GNU's")
    # Who stops reading early may end the one who writes, and no hits are an answer, too.
    done = subprocess.run(
        ["bash", "-c", f"{pipeline}\ncase ${{PIPESTATUS[0]}} in 0 | 1 | 141) ;; *) exit 9 ;; esac"],
        env=home.environment,
        cwd=home.pictures,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def test_there_are_some() -> None:
    found = " ".join(pipelines())
    assert all(tool in found for tool in ("jq", "fzf", "xargs -0"))


@pytest.mark.parametrize("pipeline", [each for each in pipelines() if "curl" not in each])
def test_a_pipeline_of_the_documentation_runs(home: Home, pipeline: str) -> None:
    said = piped(home, pipeline.replace("/tmp/cars", str(home.folder / "cars")))
    if "cp -t" in pipeline:
        assert len(list((home.folder / "cars").iterdir())) == len(home.indexed())
    elif "--" not in pipeline.replace("--json", ""):
        assert said


def test_jq_and_xargs_see_the_same_files(home: Home) -> None:
    count = len(home.indexed())
    paths = piped(home, "imgq red --jsonl | jq -r .path | sort")
    assert f"{home.pictures}/red.jpg\n".encode() in paths
    sizes = piped(home, "imgq red -0 | xargs -0 printf '%s\\n'")
    for name in (NEWLINE, ESCAPE):
        assert os.fsencode(home.pictures / name) in sizes
    scores = piped(home, "imgq red --json | jq '.results | length'")
    assert int(scores) == count
    assert piped(home, "imgq red -l | fzf --filter sub/yell").endswith(b"/sub/yellow.jpg\n")
    assert piped(home, "cat red.jpg | imgq --like - -k1 -l || true") != b""


def test_a_reader_that_has_enough_ends_it_quietly(home: Home) -> None:
    done = subprocess.run(
        ["bash", "-c", "imgq red | head -1; echo ${PIPESTATUS[0]}"],
        env=home.environment,
        capture_output=True,
    )
    first, status = done.stdout.splitlines()
    assert first.startswith(b"1.000\t")
    assert status in (b"0", b"141")
    assert done.stderr == b""
