"""The settings: a TOML file, read into one frozen record; what is not in it has its default."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Any, TypeVar

from imgq.errors import SettingsError, UsageError
from imgq.paths import host_and_port
from imgqd import settings_text
from imgqd.manners.hours import Hours

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "f32", "bf16", "fp16")
LOG_FORMATS = ("text", "json")

# What no queue or clock chokes on.
_MOST = 10**9
# Of a value that is wrong, so many characters are shown.
_MOST_SHOWN = 60

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a setting may be beyond its type; about: a sentence for the file and the README;
    each: raises ValueError for what a text, or a list's, may not be."""

    about: str
    least: int | None = None
    most: int = _MOST
    choices: tuple[str, ...] = ()
    each: Callable[[str], object] = str


def _setting(default: Value, about: str, **bounds: Any) -> Value:
    made: Any = field(default=default, metadata={"bounds": Bounds(about, **bounds)})
    value: Value = made
    return value


def _named(name: str) -> None:
    """Raises ValueError for a model without a name."""
    if not name.strip():
        raise ValueError(f"{name!r} names no model")


def _listening(address: str) -> None:
    """Raises ValueError for what is no address to listen on: numbers, which nobody has to be asked for."""
    if not address:
        return
    try:
        host, _ = host_and_port(address)
        ip_address(host)
    except (UsageError, ValueError):
        raise ValueError(f"{address!r} is not like tcp://0.0.0.0:7571") from None


