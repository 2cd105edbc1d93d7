"""What the program brings along and leaves behind: no pickle is ever read, no weights are loaded but those
that it knows, and nothing that it writes is for others."""

from __future__ import annotations

import ast
import json
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from imgq.errors import Refused
from imgq.paths import Places
from imgqd.health import journal
from imgqd.models import card, towers, weights
from imgqd.models.card import Card
from imgqd.models.presets import BUILTIN_SHA256
from imgqd.search.texts import TextTower

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for top in ("client", "daemon") for path in (ROOT / top).rglob("*.py"))
# Whoever loads one of these runs whatever its writer wanted.
RUNS_CODE = {"pickle", "shelve", "marshal", "dill", "joblib", "cloudpickle", "multiprocessing"}


def test_nothing_that_runs_code_is_loaded() -> None:
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call):
                said = ast.unparse(node)
                names = ["pickle"] * ("torch.load(" in said or "allow_pickle=True" in said)
            else:
                continue
            found += [(path.name, name) for name in names if name.partition(".")[0] in RUNS_CODE]
    assert SOURCES
    assert found == []


def test_a_model_is_loaded_and_used_without_a_pickle_and_without_a_network() -> None:
    """By the interpreter's own account, whatever the libraries are called."""
    code = (
        "import sys, numpy as np\n"
        "from imgqd.embedder import engines, tower\n"
        "from imgqd.models import card, text\n"
        "import torch, open_clip\n"
        "met = []\n"
        "suspect = ('pickle.', 'socket.', 'urllib.')\n"
        "sys.addaudithook(lambda event, _: met.append(event) if event.startswith(suspect) else None)\n"
        "made = card.builtin()\n"
        "texts = text.TextTower(made).embed(['a red car'])\n"
        "pictures = engines.open_image_tower(tower.Configuration(made, 'cpu', 'f32'))\n"
        "pictures.embed(np.zeros((1, made.pixels.height, made.pixels.width, 3), np.uint8))\n"
        "print(met)\n"
        "import pickle, socket; pickle.loads(pickle.dumps(Exception())); socket.socket().close()\n"
        "print(met)\n"
        "from huggingface_hub import errors, get_session\n"
        "try: get_session().head('http://127.0.0.1:1')\n"
        "except errors.OfflineModeIsEnabled: print('shut')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    expected = ["[]", "['pickle.find_class', 'socket.__new__']", "shut"]
    assert ran.stdout.splitlines() == expected, ran.stderr


# ── weights ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def builtin() -> Card:
    found = card.builtin()
    assert found is not None
    return found


def spoiled(path: Path) -> None:
    """Changes a bit of the last number; the file is as sound as before."""
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes((last ^ 1,)))


def test_the_builtin_models_weights_are_pinned(builtin: Card) -> None:
    assert weights.digest(builtin.weights) == BUILTIN_SHA256 == builtin.sha256


@pytest.mark.parametrize("tower", towers.TOWERS)
def test_weights_with_another_bit_are_not_loaded(
    builtin: Card, tower: towers.Name, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(builtin.weights, tmp_path))
    towers.load(replace(builtin, weights=str(copy)), tower)
    spoiled(copy)
    with pytest.raises(Refused, match="SHA-256") as refused:
        towers.load(replace(builtin, weights=str(copy)), tower)
    assert "pip install --force-reinstall" in refused.value.hint


def test_a_query_is_told_whose_weights_were_changed_and_what_to_do(
    builtin: Card, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(builtin.weights, tmp_path))
    spoiled(copy)
    texts = TextTower(replace(builtin, name="mine", weights=str(copy)))
    texts.start()
    for _ in range(2):
        with pytest.raises(Refused, match=r"text tower of mine .*SHA-256") as refused:
            texts.embed("red", 60.0)
        assert refused.value.exit_code == 4
        assert f"remove {copy}, " in refused.value.hint
        assert "imgq model pull mine" in refused.value.hint
        assert "imgq model add mine --weights FILE" in refused.value.hint


# ── packages ────────────────────────────────────────────────────────────────────────────────────────

LOCK = ROOT / ".ci" / "requirements.lock"
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[\w.!+]+)( ; (?P<marker>.+))?")


def pins() -> list[re.Match[str]]:
    lines = LOCK.read_text().splitlines()
    found = [PIN.fullmatch(line) for line in lines if not line.startswith("#")]
    assert all(found), "a line of the lock is no pin, or names a place"
    return [each for each in found if each]


def test_what_is_installed_to_develop_and_to_test_is_locked() -> None:
    locked = {
        canonicalize_name(pin["name"]): pin["version"]
        for pin in pins()
        if pin["marker"] is None or Marker(pin["marker"]).evaluate()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    for requirement in map(Requirement, wanted):
        if requirement.name != "imgq":
            version = locked[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement}: `make lock`"


FLAW = {"id": "PYSEC-1", "fix_versions": ["2"]}
CLEAN, FLAWED, SKIPPED = (
    {"name": "a", "version": "1", "vulns": []},
    {"name": "b", "version": "1", "vulns": [FLAW]},
    {"name": "c", "skip_reason": "not found"},
)


@pytest.mark.parametrize(
    ("found", "exit_code", "words"),
    [
        ([CLEAN], 0, "0 advisories against 1 packages"),
        (
            [CLEAN, FLAWED, SKIPPED],
            1,
            "b 1: PYSEC-1, mended in 2\nnot known there: c\n1 advisories",
        ),
        ([SKIPPED], 2, "nothing was audited"),
        (None, 2, "nothing was audited: the service of advisories cannot be asked (no network)"),
    ],
    ids=["nothing", "something", "nobody knows", "nobody answers"],
)
def test_an_audit_tells_a_clean_bill_from_no_answer(
    tmp_path: Path, found: list[dict[str, object]] | None, exit_code: int, words: str
) -> None:
    said = json.dumps({"dependencies": found})
    fake = f"print({said!r})" if found else "raise SystemExit('no network')"
    (tmp_path / "pip_audit.py").write_text(fake)
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "audit.py", LOCK],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == exit_code
    assert words in done.stdout + done.stderr


# ── what is written ─────────────────────────────────────────────────────────────────────────────────


def test_every_log_is_for_its_owner_alone_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = os.fspath(tmp_path)
    where = Places(**dict.fromkeys(Places.fields, folder))
    monkeypatch.setattr(journal, "MOST_BYTES", 100)
    root, before = logging.Logger("root of the test"), os.umask(0)
    try:
        handler = journal.private_log(where)
        root.addHandler(handler)
        for _ in range(20):
            root.error("as long as a line of the log may well be, and then some more of it")
        handler.close()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) > 1
    assert modes == {0o600}
