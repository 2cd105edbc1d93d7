"""Unit files: where they come from, what is filled in, and how they are put in place."""

from __future__ import annotations

import os
import subprocess
from time import monotonic, sleep

import imgq
from imgq.errors import Failure, Refused
from imgq.paths import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Longer than the unit files give the daemon to come up or to end.
_PATIENCE = 200.0


def template(folder: str, name: str) -> bytes:
    """A unit file as it is shipped: from the package, or the checkout that the package is in."""
    package = os.path.dirname(os.path.abspath(imgq.__file__))
    checkout = os.path.dirname(os.path.dirname(package))
    for path in (os.path.join(package, "units", name), os.path.join(checkout, folder, name)):
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            continue
    raise Failure(f"this imgq came without its unit file {name}", "install imgq again")


def write(path: str, data: bytes) -> bool:
    """Puts a unit file in place, whole or not at all. Whether that changed anything."""
    try:
        with open(path, "rb") as file:
            if file.read() == data:
                return False
    except FileNotFoundError:
        pass
    beside = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(beside, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        remove(beside)
        raise Refused(f"cannot write {path}: {error.strerror}") from None
    return True


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise Refused(f"cannot remove {path}: {error.strerror}") from None


def make_folders(own: Places) -> None:
    """The daemon's folders, for its owner alone, before a manager has need of them."""
    for folder in (os.path.dirname(own.settings), *own.own):
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise Refused(f"cannot make the folder {folder}: {error.strerror}") from None
    os.chmod(own.logs, 0o700)


def environment(*deciding: str) -> dict[str, str]:
    """What a service is given of this environment: IMGQ_HOME alone, or else what `deciding` names.

    From them follow the places of settings, index and socket: a service without them would be the
    daemon of other places.
    """
    if home := os.environ.get("IMGQ_HOME"):
        return {"IMGQ_HOME": os.path.abspath(home)}
    given = {name: os.environ.get(name, "") for name in deciding}
    return {name: value for name, value in given.items() if os.path.isabs(value)}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a manager's own program. Raises Refused where it is missing or hangs."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as error:
        raise Refused(f"cannot run {command[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise Refused(f"`{' '.join(command)}` did not end in {_PATIENCE:.0f} s") from None


def must(*command: str) -> None:
    """Runs it, and raises Refused with its own words if it fails."""
    done = run(*command)
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise Refused(f"`{' '.join(command)}` failed: {said}")


def until(condition: Callable[[], bool], otherwise: str, within: float = 60.0) -> None:
    """Returns when the condition holds; if it never does, raises Refused, saying `otherwise`."""
    deadline = monotonic() + within
    while not condition():
        if monotonic() > deadline:
            raise Refused(otherwise)
        sleep(0.1)
