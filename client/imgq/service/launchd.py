"""The user's own launchd, through `launchctl`."""

from __future__ import annotations

import os

from imgq.errors import Refused
from imgq.paths import places
from imgq.service.unit_files import environment, must, remove, run, template, until

_LABEL = "org.imgq.imgqd"


class Launchd:
    absent = "launchd has no session of yours here"
    remedy = "log in on the Mac's own screen and install it again"
    advice = ""

    def __init__(self) -> None:
        self.unit = os.path.expanduser(f"~/Library/LaunchAgents/{_LABEL}.plist")
        self._domain = f"gui/{os.getuid()}"
        self._service = f"{self._domain}/{_LABEL}"

    def files(self, imgqd: str) -> dict[str, bytes]:
        """The agent by its path, with true paths in it; its comments stay behind, in the file that is
        shipped."""
        import plistlib

        agent = plistlib.loads(template("launchd", f"{_LABEL}.plist"))
        log = places().log
        agent |= {"ProgramArguments": [imgqd], "StandardOutPath": log, "StandardErrorPath": log}
        if given := environment():
            agent["EnvironmentVariables"] = given
        try:
            return {self.unit: plistlib.dumps(agent, sort_keys=False)}
        except ValueError as error:
            raise Refused(f"launchd takes no such path: {error}") from None

    def same_places(self) -> bool:
        """Whether the agent gives its daemon the places that this environment leads to."""
        import plistlib
        from xml.parsers.expat import ExpatError

        try:
            with open(self.unit, "rb") as file:
                given = plistlib.load(file).get("EnvironmentVariables", {})
        except (OSError, ValueError, ExpatError):
            return False
        return bool(given.get("IMGQ_HOME") == environment().get("IMGQ_HOME"))

    def answers(self) -> bool:
        try:
            return run("launchctl", "print", self._domain).returncode == 0
        except Refused:
            return False

    def enable(self, changed: bool) -> None:
        if changed:
            self._unload()
        self.start()

    def disable(self) -> None:
        if self.answers():
            self._unload()
        remove(self.unit)

    def start(self) -> None:
        must("launchctl", "enable", self._service)
        if self._loaded():
            must("launchctl", "kickstart", self._service)
        else:
            must("launchctl", "bootstrap", self._domain, self.unit)

    def stop(self) -> None:
        if not self._running():
            return
        # It ends with status 0, after which KeepAlive leaves it alone; it stays loaded.
        must("launchctl", "kill", "SIGTERM", self._service)
        until(lambda: not self._running(), "the service does not stop; `imgq logs` may tell why")

    def state(self) -> tuple[bool, bool, str]:
        """Whether it is enabled, whether it runs, and that in words."""
        lines = run("launchctl", "print-disabled", self._domain).stdout.splitlines()
        # "org.imgq.imgqd" => disabled; before macOS 13 it said true.
        said = [line.split()[-1] for line in lines if f'"{_LABEL}"' in line]
        running = self._running()
        return not {"disabled", "true"} & set(said), running, "running" if running else "stopped"

    def _running(self) -> bool:
        lines = run("launchctl", "print", self._service).stdout.splitlines()
        return any(line.strip().startswith("pid = ") for line in lines)

    def _loaded(self) -> bool:
        return run("launchctl", "print", self._service).returncode == 0

    def _unload(self) -> None:
        if self._loaded():
            run("launchctl", "bootout", self._service)
            # It may return while the agent still ends, which until then cannot be loaded again.
            until(lambda: not self._loaded(), "launchd does not let go of the service")
