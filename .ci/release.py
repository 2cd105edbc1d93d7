"""`python .ci/release.py FOLDER`: builds wheel and sdist there, and holds them against what they should be.

A line a check; exits 1 where one fails. Nothing is uploaded and nothing tagged: that is a person's to do,
and the last lines say how.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
# Where what lies in the project goes in the wheel.
PACKAGES = {"client/imgq/": "imgq/", "daemon/imgqd/": "imgqd/"}
UNITS = ("systemd/imgqd.service", "systemd/imgqd.socket", "launchd/org.imgq.imgqd.plist")
# Of other licenses than what is packed.
NOT_PACKED = "tests/held_out/"
PART = re.compile(r"^## (.+)$", re.MULTILINE)
MOST_DEPENDENCIES = 4
# Of a wheel that a person waits for: all but the sample library and the builtin model is small.
MOST_BYTES = 40_000_000


class Wrong(Exception):
    """What is not as it should be."""


def version() -> str:
    found = VERSION.search((ROOT / "client/imgq/__init__.py").read_text())
    if found is None:
        raise Wrong("client/imgq/__init__.py says no version")
    return found[1]


def tracked() -> list[str]:
    """The files of the project."""
    listed = told_by_git("ls-files", "--cached", "--others", "--exclude-standard")
    return [name for name in listed.splitlines() if (ROOT / name).is_file()]


def build(folder: Path, target: str) -> Path:
    """The `wheel` or the `sdist`, which takes half a minute: the weights are hard to compress."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target]
    subprocess.run(
        [*command, "--directory", str(folder)], cwd=ROOT, capture_output=True, check=True
    )
    (built,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


def expected_in_wheel(names: list[str]) -> set[str]:
    """All of both packages, the unit files, the manual pages and the licenses; nothing else."""
    about, data = f"imgq-{version()}.dist-info", f"imgq-{version()}.data/data/share/man/man1"
    expected = {f"{about}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    expected |= {f"imgq/units/{Path(unit).name}" for unit in UNITS}
    for name in names:
        for folder, package in PACKAGES.items():
            if name.startswith(folder):
                expected.add(package + name.removeprefix(folder))
        if name.startswith("docs/man/"):
            expected.add(f"{data}/{Path(name).name}")
        if name == "LICENSE" or (
            name.startswith(tuple(PACKAGES)) and Path(name).name == "NOTICE.md"
        ):
            expected.add(f"{about}/licenses/{name}")
    return expected


def expected_in_sdist(names: list[str]) -> set[str]:
    return {name for name in names if not name.startswith(NOT_PACKED)}


def check_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if not name.endswith("/")}
        metadata = archive.read(f"imgq-{version()}.dist-info/METADATA").decode()
    require_same(found, expected_in_wheel(tracked()))
    if wheel.stat().st_size > MOST_BYTES:
        raise Wrong(f"the wheel has {wheel.stat().st_size / 1e6:.0f} MB")
    wants = Parser().parsestr(metadata).get_all("Requires-Dist", [])
    plain = [each for each in wants if "extra ==" not in each]
    if len(plain) > MOST_DEPENDENCIES:
        raise Wrong(f"the client alone wants {', '.join(plain)}")


def check_sdist(sdist: Path) -> None:
    """All of the project, that a wheel can be made of."""
    top = f"imgq-{version()}/"
    with tarfile.open(sdist) as archive:
        found = {each.name.removeprefix(top) for each in archive.getmembers() if each.isfile()}
    require_same(found, {*expected_in_sdist(tracked()), "PKG-INFO"})


def require_same(found: set[str], expected: set[str]) -> None:
    for name in sorted(expected - found):
        raise Wrong(f"{name} is missing")
    for name in sorted(found - expected):
        raise Wrong(f"{name} should not be there")


def check_description(*files: Path) -> None:
    run([sys.executable, "-m", "twine", "check", "--strict", *map(str, files)])


def check_install(wheel: Path) -> None:
    """In an environment that has nothing else, out of the registry: the client starts, and finds nobody."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        programs = Path(folder, "bin")
        run(
            [str(programs / "pip"), "install", "--quiet", "--disable-pip-version-check", str(wheel)]
        )
        check_client(programs / "imgq", Path(folder, "home"))


def check_client(imgq: Path, home: Path) -> None:
    environment = {"IMGQ_HOME": str(home), "PATH": "/usr/bin:/bin"}
    for words, exit_code, said in (
        (["--version"], 0, version()),
        (["search", "--help"], 0, "--like"),
        (["red car"], 3, "no daemon is running"),
        (["config", "show"], 4, "this is the client alone"),
    ):
        command = [str(imgq), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != exit_code or said not in done.stdout + done.stderr:
            raise Wrong(
                f"`imgq {' '.join(words)}` says {done.returncode}: {done.stdout}{done.stderr}"
            )


def check_changes(text: str) -> None:
    """The newest part of the changelog is this version's, and dated."""
    name = (PART.findall(text) or ["none"])[0]
    said, _, day = name.partition(" - ")
    if said != version() or not is_day(day):
        raise Wrong(f"the first part of CHANGELOG.md is `{name}`, not `{version()} - YYYY-MM-DD`")


def is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def check_clean() -> None:
    if changed := told_by_git("status", "--porcelain"):
        raise Wrong(f"not all is committed: {changed.splitlines()[0].strip()}")


def check_new() -> None:
    if told_by_git("tag", "--list", f"v{version()}"):
        raise Wrong(f"the tag v{version()} is there: raise the version in client/imgq/__init__.py")


def told_by_git(*words: str) -> str:
    command = ["git", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def check_manual() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run([sys.executable, "-m", "imgq.cli.manpage", folder])
        for page in {*Path(folder).iterdir(), *(ROOT / "docs/man").iterdir()}:
            ours = ROOT / "docs/man" / page.name
            if not ours.exists() or ours.read_bytes() != Path(folder, page.name).read_bytes():
                raise Wrong(f"docs/man/{page.name} is not what the command says: `make man`")


def run(command: list[str]) -> None:
    """Raises Wrong, with its words, where it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise Wrong((done.stderr or done.stdout).strip() or f"{command[0]} failed")


def checks(wheel: Path, sdist: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    yield "everything is committed", check_clean
    yield f"{version()} is not released yet", check_new
    changes = (ROOT / "CHANGELOG.md").read_text()
    yield f"CHANGELOG.md tells of {version()}", lambda: check_changes(changes)
    yield "the manual pages are what the commands say", check_manual
    yield "the wheel holds the packages, and nothing else", lambda: check_wheel(wheel)
    yield "the sdist holds the project, and nothing else", lambda: check_sdist(sdist)
    yield "twine has nothing to say against either", lambda: check_description(wheel, sdist)
    yield "installed alone, the client starts", lambda: check_install(wheel)


STEPS = """
The rest is a person's to do, after `make check docs` has passed on Linux and macOS:

    git tag -s v{version} -m "imgq {version}"
    git push origin v{version}
    {python} -m twine upload {files}

then raise the version in client/imgq/__init__.py, and begin another part of CHANGELOG.md.
"""


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.whl"), *folder.glob("*.tar.gz")):
        old.unlink()
    wheel, sdist = build(folder, "wheel"), build(folder, "sdist")
    failed = 0
    for name, check in checks(wheel, sdist):
        try:
            check()
        except Wrong as wrong:
            failed += 1
            print(f"[ ] {name}\n    {wrong}")
        else:
            print(f"[x] {name}")
    if failed:
        return 1
    files = f"{wheel} {sdist}"
    print(STEPS.format(version=version(), python=sys.executable, files=files), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
