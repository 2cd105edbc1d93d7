"""A picture that takes a decoder over finds nothing to take: no file, no network, no process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import taken_over
from taken_over import ALLOWED, FILES, FORBIDDEN, LETHAL, LIMITS, PORTS, PROCESSES, SUCCEEDED

from conftest import Home, until
from imgq import wire
from imgqd.pictures import jxl, landlock, raw
from imgqd.pictures.opening import prepare
from pictures import encoded, jpeg, painted
from raw_file import dng

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these barriers are Linux's")
NewHome = Callable[..., Home]

HARD = ["HEIF", "AVIF", "JPEG2000"]
REFUSED = {"EPERM", "EACCES", "ENOSYS"}
# Another user, who may read a checkout and an interpreter in a private home, as root may.
AS_NOBODY = (
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip


def told(
    without: str,
    attempts: Sequence[str],
    pictures: Sequence[str] = (),
    user: Sequence[str] = (),
) -> dict[str, Any]:
    """What a decoder could do that was taken over, without the barriers named."""
    request = json.dumps({"attempts": list(attempts), "pictures": list(pictures)})
    done = subprocess.run(
        [*user, sys.executable, taken_over.__file__, "tell", without, request],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture
def hard_pictures(tmp_path: Path) -> list[str]:
    """Of the formats whose decoders start threads, or are foreign to Pillow."""
    prepare()
    tmp_path.chmod(0o755)
    found = {format: encoded(painted(1, (640, 480)), format) for format in HARD}
    if jxl.is_installed():
        import pillow_jxl  # noqa: F401

        found["JXL"] = encoded(painted(1, (640, 480)), "JXL")
    if raw.is_installed():
        found["RAW"] = dng(painted(1, (640, 480)))
    for format, data in found.items():
        (tmp_path / format).write_bytes(data)
    return [str(tmp_path / format) for format in found]


@pytest.mark.parametrize("user", [(), AS_NOBODY], ids=["as we are", "as nobody"])
def test_fault_59_a_decoder_that_was_taken_over_can_do_nothing(
    hard_pictures: list[str], user: tuple[str, ...]
) -> None:
    if user and (os.geteuid() != 0 or shutil.which(user[0]) is None):
        pytest.skip("only root, and with setpriv, can become nobody")
    found = told("-", [*FORBIDDEN, *LIMITS, *ALLOWED], hard_pictures, user)
    if any(missing.startswith("seccomp") for missing in found["missing"]):
        pytest.skip(f"this kernel has no {found['missing']}")
    attempts = found["attempts"]
    assert {name: attempts[name] for name in FORBIDDEN if attempts[name] not in REFUSED} == {}
    assert {name: attempts[name] for name in LIMITS} == dict.fromkeys(LIMITS, "ENOMEM")
    assert {name: attempts[name] for name in ALLOWED} == dict.fromkeys(ALLOWED, SUCCEEDED)
    assert found["pictures"] == [os.path.basename(path) for path in hard_pictures]
    assert found["pictures"][: len(HARD)] == HARD


def test_fault_59_without_barriers_every_attempt_gets_through() -> None:
    """Or is refused for its arguments: it is no attempt at all otherwise."""
    # root's powers are dropped, and without them a daemon of root's is out of reach.
    roots = {"slow the daemon down", "trace the daemon"} if os.geteuid() == 0 else set()
    attempts = FORBIDDEN.keys() - LETHAL - roots
    found = told("landlock+seccomp", sorted(attempts))
    assert len(found["missing"]) == 2
    assert [name for name in attempts if found["attempts"][name] in REFUSED] == []


def test_fault_59_each_barrier_holds_by_itself() -> None:
    alone = told("landlock", list(FORBIDDEN))
    assert [name for name in FORBIDDEN if alone["attempts"][name] not in REFUSED] == []
    try:
        if landlock.version() < 6:
            pytest.skip("this kernel's Landlock does not know all that is asked for")
    except OSError as error:
        pytest.skip(f"this kernel has no Landlock: {error}")
    known = FILES | PORTS | PROCESSES
    alone = told("seccomp", list(known))
    assert alone["missing"] == ["seccomp (left out)"]
    assert [name for name in known if alone["attempts"][name] not in REFUSED] == []


def test_a_missing_barrier_is_told(new_home: NewHome) -> None:
    home = new_home()
    home.environment["IMGQ_TEST_TEXT"] = "without_seccomp:FakeTexts"
    plants = Path(__file__).parent / "plants"
    home.environment["PYTHONPATH"] += f"{os.pathsep}{plants}{os.pathsep}{plants.parent}"
    home.settings("decoders = 1\n")
    home.start()
    until(lambda: home.status().model.state != "loading", "what is planted")
    home.watch()
    for number in range(2):
        os.kill(until(lambda: decoder(home), "a decoder"), signal.SIGKILL)
        jpeg(home.pictures / f"{number}.jpg", number)
        status = home.settle()
        (trouble,) = home.troubles("sandbox")
        assert "seccomp (left out)" in trouble.message
        assert status.index.files == number + 1
    assert home.log.count("seccomp (left out)") == 1


def test_decoders_that_do_not_start_are_told(new_home: NewHome) -> None:
    home = new_home()
    home.environment["IMGQ_TEST_TEXT"] = "stillborn:FakeTexts"
    plants = Path(__file__).parent / "plants"
    home.environment["PYTHONPATH"] += f"{os.pathsep}{plants}"
    home.settings("decoders = 1\n")
    home.start()
    until(lambda: home.status().model.state != "loading", "what is planted")
    # One that was started before.
    until(lambda: decoder(home) or of_the_decoders(home), "a decoder")
    if (early := decoder(home)) is not None:
        os.kill(early, signal.SIGKILL)
    jpeg(home.pictures / "a.jpg")
    home.watch()
    [trouble] = until(lambda: of_the_decoders(home), "a word of it")
    assert "forbidden on purpose" in trouble.message
    assert decoder(home) is None
    (home.folder / "allowed").touch()
    assert home.settle().index.files == 1
    assert of_the_decoders(home) == []


def of_the_decoders(home: Home) -> list[wire.Trouble]:
    """This machine may have other troubles of its own."""
    return [each for each in home.status().degraded if each.code == "decoders"]


def decoder(home: Home) -> int | None:
    """The process id of the only one."""
    return next((each.pid for each in home.status().processes if each.role == "decoder"), None)
