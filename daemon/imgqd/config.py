"""The settings: a TOML file, read into one frozen record; what is not in it has its default."""

from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomlkit

from imgq.errors import Refused, SettingsError

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "f32", "bf16", "fp16")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, in the order in which `imgq config show` prints them."""

    model: str = "fast"  # a preset, a model of `imgq model list`, or ARCHITECTURE/TAG
    device: str = "auto"  # auto, cpu, cuda or mps
    precision: str = "auto"  # auto, f32, bf16 or fp16
    batch_size: int = 0  # pictures a forward pass; 0 finds it
    decoders: int = 0  # decoder processes; 0 is one a core
    exclude: tuple[str, ...] = ()  # gitignore's patterns, below each root
    follow_symlinks: bool = False
    max_megapixels: int = 64
    max_megapixels_jpeg: int = 200
    max_megabytes: int = 2048  # larger files are not read
    rescan: float = 3600.0  # seconds between rescans where the watcher is well
    rescan_unwatched: float = 300.0  # and where there is none
    idle_unload: float = 300.0  # seconds until the image tower's memory is given back
    offline: bool = False  # never ask the model hub


# The least that makes sense for a number, and what no queue or clock chokes on; every other value is
# checked by its type alone.
_LEAST = {
    "batch_size": 0,
    "decoders": 0,
    "max_megapixels": 1,
    "max_megapixels_jpeg": 1,
    "max_megabytes": 1,
    "rescan": 1,
    "rescan_unwatched": 1,
    "idle_unload": 1,
}
_MOST = 10**9
_MOST_OF = {"decoders": 64, "batch_size": 4096}
_CHOICES = {"device": DEVICES, "precision": PRECISIONS}
DEFAULTS = Settings()
NAMES = tuple(field.name for field in fields(Settings))


def load(path: str) -> Settings:
    """The settings in force. Raises SettingsError that names the key."""
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except FileNotFoundError:
        return DEFAULTS
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read the settings in {path}: {error}") from None
    return Settings(**{name: _checked(path, name, value) for name, value in values.items()})


def remember(path: str, name: str, value: object) -> None:
    """Sets one key in the file and keeps all else in it, comments too; written beside, then renamed.
    Raises Refused where it cannot be written."""
    # Where the file is a link, as those who keep their settings in a repository have it.
    file = Path(path).resolve()
    written = file.read_text("utf-8") if file.exists() else ""
    document = tomlkit.parse(written)
    if document.get(name) == value:
        return
    document[name] = value
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.write_text(tomlkit.dumps(document), "utf-8")
        beside.replace(file)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise Refused(
            f"cannot write the settings in {path}: {error.strerror}",
            "have a look at that folder and its disk",
        ) from None


def shown(settings: Settings) -> str:
    """The settings as the file would say them."""
    document = tomlkit.document()
    for name in NAMES:
        value = getattr(settings, name)
        document[name] = list(value) if isinstance(value, tuple) else value
    return tomlkit.dumps(document)


def _checked(path: str, name: str, value: Any) -> Any:
    if name not in NAMES:
        near = get_close_matches(name, NAMES, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the settings are {', '.join(NAMES)}"
        raise SettingsError(f"{path}: there is no setting {name!r}", hint)
    kind = type(getattr(DEFAULTS, name))
    if kind is float and type(value) is int and abs(value) <= _MOST:
        value = float(value)
    if kind is tuple:
        return _texts(path, name, value)
    if type(value) is not kind:
        raise SettingsError(f"{path}: {name} is a {kind.__name__}, not {value!r}")
    if name in _LEAST and not value >= _LEAST[name]:
        raise SettingsError(f"{path}: {name} is at least {_LEAST[name]}, not {value!r}")
    most = _MOST_OF.get(name, _MOST)
    if name in _LEAST and value > most:
        raise SettingsError(f"{path}: {name} is at most {most}, not {value!r}")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise SettingsError(f"{path}: {name} is one of {', '.join(_CHOICES[name])}, not {value!r}")
    return value


def _texts(path: str, name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise SettingsError(f"{path}: {name} is a list of texts, not {value!r}")
    return tuple(value)


def main() -> int:
    """`python -m imgqd.config`: prints the settings in force, for `imgq config show`."""
    import sys

    from imgq.paths import places

    try:
        sys.stdout.write(shown(load(places().settings)))
    except SettingsError as error:
        sys.stderr.write(f"imgq: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
