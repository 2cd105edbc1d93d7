"""Whether this machine runs on battery."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SUPPLIES = Path("/sys/class/power_supply")
_TELLS_S = 5.0


def is_on_battery() -> bool:
    """No, where the system does not tell."""
    if sys.platform == "darwin":
        return _by_pmset()
    return _by_supplies(_SUPPLIES)


def _by_supplies(folder: Path) -> bool:
    """As Linux has it: a battery that is drained, and no mains that is online."""
    try:
        supplies = sorted(folder.iterdir())
    except OSError:
        return False
    mains = [each for each in supplies if _word(each / "type") in ("Mains", "USB", "Wireless")]
    if any(_word(each / "online") == "1" for each in mains):
        return False
    # A mouse has a battery too.
    own = [each for each in supplies if _word(each / "scope") != "Device"]
    return any(
        _word(each / "type") == "Battery" and _word(each / "status") == "Discharging"
        for each in own
    )


def _word(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _by_pmset() -> bool:
    command = ["/usr/bin/pmset", "-g", "batt"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TELLS_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"'Battery Power'" in done.stdout
