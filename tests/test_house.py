"""The promises of the house: what loads what, who holds the SQL, and that commands are what they say."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import peers
from imgq import wire
from imgq.cli import commands
from imgq.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
CLIENT = sorted((ROOT / "client" / "imgq").rglob("*.py"))
DAEMON = sorted((ROOT / "daemon" / "imgqd").rglob("*.py"))

# The client's own install has none of these.
HEAVY = {
    "PIL",
    "apsw",
    "imgqd",
    "numkong",
    "numpy",
    "open_clip",
    "sqlite3",
    "torch",
    "watchdog",
    "zmq",
}

# All that a search may load beyond what Python itself has loaded before the first line. A question is
# asked by hand, from a prompt: it should not wait for a parser, an importer of types or a regular
# expression. What is new here has to be worth its time to every single search.
OURS = """imgq imgq.cli imgq.cli.main imgq.cli.options imgq.cli.search imgq.client imgq.errors
imgq.pack imgq.paths imgq.query imgq.record imgq.render
imgq.wire imgq.wire.packing imgq.wire.searches imgq.zmtp"""
PYTHON = "__future__ _socket zlib"
ALLOWED = {*OURS.split(), *PYTHON.split()}
FOR_JSON = {"imgq.to_json"}

SEARCH = """
import sys
before = set(sys.modules)
from imgq.cli.main import run
code = run(["red", "car", *sys.argv[1:]])
sys.stdout.flush()
print(*sorted(set(sys.modules) - before), file=sys.stderr)
sys.exit(code)
"""


# As `imgqd` does it; and then what a kernel would ask torch's compiler, which has none for this device.
TEXTS_ALONE = """
import sys
import imgqd.__main__
from imgqd.models import card, text
text.TextTower(card.builtin()).embed(["a red car"])
print(*sys.modules)
print(sys.modules["torchvision.ops.roi_align"].is_compile_supported("meta"))
"""


# As the embedder does it.
IMAGES = """
import sys
from imgqd.models import card, towers
towers.load(card.builtin(), "visual")
print(*sys.modules)
"""


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(), path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def fresh(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        timeout=peers.PATIENCE_S,
    )


@pytest.mark.parametrize("form", ["-l", "-0", "--json", "--jsonl", "--top=3"])
def test_a_search_loads_what_it_needs_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    hit = wire.Hit(path=b"/p/a.jpg", score=0.3, size=1, mtime="", date_from="file", offline=False)
    index = wire.Freshness(files=1, pending=0, failed=0, settled=True)
    reply = wire.Hits(model="fast", took_ms=1, index=index, hits=[hit])
    with peers.address() as path, peers.answering(path, [wire.pack_reply(reply, 1)]):
        monkeypatch.setenv("IMGQ_SOCKET", f"ipc://{path}")
        done = fresh(SEARCH, form)
    assert done.returncode == 0, done.stderr
    assert "/p/a.jpg" in done.stdout
    loaded = {name for name in done.stderr.split() if not name.startswith("_cython_")}
    assert loaded - ALLOWED == (FOR_JSON if "json" in form else set())
    assert set(OURS.split()) <= loaded


@pytest.mark.parametrize("module", [dotted(path) for path in CLIENT if path.name != "__main__.py"])
def test_no_client_module_loads_the_daemons_libraries(module: str) -> None:
    done = fresh(f"import sys, {module}; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert {name.partition(".")[0] for name in done.stdout.split()} & HEAVY == set()


def test_the_daemon_loads_of_torch_and_open_clip_what_texts_need() -> None:
    done = fresh(TEXTS_ALONE)
    assert done.returncode == 0, done.stderr
    *loaded, says_no = done.stdout.split()
    assert {"torch", "open_clip"} <= set(loaded)
    assert not {"timm.models", "torch._dynamo", "sympy", "triton"} & set(loaded)
    # What is put off is there when somebody asks for it.
    assert says_no == "False"


def test_an_image_tower_is_had_without_torchs_compiler() -> None:
    done = fresh(IMAGES)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"torch", "timm.models"} <= loaded
    assert not {"torch._dynamo", "sympy", "triton"} & loaded


def test_no_client_module_imports_them_later_either() -> None:
    found = {
        f"{dotted(path)} imports {name}"
        for path in CLIENT
        for name in imports(path)
        if name.partition(".")[0] in HEAVY
    }
    assert found == set()


def test_the_daemon_knows_the_clients_leaves_alone() -> None:
    leaves = ("wire", "paths", "errors", "keys", "curve", "listener", "__version__")
    found = {
        f"{dotted(path)} imports {name}"
        for path in DAEMON
        for name in imports(path)
        if name.partition(".")[0] == "imgq" and name.split(".")[1] not in leaves
    }
    assert found == set()


def test_the_store_alone_knows_a_database() -> None:
    found = {
        dotted(path)
        for path in DAEMON
        for name in imports(path)
        if name.partition(".")[0] in {"apsw", "sqlite3", "sqlite_vec"}
    }
    assert found
    assert {name for name in found if not name.startswith("imgqd.store")} == set()


def test_the_daemon_itself_loads_no_decoder_and_no_tower() -> None:
    done = fresh("import sys, imgqd.app; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert {"PIL", "torch", "open_clip", "pillow_heif"} & set(done.stdout.split()) == set()


def test_the_table_of_commands_and_the_words_that_are_no_query_agree() -> None:
    assert set(commands._MODULES) == COMMANDS
    assert "search" not in COMMANDS


def test_every_command_is_in_one_group_of_the_help() -> None:
    grouped = [name for names in commands.GROUPS.values() for name in names]
    assert sorted(grouped) == sorted([*COMMANDS, "search"])


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_there_and_says_what_it_does(name: str) -> None:
    command = commands.imgq.get_command(click.Context(commands.imgq), name)
    assert command
    assert command.name == name
    assert command.help
    for inner in command.commands.values() if isinstance(command, click.Group) else []:
        assert inner.help, f"imgq {name} {inner.name}"
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help, f"imgq {name} {option.name}"


def test_no_room_is_a_drawer() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "core", "manager", "misc"}
    found = [
        path
        for top in ("client", "daemon", "tests")
        for path in (ROOT / top).rglob("*")
        if path.suffix in ("", ".py") and path.stem in drawers
    ]
    assert found == []


def test_the_top_of_the_house_is_what_people_expect() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    assert {line.partition("/")[0] for line in listed.stdout.splitlines()} <= {
        "daemon", "client", "systemd", "launchd", "tests", "pyproject.toml", "README.md", "LICENSE",
        "CHANGELOG.md", "SECURITY.md", "docs", "benchmarks", "training", "Makefile", ".ci", ".gitignore",
    }  # fmt: skip


def test_every_unit_of_code_says_what_it_is() -> None:
    silent = [
        dotted(path)
        for path in [*CLIENT, *DAEMON]
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_the_search_that_is_measured_is_the_one_that_is_installed() -> None:
    done = fresh("import imgq; print(imgq.__file__)")
    assert os.path.samefile(done.stdout.strip(), ROOT / "client" / "imgq" / "__init__.py")
