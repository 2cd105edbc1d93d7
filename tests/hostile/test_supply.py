"""What the program brings along and leaves behind: no pickle is ever read, and no log is for others."""

from __future__ import annotations

import ast
import logging
import os
import stat
from pathlib import Path

import pytest

from imgq.paths import Places
from imgqd import journal

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


def test_every_log_is_for_its_owner_alone_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = os.fspath(tmp_path)
    where = Places(settings=folder, data=folder, models=folder, logs=folder, runtime=folder)
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
