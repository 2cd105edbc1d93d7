"""The daemon's package, run in a process of its own: the client never imports it."""

from __future__ import annotations

import sys

from imgq.errors import CannotStart, Refused

FOR_CLIENT_ALONE = (
    "the daemon comes with: pip install 'imgq[daemon]'; that of another machine is asked by"
    " `imgq --socket tcp://HOST`, or with IMGQ_SOCKET=tcp://HOST in the environment"
)


class Ended(Refused):
    """A child of ours has said on stderr what is wrong, and how it ended is how we end."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("")
        self.exit_code = exit_code


def run(module: str, *words: str) -> None:
    """Runs a module of the package in the foreground. Raises Ended where it fails."""
    import subprocess

    require()
    sys.stdout.flush()
    # -P, since a folder one happens to be in is no place to import from.
    child = subprocess.run([sys.executable, "-P", "-m", module, *words], check=False)
    if child.returncode:
        raise Ended(child.returncode)


def read(module: str, *words: str) -> str:
    """What a module of the package prints. Raises Refused where it fails."""
    import subprocess

    require()
    command = [sys.executable, "-P", "-m", module, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr.strip().removeprefix("imgq: "))
    return done.stdout


def is_there() -> bool:
    """Whether the daemon's package is installed, and not the client alone."""
    from importlib.util import find_spec

    return find_spec("imgqd") is not None and find_spec("apsw") is not None


def require() -> None:
    """Raises CannotStart where the client is installed alone."""
    if not is_there():
        raise CannotStart("this is the client alone", FOR_CLIENT_ALONE)
