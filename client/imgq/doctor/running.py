"""What the daemon says of itself, and who starts it."""

from __future__ import annotations

import os
import sys

from imgq import __version__, lock, wire
from imgq import service as services
from imgq.client import ask
from imgq.doctor.verdict import Verdict, note, ok, wrong
from imgq.errors import Failure, NoDaemon, ProtocolMismatch, Refused, TimedOut
from imgq.paths import is_far, socket_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Whoever is in trouble does not wait half a minute to be told so.
ANSWERS_S = 10.0
# From this part of the system's watches on, the rest will not last long.
_MANY = 0.8


def status() -> wire.Status | Verdict:
    """The daemon's status, or the verdict that there is none."""
    try:
        reply = ask(wire.AskStatus(), ANSWERS_S)
    except TimedOut as error:
        if (pid := _stopped()) is not None:
            found = f"{error.message}: it stands still, for a signal has stopped it (pid {pid})"
            return wrong("daemon", found, f"kill -CONT {pid} has it go on; `imgq restart` ends it")
        found = f"{error.message}{_why_late()}"
        return wrong("daemon", found, "`imgq logs` may tell why; `imgq restart` ends it")
    except (NoDaemon, ProtocolMismatch) as error:
        return wrong("daemon", error.message, error.hint)
    except Failure as error:
        return wrong("daemon", error.message, error.hint or "`imgq logs` may tell why")
    assert isinstance(reply, wire.Status)
    return reply


def _stopped() -> int | None:
    """The process of a daemon of this machine that a signal has stopped."""
    try:
        if is_far() or lock.is_free():
            return None
        pid = lock.holder()
        with open(f"/proc/{pid}/stat") as file:
            state = file.read().rpartition(")")[2].split()[0]
    except (OSError, ValueError, NoDaemon):
        return None
    return pid if state == "T" else None


def _why_late() -> str:
    """A daemon that runs and cannot be found: it starts, as one that fetches weights, or never will be."""
    path = socket_address().removeprefix("ipc://")
    if is_far() or os.path.lexists(path):
        return ""
    return f": its socket {path} is not there; it is still starting, or the socket was taken away"


def verdicts(now: wire.Status) -> Iterator[Verdict]:
    """Of a daemon that answers."""
    yield ok("daemon", f"it answers: {now.state}, pid {now.pid}")
    yield _versions(now)
    yield _roots(now)
    yield _index(now)
    for trouble in now.degraded:
        # What was made anew and is whole again is over, and told for a while.
        say = note if trouble.code == "rebuilt" and now.settled else wrong
        yield say(trouble.code.replace("_", " "), trouble.message, trouble.remedy)
    yield _device(now)
    yield from _watches(now)


def service() -> Iterator[Verdict]:
    """Whether anybody starts the daemon after a reboot."""
    try:
        found = services.status()
    except Refused as refusal:
        yield note("service", refusal.message, refusal.hint)
        return
    if not found.installed:
        yield note(
            "service",
            "none is installed: after a reboot the daemon waits for `imgq start`",
            "`imgq service install` has it start when you log in",
        )
    elif found.running and found.enabled:
        yield ok("service", found.words)
    else:
        yield wrong("service", found.words, "`imgq service install` sets it right")


def _versions(now: wire.Status) -> Verdict:
    if now.version == __version__:
        return ok("versions", f"client and daemon are {now.version}")
    found = f"the client is {__version__}, the daemon {now.version}"
    remedy = "update the machine that is behind" if is_far() else "`imgq restart`"
    return wrong("versions", found, remedy)


def _roots(now: wire.Status) -> Verdict:
    if not now.roots:
        return wrong("folders", "none is watched", "`imgq add ~/Pictures`")
    away = [root for root in now.roots if root.state in ("offline", "denied")]
    for root in away:
        return wrong(
            "folders",
            f"{len(away)} of {len(now.roots)} cannot be read: {os.fsdecode(root.path)} is {root.state}",
            next(
                (each.remedy for each in now.degraded if each.path == root.path), "connect its disk"
            ),
        )
    return ok("folders", f"{len(now.roots)} watched, all can be read")


def _index(now: wire.Status) -> Verdict:
    index = now.index
    found = f"{index.files} files can be found, {index.pending} are pending, {index.failed} failed"
    if index.failed:
        return note("index", found, "`imgq errors` tells which and why")
    return ok("index", found)


def _device(now: wire.Status) -> Verdict:
    model = now.model
    if model.state == "failed":
        return wrong("model", f"{model.name} cannot be loaded", "`imgq logs` tells why")
    if model.device is None:
        return note("model", f"{model.name}; nothing was embedded since the daemon's start")
    return ok("model", f"{model.name} embeds on {model.device}, in {model.precision}")


def _watches(now: wire.Status) -> Iterator[Verdict]:
    """How many of the system's inotify watches the daemon has."""
    if sys.platform != "linux" or is_far():
        return
    used, most = _used(now.pid), _limit("max_user_watches")
    if used is None or most is None:
        return
    found = f"{used} of {most} inotify watches are in use"
    if used < _MANY * most:
        yield ok("watches", found)
        return
    line = f"fs.inotify.max_user_watches={max(4 * most, 1 << 20)}"
    keep = f"echo {line} | sudo tee -a /etc/sysctl.d/imgq.conf"
    yield wrong("watches", found, f"raise the limit: sudo sysctl {line}; for good: {keep}")


def _used(pid: int) -> int | None:
    folder = f"/proc/{pid}/fdinfo"
    try:
        return sum(_watches_of(f"{folder}/{name}") for name in os.listdir(folder))
    except OSError:
        return None


def _watches_of(descriptor: str) -> int:
    try:
        with open(descriptor) as file:
            return sum(line.startswith("inotify ") for line in file)
    except FileNotFoundError:
        return 0


def _limit(name: str) -> int | None:
    try:
        with open(f"/proc/sys/fs/inotify/{name}") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
