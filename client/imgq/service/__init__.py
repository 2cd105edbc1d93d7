"""imgqd as a service of this user: a systemd user unit on Linux, a launchd agent on macOS.

Every function takes the platform as `sys.platform` names it, and raises Refused where there is no
service manager of this user, or it does not do what it is asked to.
"""

from __future__ import annotations

import os
import sys

from imgq.errors import Refused
from imgq.paths import places
from imgq.record import Record, boolean, string
from imgq.service import unit_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from imgq.service.launchd import Launchd
    from imgq.service.systemd import Systemd


class ServiceStatus(Record):
    """`unit` is the path of the unit file, there or not; `words` say all of it in a line."""

    unit: str = string()
    installed: bool = boolean()
    enabled: bool = boolean()
    running: bool = boolean()
    words: str = string()


def install(imgqd: str, platform: str = sys.platform) -> str:
    """Writes the unit files for the program at the absolute path `imgqd`, enables and starts them.

    Returns what to tell. Where no manager answers they are written all the same, so that they are
    of use as soon as one does, and Refused says so.
    """
    if not os.path.isabs(imgqd) or not os.access(imgqd, os.X_OK):
        raise Refused(
            f"there is no program {imgqd!r} to run as a service",
            "the daemon comes with `pip install 'imgq[daemon]'`",
        )
    manager = _manager(platform)
    unit_files.make_folders(places())
    changed = [unit_files.write(path, data) for path, data in manager.files(imgqd).items()]
    if not manager.answers():
        raise Refused(
            f"{manager.unit} is written, but {manager.absent}, so it is not enabled",
            f"{manager.remedy}; or do without it: `imgq start` needs no service",
        )
    manager.enable(any(changed))
    return f"installed {manager.unit}\nimgqd is running, and starts when you log in{manager.advice}"


def uninstall(platform: str = sys.platform) -> str:
    """Stops the service and removes its unit files, if there are any. Returns what to tell."""
    manager = _manager(platform)
    if not os.path.lexists(manager.unit):
        return "there is no service to uninstall"
    manager.disable()
    return f"stopped the service and removed {manager.unit}"


def status(platform: str = sys.platform) -> ServiceStatus:
    manager = _manager(platform)
    there = os.path.lexists(manager.unit)
    enabled, running, words = False, False, "not installed"
    if there and manager.answers():
        enabled, running, state = manager.state()
        words = _words(manager, enabled, state)
    elif there:
        words = f"installed, but {manager.absent}"
    return ServiceStatus(
        unit=manager.unit,
        installed=there,
        enabled=enabled,
        running=running,
        words=words,
    )


def installed(platform: str = sys.platform) -> bool:
    """Whether the unit file is there; whether it is of use here and now, `in_charge` tells."""
    return platform in ("linux", "darwin") and os.path.lexists(_manager(platform).unit)


def in_charge(platform: str = sys.platform) -> bool:
    """Whether the daemon of these places is the service's, to be started and stopped by it.

    Not so where it was installed for other places (another IMGQ_HOME), or no manager answers.
    """
    if not installed(platform):
        return False
    manager = _manager(platform)
    return manager.same_places() and manager.answers()


def start(platform: str = sys.platform) -> None:
    """Starts the installed service; systemd returns when the daemon is ready, launchd at once."""
    unit_files.make_folders(places())
    _manager(platform).start()


def stop(platform: str = sys.platform) -> None:
    """Stops the service, which stays enabled; returns when its main process is gone."""
    _manager(platform).stop()


def _manager(platform: str) -> Systemd | Launchd:
    if platform == "linux":
        from imgq.service.systemd import Systemd

        return Systemd()
    if platform == "darwin":
        from imgq.service.launchd import Launchd

        return Launchd()
    raise Refused(
        f"imgq knows no service manager of {platform}",
        "have yours run `imgqd`, which stays in the foreground and ends cleanly on SIGTERM",
    )


def _words(manager: Systemd | Launchd, enabled: bool, state: str) -> str:
    login = "starts when you log in" if enabled else "does not start when you log in"
    words = f"{state}, {login}"
    return words if manager.same_places() else f"{words}; for other folders than these"
