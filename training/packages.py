"""The named packages that the pictograms and their names come out of, fetched and unpacked once."""

from __future__ import annotations

import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Package:
    """A package of one registry. `version` is pinned for npm; Debian keeps only its current one."""

    name: str
    version: str
    registry: str = "npm"

    @property
    def folder(self) -> Path:
        return DATA / "packages" / self.name.replace("@", "").replace("/", "-")


EMOJIBASE = Package("emojibase-data", "17.0.0")
TWEMOJI = Package("@twemoji/svg", "15.0.0")
FLUENT = Package("fluentui-emoji", "1.3.0")
GOOGLE = Package("emoji-datasource-google", "16.0.0")
OPENMOJI = Package("openmoji", "17.0.0")
NOTO = Package("fonts-noto-color-emoji", "2.042", "debian")
NOTO_LINES = Package("@fontsource/noto-emoji", "5.3.2")
NOTO_FIRST = Package("@iconify-json/noto-v1", "1.2.5")
EMOJIONE = Package("@iconify-json/emojione", "1.2.3")
EMOJIONE_BLACK = Package("@iconify-json/emojione-monotone", "1.2.1")
FIREFOX = Package("@iconify-json/fxemoji", "1.2.2")
STREAMLINE = Package("@iconify-json/streamline-emojis", "1.2.4")


def fetch(package: Package) -> Path:
    """The folder with the package's files; asks the registry only when they are not there yet."""
    if not package.folder.exists():
        beside = package.folder.with_name(package.folder.name + ".part")
        beside.mkdir(parents=True, exist_ok=True)
        (_from_npm if package.registry == "npm" else _from_debian)(package, beside)
        beside.rename(package.folder)
    return package.folder


def _from_npm(package: Package, into: Path) -> None:
    _run(["npm", "pack", "--silent", f"{package.name}@{package.version}"], into)
    for archive in into.glob("*.tgz"):
        with tarfile.open(archive) as tar:
            tar.extractall(into, filter="data")
        archive.unlink()


def _from_debian(package: Package, into: Path) -> None:
    _run(["apt-get", "download", package.name], into)
    for archive in into.glob("*.deb"):
        _run(["dpkg-deb", "-x", archive.name, "."], into)
        archive.unlink()


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
