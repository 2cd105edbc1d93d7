"""From a name, as a person says it, to open_clip's architecture and the weights on the hub."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from imgq.errors import ModelMissing, UsageError
from imgqd.models import card
from imgqd.models.presets import BUILTIN, BUILTIN_ARCHITECTURE, BY_NAME, PRESETS, WEIGHTS_FILE


@dataclass(frozen=True, slots=True)
class Source:
    """repository, file: of the hub; None where only a file that is brought will do."""

    name: str
    architecture: str
    tag: str | None
    repository: str | None = None
    file: str = WEIGHTS_FILE

    def __str__(self) -> str:
        full = f"{self.architecture}/{self.tag}" if self.tag else self.architecture
        return full if full == self.name else f"{self.name} ({full})"


def published(name: str, models: str | Path) -> Source:
    """A preset, ARCHITECTURE/TAG, or an architecture that has one tag.

    Raises UsageError; ModelMissing for a model that was brought and whose weights are gone.
    """
    if preset := BY_NAME.get(name):
        return Source(name, preset.architecture, preset.tag, preset.repository)
    base, _, tag = name.partition("/")
    is_known = base in _architectures()
    known = _tags(base) if is_known else []
    tag = tag.lower().replace("-", "_") or (known[0] if len(known) == 1 else "")
    if tag in known:
        from imgqd.models import architecture

        return Source(name, base, tag, *(architecture.hub_file(base, tag) or ()))
    if name in card.names(models):
        raise ModelMissing(
            f"the weights of {name} are no longer on disk",
            f"bring them again: `imgq model add {name} --weights FILE`",
        )
    if not is_known:
        raise _unknown(name, models)
    if known:
        raise UsageError(
            f"{name!r} does not say which of the weights of {base} are meant",
            "there are " + ", ".join(f"{base}/{each}" for each in known),
        )
    raise UsageError(
        f"nobody has published weights for {base}",
        f"bring yours: `imgq model add {base} --weights FILE`",
    )


def brought(name: str, models: str | Path, architecture: str | None = None) -> Source:
    """What a file that is brought under this name is to fit. Raises UsageError."""
    if name == BUILTIN:
        raise UsageError("builtin is inside the package", "give your weights a name of their own")
    if not card.NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a model's name", "letters, digits, '.', '_' and '-'")
    if preset := BY_NAME.get(name):
        if architecture not in (None, preset.architecture):
            raise UsageError(
                f"{name} is {preset.architecture}, not {architecture}",
                "give the weights a name of their own",
            )
        return Source(name, preset.architecture, preset.tag)
    base, _, tag = (architecture or name).partition("/")
    if base not in _architectures():
        if architecture is None:
            raise UsageError(
                f"there is no model {name!r}, and of which architecture it is was not said",
                f"`imgq model add {name} --weights FILE --architecture ViT-B-32-256`, say",
            )
        raise _unknown(architecture, models)
    tag = tag.lower().replace("-", "_")
    if tag and tag not in _tags(base):
        raise _unknown(architecture or name, models)
    return Source(name, base, tag or None)


def _unknown(name: str, models: str | Path) -> UsageError:
    base = name.partition("/")[0]
    near = _nearest(name, [preset.name for preset in PRESETS] + card.names(models))
    near += _nearest(base, _architectures())
    if near:
        hint = "did you mean " + " or ".join(dict.fromkeys(near)) + "?"
    else:
        hint = "`imgq model list` shows the models; any architecture of open_clip will do too"
    return UsageError(f"there is no model {name!r}", hint)


def _architectures() -> list[str]:
    """open_clip's, and the builtin model's: by the names of its files, for it loads torch."""
    found = find_spec("open_clip")
    folders = (found.submodule_search_locations if found else None) or []
    files = (file for folder in folders for file in Path(folder, "model_configs").glob("*.json"))
    return sorted([BUILTIN_ARCHITECTURE, *(file.stem for file in files)])


def _tags(base: str) -> list[str]:
    """The names of the weights that were published for an architecture."""
    from imgqd.models import architecture

    return architecture.tags(base)


def _nearest(name: str, names: list[str]) -> list[str]:
    by_lower = {each.lower(): each for each in names}
    return [by_lower[each] for each in get_close_matches(name.lower(), by_lower, 3)]
