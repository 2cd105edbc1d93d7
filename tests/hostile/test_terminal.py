"""What a person sees: no name steers a terminal, and where nobody can read, all ends in order."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from strangers import watching

from conftest import PATIENCE_S, Home
from pictures import encoded, painted

RED = encoded(painted("red"), "JPEG")


@pytest.fixture(scope="module")
def escaping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A daemon that knows a picture, and a file that is none, whose names would clear the screen."""
    pictures = {
        "\x1b[2J\x9bred.jpg": RED,
        "\x1b[2J\x9btoo.jpg": RED,
        "\x1b[2Jnone.jpg": b"%PDF-1.7\n",
    }
    with watching(tmp_path_factory.mktemp("escaping"), **pictures) as home:
        yield home


@pytest.mark.parametrize(
    "words",
    [
        ["red"],
        ["red", "--json"],
        ["red", "-l"],
        ["red", "-0"],
        ["files"],
        ["files", "-0"],
        ["dupes", "-0"],
        ["errors"],
        ["errors", "--json"],
        ["status"],
        ["roots"],
        ["logs"],
        ["info", "pictures/\x1b[2J\x9bred.jpg"],
        ["--like", "\x1b[2Jnothing.jpg"],
        ["--\x1b[2J"],
        ["add", "\x1b[2J"],
        ["export", "--npz", "\x1b[2J.npz"],
    ],
    ids=lambda words: " ".join(words).encode("ascii", "ignore").decode().replace("\x1b", ""),
)
def test_no_name_steers_a_terminal(escaping: Home, words: list[str]) -> None:
    shown = on_a_terminal(escaping, *words)
    assert b"\x1b[2J" not in shown
    assert "\x9b".encode() not in shown


def on_a_terminal(home: Home, *words: str) -> bytes:
    """All that the client writes there."""
    ours, theirs = pty.openpty()
    environment = home.environment | {"NO_COLOR": "1", "TERM": "dumb"}
    with (
        open(ours, "rb", buffering=0) as terminal,
        subprocess.Popen(
            [sys.executable, "-m", "imgq", *words],
            env=environment,
            cwd=home.folder,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        ) as asking,
    ):
        os.close(theirs)
        shown = b""
        with suppress(OSError):
            while part := terminal.read(4096):
                shown += part
        asking.wait(PATIENCE_S)
    assert shown
    return shown


@pytest.mark.parametrize("words", [["files"], ["red"], ["status"], ["files", "--json"]])
@pytest.mark.parametrize(
    ("where", "exit_code"),
    [(">&-", 70), (">/dev/full", 70), (">&- 2>&-", 70), (">/dev/full 2>&1", 70), ("2>&-", 0)],
)
def test_where_nobody_can_read_it_ends_in_order(
    escaping: Home, words: list[str], where: str, exit_code: int
) -> None:
    script = f"'{sys.executable}' -m imgq {' '.join(words)} {where}"
    done = subprocess.run(
        ["bash", "-c", script], env=escaping.environment, capture_output=True, timeout=PATIENCE_S
    )
    assert done.returncode == exit_code, done.stderr
    assert b"Traceback" not in done.stderr


def test_the_daemons_own_words_steer_nothing(tmp_path: Path) -> None:
    """On stderr, where somebody runs it in the foreground, and in its log."""
    code = (
        "import logging, sys; from imgq.paths import places; from imgqd.health import journal\n"
        "journal.open_log(places())\n"
        "try: open('/\\x1b[2J\\n\\u202e')\n"
        "except OSError: logging.exception('%s is offline', '\\x1b[2J\\x9b\\nERROR forged \\udcff')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"IMGQ_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    for said in (done.stderr, (tmp_path / "logs" / "imgqd.log").read_text()):
        assert r"\x1b[2J\x9b\nERROR forged \udcff is offline" in said
        assert not [c for c in said if not c.isprintable() and c != "\n"]
        assert len(said.splitlines()) == len(done.stderr.splitlines()) < 6
