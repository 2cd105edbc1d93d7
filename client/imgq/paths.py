"""Where settings, index, socket, logs and models lie: the platform's places, or all in IMGQ_HOME."""

from __future__ import annotations

import os
import sys

from imgq.errors import CannotStart, NoDaemon, UsageError
from imgq.record import Record, string

TCP = "tcp://"
PORT = 7571
# sun_path holds 108 bytes on Linux and 104 on macOS, the closing NUL included.
LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107
# Where systemd-logind makes a runtime folder for each user who is logged in.
_RUN_USER = "/run/user"


class Places(Record):
    """Absolute paths. `runtime` is the private folder of socket and lock, `keys` that of the keys by which
    machines know each other."""

    settings: str = string()
    keys: str = string()
    data: str = string()
    models: str = string()
    logs: str = string()
    runtime: str = string()

    @property
    def store(self) -> str:
        return os.path.join(self.data, "index.db")

    @property
    def log(self) -> str:
        return os.path.join(self.logs, "imgqd.log")

    @property
    def lock(self) -> str:
        return os.path.join(self.runtime, "lock")

    @property
    def socket(self) -> str:
        return os.path.join(self.runtime, "socket")

    @property
    def own(self) -> tuple[str, ...]:
        """The folders that are imgq's own, which are never indexed."""
        return (self.data, self.models, self.logs, self.runtime, self.keys)


def places() -> Places:
    """The places of this user, by the environment."""
    if home := os.environ.get("IMGQ_HOME"):
        return _in_one_folder(os.path.abspath(home))
    return _on_macos() if sys.platform == "darwin" else _by_xdg()


def socket_address() -> str:
    """Where the daemon answers: IMGQ_SOCKET, else the socket of `places`."""
    return os.environ.get("IMGQ_SOCKET") or f"ipc://{places().socket}"


def require_closed_above(private: str) -> None:
    """Raises CannotStart where the private folder lies in XDG_RUNTIME_DIR and that is not this user's, or
    others may write there: they could exchange the folder. An OSError where it cannot be looked at."""
    above = os.environ.get("XDG_RUNTIME_DIR", "")
    if not os.path.isabs(above) or private != os.path.join(above, "imgq"):
        return
    there = os.stat(above)
    is_own = there.st_uid == os.getuid()
    if is_own and not there.st_mode & 0o022:
        return
    found = "others may write there" if is_own else "that is another user's"
    hint = "`unset XDG_RUNTIME_DIR`, or set it to a folder that is yours alone"
    # What is sticky is meant for all, as /tmp is.
    if is_own and not there.st_mode & 0o1000:
        from shlex import quote

        hint = f"it is to be yours alone: `chmod 700 {quote(above)}`"
    raise CannotStart(f"XDG_RUNTIME_DIR is {above}, and {found}", hint)


def cannot_ask(error: OSError) -> NoDaemon:
    """As a person is told whom the system keeps from the daemon's folder or socket."""
    hint = "XDG_RUNTIME_DIR, IMGQ_HOME and IMGQ_SOCKET tell where to ask: are they yours?"
    hint *= isinstance(error, PermissionError)
    return NoDaemon(f"no daemon can be asked on {socket_address()}: {error}", hint)


def is_far() -> bool:
    """Whether the daemon that is asked may be on another machine."""
    return socket_address().startswith(TCP)


def require_here(command: str) -> None:
    """Raises UsageError where the daemon that is asked may be on another machine than what the command
    is about."""
    if is_far():
        raise UsageError(
            f"`imgq {command}` is about this machine, and {socket_address()} may be another",
            "type it at that machine, or here without --socket and IMGQ_SOCKET",
        )


def host_and_port(address: str) -> tuple[str, int]:
    """Of `tcp://HOST`, `tcp://HOST:PORT`, `tcp://[IPV6]:PORT`. Raises UsageError."""
    place = address.removeprefix(TCP)
    bracketed = place.startswith("[")
    host, end, rest = place[1:].partition("]") if bracketed else _cut(place)
    port = rest.removeprefix(":") if rest else str(PORT)
    is_port = port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 1 << 16
    is_host = host.isprintable() and not set(host) & set(" /@[]") and rest[:1] in ("", ":")
    if not (address.startswith(TCP) and host and end and is_host and is_port):
        raise UsageError(f"{address!r} is no address", f"one is like tcp://nas:{PORT}")
    return host.lower(), int(port)


