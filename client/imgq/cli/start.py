"""`imgq start [DIR…]`: a daemon that answers, in the background, and the folders it watches."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import click

from imgq import service, wire
from imgq.cli import progress
from imgq.cli.lifecycle import end, lock_is_free
from imgq.client import answers, ask
from imgq.errors import CannotStart, Refused, UsageError
from imgq.paths import places, socket_address

# Its interpreter, three libraries and a database have to come up; the model loads afterwards.
STARTING_S = 60.0


@click.command()
@click.argument("folders", metavar="[DIR]…", nargs=-1)
@click.option("--model", metavar="NAME", help="The model to embed with; remembered.")
def start(folders: tuple[str, ...], model: str | None) -> None:
    """Start the daemon in the background and watch the folders."""
    paths = [existing(folder) for folder in folders]
    ensure(model)
    if paths:
        ask(wire.Add(paths=tuple(paths)), STARTING_S)
    if sys.stdout.isatty() and sys.stderr.isatty():
        progress.until_settled()


def existing(folder: str) -> bytes:
    """The absolute path of a folder that is there. Raises UsageError."""
    path = os.path.abspath(os.path.expanduser(folder))
    if not os.path.isdir(path):
        raise UsageError(f"there is no folder {folder!r}", "`imgq start ~/Pictures`")
    return os.fsencode(path)


def ensure(model: str | None = None) -> None:
    """A daemon answers when this returns, with that model."""
    if answers():
        if model is not None and model != running_model():
            use_model(model)
            restart()
        return
    _require_own_socket()
    _require_daemon()
    use_model(model)
    try:
        launch()
    except Refused:
        # Another `imgq start` may have been faster by a moment.
        if lock_is_free() or not progress.poll(answers, STARTING_S):
            raise


def launch() -> None:
    """Starts the installed service, or else a process of its own."""
    if service.in_charge():
        service.start()
        if not progress.poll(lambda: answers(1.0), STARTING_S):
            raise CannotStart(
                "the service was started and does not answer", "`imgq logs` may tell why"
            )
    else:
        _spawn()


def spawn(model: str) -> None:
    """A daemon of its own, whatever service there is."""
    _require_daemon()
    use_model(model)
    _spawn()


def restart() -> None:
    end()
    launch()


def running_model() -> str:
    status = ask(wire.AskStatus())
    assert isinstance(status, wire.Status)
    return status.model.name


def use_model(name: str | None) -> None:
    """Makes sure of a model's weights and remembers it; by name, or the one in use.

    That is the daemon's business, and no daemon may be running: its package is run, not imported.
    """
    words = [sys.executable, "-P", "-m", "imgqd.models", "use", *([] if name is None else [name])]
    child = subprocess.run(words, stdin=subprocess.DEVNULL, check=False)
    if child.returncode:
        raise SystemExitWith(child.returncode)


class SystemExitWith(Refused):
    """A child of ours has said on stderr what is wrong, and how it ended is how we end."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("")
        self.exit_code = exit_code


def _require_own_socket() -> None:
    address = socket_address()
    if address != f"ipc://{places().socket}":
        raise UsageError(
            f"no daemon answers on {address}, and here none can be started for it",
            "without IMGQ_SOCKET, one of your own is started",
        )


def _require_daemon() -> None:
    from importlib.util import find_spec

    if find_spec("imgqd") is None or find_spec("apsw") is None:
        raise CannotStart(
            "this is the client alone", "the daemon comes with: pip install 'imgq[daemon]'"
        )


def _spawn() -> None:
    """The daemon's own session, its log, and one pipe on which it says that it answers, or why not."""
    reading, writing = os.pipe()
    log = _open_log()
    try:
        subprocess.Popen(
            [sys.executable, "-P", "-m", "imgqd", "--ready", str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writing,),
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(writing)
        os.close(log)
    with open(reading, "rb") as pipe:
        _heed(pipe.readline())


def _open_log() -> int:
    folder = places().logs
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return os.open(places().log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _heed(line: bytes) -> None:
    if not line:
        raise CannotStart(
            "the daemon ended before it answered", f"its last words are in {places().log}"
        )
    said = json.loads(line)
    if said["exit_code"]:
        failure = Refused(said["message"], said["hint"])
        failure.exit_code = said["exit_code"]
        raise failure
