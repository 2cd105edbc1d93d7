"""The user's own systemd, through `systemctl --user`."""

from __future__ import annotations

import os

from imgq.errors import Refused
from imgq.paths import places
from imgq.service.unit_files import environment, must, remove, run, template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import CompletedProcess

_UNIT, _SOCKET = "imgqd.service", "imgqd.socket"
_DECIDING = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
# The user namespace, the capabilities in it, the mounts in it: what systemd could not make.
_NO_SANDBOX = ("217", "218", "226")
_WORDS = "`journalctl --user -u imgqd -n 20` has its words"


class Systemd:
    absent = "no systemd of yours answers here"
    remedy = "log in as yourself (not by su or sudo, nor in a container) and install it again"
    advice = "\nto have it run from boot on, before you log in: loginctl enable-linger"

    def __init__(self) -> None:
        config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        self._folder = os.path.join(config, "systemd", "user")
        self.unit = os.path.join(self._folder, _UNIT)

    def files(self, imgqd: str) -> dict[str, bytes]:
        """The unit files by their paths, with true paths in place of those that suit most people."""
        own, listens = places(), dict[str, str]()
        # Without IMGQ_HOME it is the manager's own runtime folder: whoever installs from elsewhere may not
        # know it.
        if os.environ.get("IMGQ_HOME"):
            listens = {"ListenStream": _escaped(own.socket)}
        folders = " ".join([*map(_quoted, (os.path.dirname(own.settings), *own.own)), "%t/imgq"])
        values = {
            "ExecStart": _command(imgqd),
            "ExecStartPre": f"+mkdir -p {folders.replace('$', '$$')}",
            "ReadWritePaths": f"{folders} /tmp",
        }
        return {
            self.unit: _filled_in(_UNIT, values),
            os.path.join(self._folder, _SOCKET): _filled_in(_SOCKET, listens),
        }

    def same_places(self) -> bool:
        """Whether the unit gives its daemon the places that this environment leads to."""
        with open(self.unit, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        ours = tuple(f'Environment="{name}=' for name in ("IMGQ_HOME", *_DECIDING))
        return [line for line in lines if line.startswith(ours)] == _environment_lines()

    def answers(self) -> bool:
        try:
            return self._systemctl("show", "--property=Version").returncode == 0
        except Refused:
            return False

    def enable(self, changed: bool) -> None:
        self._must("daemon-reload")
        self._must("enable", _UNIT, _SOCKET)
        if changed:
            self.stop()
        self.start()

    def disable(self) -> None:
        answers = self.answers()
        if answers:
            self._must("disable", "--now", _UNIT, _SOCKET)
        for name, target in ((_UNIT, "default"), (_SOCKET, "sockets")):
            remove(os.path.join(self._folder, name))
            # `disable` did so, if there was somebody to do it.
            remove(os.path.join(self._folder, f"{target}.target.wants", name))
        if answers:
            self._must("daemon-reload")
            self._systemctl("reset-failed", _UNIT, _SOCKET)

    def start(self) -> None:
        # After too many failures systemd would not even try.
        self._systemctl("reset-failed", _UNIT, _SOCKET)
        done = self._systemctl("start", _SOCKET, _UNIT)
        if done.returncode:
            raise self._not_started(done.stderr.strip())

    def stop(self) -> None:
        # Whoever asked in between would start the service again.
        self._must("stop", _SOCKET)
        self._must("stop", _UNIT)

    def state(self) -> tuple[bool, bool, str]:
        """Whether it is enabled, whether it runs, and that in words."""
        shown = self._shown("UnitFileState", "ActiveState", "SubState", "NRestarts")
        enabled, active = shown.get("UnitFileState") == "enabled", shown.get("ActiveState")
        if active == "activating" and _starts_again(shown):
            return enabled, False, f"not running: it starts again and again ({_WORDS})"
        running = active in ("active", "activating", "reloading")
        return enabled, running, "running" if running else "stopped"

    def _not_started(self, said: str) -> Refused:
        shown = self._shown("ExecMainStatus", "StatusText")
        if shown.get("ExecMainStatus") in _NO_SANDBOX:
            return Refused(
                "the service did not start: this kernel lets your systemd make no sandbox",
                f"the last lines of {self.unit} say how to do without",
            )
        return Refused(
            f"the service did not start: {shown.get('StatusText') or said}",
            _WORDS,
        )

    def _shown(self, *names: str) -> dict[str, str]:
        lines = self._systemctl("show", f"--property={','.join(names)}", _UNIT).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def _systemctl(self, *words: str) -> CompletedProcess[str]:
        return run("systemctl", "--user", *words)

    def _must(self, *words: str) -> None:
        must("systemctl", "--user", *words)


def _starts_again(shown: dict[str, str]) -> bool:
    """It waits for its next start, or is at one after two that came to nothing by themselves."""
    return shown.get("SubState", "").startswith("auto-restart") or (
        int(shown.get("NRestarts") or 0) > 1
    )


def _filled_in(name: str, values: dict[str, str]) -> bytes:
    lines = []
    for line in template("systemd", name).decode().splitlines():
        key = line.partition("=")[0]
        lines.append(f"{key}={values[key]}" if key in values else line)
        if line == "[Service]":
            lines += _environment_lines()
    return ("\n".join(lines) + "\n").encode()


def _environment_lines() -> list[str]:
    given = environment(*_DECIDING)
    return [f"Environment={_quoted(f'{name}={value}')}" for name, value in given.items()]


def _command(program: str) -> str:
    # Quotes and backslashes may stand in an argument, and not in the name of what is run.
    if set(program) & set("\"'\\"):
        return f"/usr/bin/env {_quoted(program).replace('$', '$$')}"
    return _quoted(program)


def _quoted(value: str) -> str:
    """As systemd reads a word back. Raises Refused for what no unit file can hold."""
    escaped = _escaped(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _escaped(value: str) -> str:
    """The same for all of a line."""
    if any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in value):
        raise Refused(
            f"systemd takes no path with control characters or outside UTF-8: {value!r}",
            "IMGQ_HOME can put imgq's own folders elsewhere",
        )
    return value.replace("%", "%%")