def _cut(place: str) -> tuple[str, str, str]:
    host, colon, port = place.partition(":")
    return host, "]", colon + port


def absolute(written: str) -> bytes:
    """A path from the root on, whether or not anything is there, by the name the person came by: the
    shell's PWD keeps the links that the system's own answer would resolve. Raises UsageError for one
    that is not whole where the daemon's machine may be another, and for none: a shell has that for a
    variable that is not set, and it would be the folder one is in."""
    if not written:
        raise UsageError("a path is empty", "`imgq roots` lists the watched folders")
    if is_far() and not os.path.isabs(written):
        raise UsageError(
            f"{written!r} would be a path of this machine, and {socket_address()} is another",
            "write it as it is there, from / on; `imgq roots` lists the watched folders",
        )
    path = os.path.expanduser(written)
    if not os.path.isabs(path):
        path = os.path.join(_working_folder(), path)
    return os.fsencode(os.path.normpath(path))


def _working_folder() -> str:
    told = os.environ.get("PWD", "")
    if os.path.isabs(told) and os.path.isdir(told) and os.path.samefile(told, os.curdir):
        return told
    return os.getcwd()


def _in_one_folder(home: str) -> Places:
    return Places(
        settings=os.path.join(home, "settings.toml"),
        keys=os.path.join(home, "keys"),
        data=os.path.join(home, "index"),
        models=os.path.join(home, "models"),
        logs=os.path.join(home, "logs"),
        runtime=_short_enough(os.path.join(home, "run")),
    )


def _by_xdg() -> Places:
    config = _xdg("XDG_CONFIG_HOME", ".config")
    data = _xdg("XDG_DATA_HOME", ".local/share")
    state = _xdg("XDG_STATE_HOME", ".local/state")
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    runtime = runtime if os.path.isabs(runtime) else _run_user()
    at_home = _short_enough(f"{state}/imgq/run")
    private = _short_enough(os.path.join(runtime, "imgq")) if runtime else at_home
    if not os.path.lexists(f"{private}/socket") and _is_in_use(at_home):
        private = at_home
    return Places(
        settings=os.path.join(config, "imgq", "settings.toml"),
        keys=os.path.join(config, "imgq", "keys"),
        data=os.path.join(data, "imgq"),
        models=os.path.join(data, "imgq", "models"),
        logs=os.path.join(state, "imgq"),
        runtime=private,
    )


def _is_in_use(runtime: str) -> bool:
    """Whether a daemon runs there: one that was started before its user logged in, as by cron, knew of no
    other place."""
    if not _is_closed(runtime):
        return False
    from imgq.lock import is_taken

    try:
        return is_taken(f"{runtime}/lock")
    except OSError:
        return False


def _run_user() -> str:
    """The runtime folder of a user whose shell was not told of it (cron, su), where a daemon that was told
    has its place; otherwise empty."""
    folder = f"{_RUN_USER}/{os.getuid()}"
    return folder if _is_closed(folder) and _is_closed(f"{folder}/imgq") else ""


def _is_closed(folder: str) -> bool:
    """Whether it is this user's, and nobody else may write there."""
    try:
        there = os.lstat(folder)
    except OSError:
        return False
    return there.st_uid == os.getuid() and not there.st_mode & 0o022


def _on_macos() -> Places:
    library = os.path.expanduser("~/Library")
    support = os.path.join(library, "Application Support", "imgq")
    return Places(
        settings=os.path.join(support, "settings.toml"),
        keys=os.path.join(support, "keys"),
        data=support,
        models=os.path.join(support, "models"),
        logs=os.path.join(library, "Logs", "imgq"),
        runtime=_short_enough(os.path.join(support, "run")),
    )


def _xdg(variable: str, default: str) -> str:
    value = os.environ.get(variable, "")
    # The specification says that a relative path there is to be ignored.
    return value if os.path.isabs(value) else os.path.join(os.path.expanduser("~"), default)


def _short_enough(runtime: str) -> str:
    """The folder, or a short private one in its stead where the socket's path would be too long."""
    if len(os.fsencode(os.path.join(runtime, "socket"))) <= LONGEST_SOCKET:
        return runtime
    # A name that client and daemon both come to, and another imgq does not.
    from zlib import crc32

    return f"/tmp/imgq-{os.getuid()}-{crc32(os.fsencode(runtime)):08x}"