def _pattern(text: str) -> None:
    """Raises ValueError for what gitignore has no meaning for."""
    import pathspec

    pathspec.GitIgnoreSpec.from_lines([text])


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, in the order in which `imgq config show` prints them."""

    model: str = _setting(
        "fast", "a preset of `imgq model list`, or ARCHITECTURE/TAG of open_clip", each=_named
    )
    device: str = _setting("auto", "where pictures are embedded", choices=DEVICES)
    precision: str = _setting("auto", "of the image tower's arithmetic", choices=PRECISIONS)
    batch_size: int = _setting(0, "pictures a forward pass; 0 measures it", least=0, most=4096)
    decoders: int = _setting(0, "decoder processes; 0 is one a core", least=0, most=64)
    exclude: tuple[str, ...] = _setting(
        (), "patterns as in .gitignore, below each folder", each=_pattern
    )
    follow_symlinks: bool = _setting(False, "whether links below a folder are followed")
    raw_beside_jpeg: bool = _setting(
        True, "whether a camera's raw file counts where a JPEG of the same name is beside it"
    )
    max_megapixels: int = _setting(64, "larger pictures are listed in `imgq errors`", least=1)
    max_megapixels_jpeg: int = _setting(
        200, "the same for JPEGs, which are scaled while they are decoded", least=1
    )
    max_megabytes: int = _setting(2048, "larger files are not read", least=1)
    rescan: float = _setting(
        3600.0, "seconds between looks at everything where the watcher is well", least=1
    )
    rescan_unwatched: float = _setting(
        300.0, "and where there is none, as on network file systems", least=1
    )
    idle_unload: float = _setting(
        300.0, "seconds until the embedder gives its memory back", least=1
    )
    power: str = _setting(
        "any", "pictures are indexed on mains alone, or on any", choices=("any", "mains")
    )
    busy_percent: int = _setting(
        0,
        "none is indexed while other programs take more than so many percent of the processors; 0 is never",
        least=0,
        most=100,
    )
    quiet_hours: tuple[str, ...] = _setting(
        (), 'hours of the day in which none is indexed, as "22:00-07:00"', each=Hours.of
    )
    offline: bool = _setting(False, "never ask the model hub")
    listen: str = _setting(
        "",
        "where clients of other machines may ask, as tcp://0.0.0.0:7571; none may while it is empty",
        each=_listening,
    )
    log_format: str = _setting(
        "text", "lines of the log for people, or an object a line for programs", choices=LOG_FORMATS
    )


DEFAULTS = Settings()
FIELDS: dict[str, Field[Any]] = {each.name: each for each in fields(Settings)}
NAMES = tuple(FIELDS)


def bounds(name: str) -> Bounds:
    found: Bounds = FIELDS[name].metadata["bounds"]
    return found


def load(path: str, but: str | None = None) -> Settings:
    """The settings in force; but: a key that is about to be set, whatever it is. Raises SettingsError that
    names the key and its line."""
    try:
        text = settings_text.read(path)
    except FileNotFoundError:
        return DEFAULTS
    return parsed(path, text.removeprefix(settings_text.MARK), but)


def parsed(path: str, text: str, but: str | None = None) -> Settings:
    """The settings that the text of a file says. Raises SettingsError."""
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise SettingsError(f"{path} is nested too deeply", _FORM) from None
    except ValueError as error:
        last = f"at line {len(text.rstrip().splitlines())}"
        found = str(error).replace("at end of document", last)
        raise SettingsError(f"{path} is no TOML: {found}", _FORM) from None
    return Settings(
        **{
            name: checked(_place(path, text, name), name, value)
            for name, value in values.items()
            if name != but
        }
    )


_FORM = 'a line is like `model = "fast"` or `exclude = ["*.tmp", "drafts/"]`'


def _place(path: str, text: str, name: str) -> str:
    """Where a key stands in a file, as far as it can be told."""
    wanted = re.compile(rf"""\s*\[*\s*["']?{re.escape(name)}["']?\s*[=.\]]""")
    for number, line in enumerate(text.splitlines(), 1):
        if wanted.match(line):
            return f"{path}, line {number}"
    return path


def require_known(path: str, name: str) -> None:
    """Raises SettingsError, with the nearest name, where there is no such setting."""
    if name not in NAMES:
        begun = [known for known in NAMES if known.startswith(f"{name}_")]
        near = begun or get_close_matches(name, NAMES, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the settings are {', '.join(NAMES)}"
        raise SettingsError(f"{path}: there is no setting {_in_words(name)}", hint)


def checked(path: str, name: str, value: Any) -> Any:
    """A setting's value out of a TOML file, as the record has it. Raises SettingsError."""
    require_known(path, name)
    try:
        return _checked(name, value)
    except SettingsError as error:
        command = " ".join(["imgq config set", name, *_words(getattr(DEFAULTS, name))])
        hint = f"{bounds(name).about}; `{command}` sets it to its default"
        raise SettingsError(f"{path}: {error.message}", hint) from None


def _checked(name: str, value: Any) -> Any:
    """Raises SettingsError, without the place."""
    kind, bound = type(getattr(DEFAULTS, name)), bounds(name)
    if kind is tuple:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise SettingsError(f"{name} is a list of texts, not {_in_words(value)}")
        _require_each(name, value)
        return tuple(value)
    if kind is float and type(value) is int and abs(value) <= _MOST:
        value = float(value)
    if type(value) is not kind:
        raise SettingsError(f"{name} is {KINDS[kind]}, not {_in_words(value)}")
    if bound.least is not None and not value >= bound.least:
        raise SettingsError(f"{name} is at least {bound.least}, not {_in_words(value)}")
    if bound.least is not None and value > bound.most:
        raise SettingsError(f"{name} is at most {bound.most}, not {_in_words(value)}")
    if bound.choices and value not in bound.choices:
        raise SettingsError(f"{name} is one of {', '.join(bound.choices)}, not {_in_words(value)}")
    if kind is str:
        _require_each(name, [value])
    return value


KINDS = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


def _words(value: Any) -> list[str]:
    """A value as a shell has it."""
    if isinstance(value, tuple):
        return [shlex.quote(text) for text in value]
    return [shlex.quote(value) if isinstance(value, str) else json.dumps(value)]


def _in_words(value: Any) -> str:
    words = str(value).lower() if isinstance(value, bool) else repr(value)
    return words if len(words) <= _MOST_SHOWN else f"{words[:_MOST_SHOWN]}…"


def _require_each(name: str, texts: Iterable[str]) -> None:
    for text in texts:
        try:
            bounds(name).each(text)
        except ValueError as error:
            raise SettingsError(f"{name}: {error}") from None
