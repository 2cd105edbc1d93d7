"""What is known against the versions in a lock file: `make audit`.

    python audit.py FILE

Exits 0 where nothing is, 1 where something is, and 2 where nobody could be asked: that is no answer.
"""

from __future__ import annotations

import json
import subprocess
import sys

# One pin a line, so nothing is resolved or installed.
AUDIT = (
    "-m",
    "pip_audit",
    "--no-deps",
    "--disable-pip",
    "--progress-spinner",
    "off",
    "--timeout",
    "15",
)


def main(lock: str) -> int:
    done = subprocess.run(
        [sys.executable, *AUDIT, "--format", "json", "--requirement", lock],
        capture_output=True,
        text=True,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        words = done.stderr.strip().splitlines() or ["it said nothing"]
        return unanswered(words[-1])
    known = [package for package in packages if "vulns" in package]
    if not known:
        return unanswered("it knows none of the packages")
    found = [(package, flaw) for package in known for flaw in package["vulns"]]
    for package, flaw in found:
        mended = ", ".join(flaw["fix_versions"]) or "no version"
        print(f"{package['name']} {package['version']}: {flaw['id']}, mended in {mended}")
    unknown = [package["name"] for package in packages if "vulns" not in package]
    if unknown:
        print(f"not known there: {', '.join(unknown)}")
    print(f"{len(found)} advisories against {len(known)} packages")
    return 1 if found else 0


def unanswered(words: str) -> int:
    print(
        f"nothing was audited: the service of advisories cannot be asked ({words})", file=sys.stderr
    )
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
