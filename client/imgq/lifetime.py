"""The daemon's beginning and its end, as its user sees them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

from imgq import lock, package, service, wire
from imgq.client import answers, ask
from imgq.errors import (
    CannotStart,
    NoDaemon,
    ProtocolMismatch,
    Refused,
    TimedOut,
    UsageError,
)
from imgq.paths import is_far, places, require_closed_above, socket_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Its interpreter, three libraries and a database have to come up; the model loads afterwards.
STARTING_S = 60.0
STOPPING_S = 20.0
# So long one that does not answer has to end in order, and then the kernel has to end it.
ENDING_S = 6.0


def ensure(model: str | None = None) -> None:
    """A daemon answers when this returns, with that model; where it has another one, it goes on with that
    until the new one is ready."""
    if answers():
        if model is not None and model != wanted_model():
            change_model(model)
        return
    _require_own_socket()
    # Whose lock it is there, the daemon would not come to tell.
    require_closed_above(places().runtime)
    use_model(model)
    # One that is ending holds the lock for a moment, and so does one that another `imgq start` began.
    poll(lambda: lock.is_free() or answers(), STARTING_S)
    try:
        _launch()
    except Refused:
        # Another `imgq start` may have been faster; what has refused lets go of the lock in a moment.
        poll(lambda: answers() or lock.is_free(), STARTING_S)
        if not answers():
            raise
    if model is not None and model != wanted_model():
        # To be asked may have started one that had read its settings by then: systemd holds the socket.
        change_model(model)


def _launch() -> None:
    """Starts the installed service, or else a process of its own."""
    if service.in_charge():
        service.start()
        if not poll(lambda: answers(1.0), STARTING_S):
            raise CannotStart(
                "the service was started and does not answer", "`imgq logs` may tell why"
            )
    else:
        _spawn()


def spawn(model: str) -> None:
    """A daemon of its own, whatever service there is."""
    use_model(model)
    _spawn()


def restart() -> None:
    """Another daemon than before answers when this returns."""
    use_model(None)
    # Where a service manager holds the socket, whoever asks meanwhile waits there.
    _end_running()
    ensure()


def change_model(name: str, keep: bool = False) -> None:
    """Makes sure of a model's weights, and has the daemon use it as soon as it can. Raises Ended where they
    cannot be had; nothing has changed then. A daemon elsewhere has its own."""
    if _is_own_socket():
        package.run("imgqd.models", "fetch", name)
    ask(wire.UseModel(name=name, keep=keep))


def wanted_model() -> str:
    """The name of the one that the daemon uses, or is about to."""
    status = ask(wire.AskStatus())
    assert isinstance(status, wire.Status)
    return status.change.model if status.change else status.model.name


def use_model(name: str | None) -> None:
    """Makes sure of a model's weights and remembers it; by name, or the one in use."""
    package.run("imgqd.models", "use", *([] if name is None else [name]))


def end() -> bool:
    """Ends the daemon, and the service for now; returns when it is gone, False where none was running."""
    if is_far():
        return _end_far()
    was_there = not lock.is_free()
    if service.in_charge():
        # Where its manager holds the socket, whoever asked next would start it again.
        service.stop()
    return _end_running() or was_there


def _end_running() -> bool:
    was_there = not lock.is_free()
    if not was_there and not answers():
        return False
    try:
        ask(wire.Stop(), STOPPING_S)
    except TimedOut as error:
        if not was_there:
            # Nothing of this machine holds the lock.
            raise
        return _end_hung(error)
    except NoDaemon:
        # It was about to end.
        return _until_gone()
    except ProtocolMismatch:
        # A daemon from before an update: it heeds a signal all the same.
        if lock.is_free():
            raise
        os.kill(lock.holder(), signal.SIGTERM)
    return _until_gone()


def _end_hung(error: TimedOut) -> bool:
    """Ends what holds the lock and says nothing, unless it has ended by then; its index is sound at any
    instant. Raises `error` where it does not end."""
    for number, patience in ((signal.SIGTERM, ENDING_S), (signal.SIGKILL, STARTING_S)):
        if lock.is_free():
            return True
        with suppress(ProcessLookupError):
            os.kill(lock.holder(), number)
        if poll(lock.is_free, patience):
            return True
    raise error


def _end_far() -> bool:
    """Of another machine's all that can be seen is whether somebody listens there."""
    try:
        ask(wire.Stop(), STOPPING_S)
    except TimedOut:
        raise
    except NoDaemon:
        return False
    if not poll(_is_silent, STOPPING_S):
        raise TimedOut(f"{socket_address()} still answers after {STOPPING_S:g} s")
    return True


def _is_silent() -> bool:
    try:
        ask(wire.AskRoots(), 2.0)
    except NoDaemon as error:
        return not isinstance(error, TimedOut)
    except Refused:
        # It is ending.
        pass
    return False


def _until_gone() -> bool:
    if not poll(lock.is_free, STOPPING_S, 0.02):
        raise TimedOut(
            f"the daemon is still there after {STOPPING_S:g} s", "`imgq logs` may tell why"
        )
    return True


def _require_own_socket() -> None:
    if not _is_own_socket():
        raise UsageError(
            f"no daemon answers on {socket_address()}, and here none can be started for it",
            "without IMGQ_SOCKET, one of your own is started",
        )


def _is_own_socket() -> bool:
    return socket_address() == f"ipc://{places().socket}"


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
    # For the folders above it, which may be made here too.
    before = os.umask(0o077)
    try:
        os.makedirs(places().logs, exist_ok=True)
        return os.open(places().log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    finally:
        os.umask(before)


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


def poll(condition: Callable[[], bool], timeout: float, pause: float = 0.05) -> bool:
    """Whether the condition came true within so many seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
