"""The file of the settings, written and shown: what `imgq config` runs, in a process of its own."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import tomlkit

from imgq.errors import Failure, Refused, SettingsError
from imgq.paths import Places, places
from imgqd import private_file, settings_text
from imgqd.config import DEFAULTS, KINDS, NAMES, Settings, bounds, checked, load, require_known
from imgqd.models import card, source

log = logging.getLogger(__name__)

_OPENING = """\
# imgq's settings. Each key stands here with its default; take the # away to set it.
# `imgq config set KEY VALUE` does so too, and has the daemon take it at once.
"""


def remember(path: str, name: str, value: object) -> None:
    """Sets one key in the file and keeps all else in it, comments too.

    Raises Refused where it cannot be written, SettingsError where it is no TOML.
    """
    # Where the file is a link, as those who keep their settings in a repository have it.
    file = Path(path).resolve()
    mark, text = _marked(file)
    document = _parsed(file, text)
    if name in document and document[name] == value:
        return
    if name not in document:
        # Where the file says what a key does, it is set there.
        with suppress(SettingsError):
            document = _parsed(file, text.replace(f"\n#{name} = ", f"\n{name} = ", 1))
    document[name] = value
    _write(file, mark + _with_line_ends_of(text, tomlkit.dumps(document)))


def require_sound(path: str) -> None:
    """Raises SettingsError where the file could not be written for what stands in it."""
    _parsed(Path(path), _marked(Path(path))[1])


def remember_model(where: Places, model: str) -> Refused | None:
    """As far as the disk lets us: no index is closed for that. Returns why the next start will not know of
    it, where that is so."""
    try:
        remember(where.settings, "model", model)
    except Refused as refusal:
        with suppress(SettingsError):
            if load(where.settings).model == model:
                return None
        log.warning("the model %s is not remembered: %s", model, refusal.message)
        return refusal
    return None


def shown(settings: Settings) -> str:
    """The settings as the file would say them."""
    return "".join(_line(name, getattr(settings, name)) for name in NAMES)


def documented() -> str:
    """A file that sets nothing and says of every key what it does, and its default."""
    keys = [f"\n# {_about(name)}\n#{_line(name, getattr(DEFAULTS, name))}" for name in NAMES]
    return _OPENING + "".join(keys)


def init(path: str) -> None:
    """Writes `documented()`. Raises Refused where there is a file already."""
    if os.path.lexists(path):
        raise Refused(f"{path} is there already", "`imgq config show` tells what is in force")
    _write(Path(path), documented())


def read(name: str, words: Sequence[str]) -> Any:
    """A setting's value as a person writes it in a shell, where nobody likes quotes in quotes.
    Raises SettingsError."""
    require_known("config set", name)
    for word in words:
        if any("\ud800" <= character <= "\udfff" for character in word):
            raise SettingsError(f"{name}: {word!r} is no text in UTF-8", "the settings are UTF-8")
    kind = type(getattr(DEFAULTS, name))
    if kind is tuple:
        checked("config set", name, list(words))
        return list(words)
    if len(words) != 1:
        raise SettingsError(f"{name} takes one value", f"it is {KINDS[kind].split(' in ')[0]}")
    value = words[0] if kind is str else _of_toml(words[0])
    checked("config set", name, value)
    return value


def require_model(name: str, models: str) -> None:
    """Raises UsageError or ModelMissing where no daemon could start with it. Weights that are not there may
    be fetched later."""
    if name not in card.names(models):
        source.published(name, models)


def _of_toml(word: str) -> Any:
    try:
        return tomlkit.value(word).unwrap()
    except ValueError:
        return word


def _about(name: str) -> str:
    bound = bounds(name)
    choices = f": {', '.join(bound.choices)}" if bound.choices else ""
    return f"{name}: {bound.about}{choices}"


def _line(name: str, value: Any) -> str:
    return tomlkit.dumps({name: list(value) if isinstance(value, tuple) else value})


def _marked(file: Path) -> tuple[str, str]:
    """The mark of the byte order, or nothing, and the text behind it."""
    try:
        whole = settings_text.read(os.fspath(file))
    except FileNotFoundError:
        return "", ""
    text = whole.removeprefix(settings_text.MARK)
    return whole[: len(whole) - len(text)], text


def _parsed(file: Path, text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except ValueError as error:
        raise SettingsError(
            f"{file} is no TOML, and nothing was changed: {error}",
            "mend that line, or move the file away",
        ) from None


def _with_line_ends_of(before: str, text: str) -> str:
    """The text with CRLF where all lines before had that, as an editor on Windows leaves them."""
    if before.count("\r\n") != before.count("\n") or "\n" not in before:
        return text
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        private_file.put(file, text)
    except OSError as error:
        raise Refused(
            f"cannot write the settings in {file}: {error.strerror}",
            "have a look at that folder and its disk",
        ) from None


def _run(words: Sequence[str]) -> str:
    """What one command prints; the first word says which."""
    path = places().settings
    match words:
        case ["show"]:
            return shown(load(path))
        case ["init"]:
            init(path)
            return f"{path}\n"
        case ["get", name]:
            require_known(path, name)
            value = getattr(load(path), name)
            return f"{value}\n" if isinstance(value, str) else _line(name, value).split(" = ")[1]
        case ["set", name, *values]:
            value = read(name, values)
            load(path, but=name)
            if name == "model":
                require_model(value, places().models)
            remember(path, name, value)
            return ""
        case _:
            raise AssertionError(words)


def main() -> int:
    """`python -m imgqd.settings_file WORD…`, for `imgq config`; the exit code."""
    os.umask(0o077)
    try:
        sys.stdout.write(_run(sys.argv[1:]))
    except Failure as error:
        sys.stderr.write(f"imgq: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
