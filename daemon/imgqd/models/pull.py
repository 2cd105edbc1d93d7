"""Making sure that a model's card, weights and tokenizer are on disk, fetching what is not."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from imgq.errors import ModelMissing, Refused
from imgqd.models import card
from imgqd.models.card import Card
from imgqd.models.presets import BUILTIN
from imgqd.models.source import Source, published

if TYPE_CHECKING:
    from imgqd.models.hub import Hub, Knock

HUB_TIMEOUT_S = 10.0


def ensure(
    models: str | Path, name: str, hub_timeout: float = HUB_TIMEOUT_S, offline: bool = False
) -> Card:
    """The model's card, with all that it needs on disk.

    hub_timeout: seconds that the hub has to answer; offline: it is not asked at all. Raises
    UsageError for a name that nobody knows, ModelMissing, Refused.
    """
    ready = card.load(models, name)
    if name == BUILTIN and ready is None:
        raise ModelMissing(
            "this installation lacks the builtin model's weights", "install imgq again"
        )
    if ready is None or not ready.complete:
        ready = _Errand(Path(models), name, hub_timeout, offline).card(ready)
        card.save(models, ready)
    require_transformers(ready)
    return ready


def require_transformers(wanted: Card) -> None:
    """Raises Refused where a model's tokenizer needs a package that is not installed."""
    if wanted.tokenizer_from is not None and find_spec("transformers") is None:
        raise Refused(
            f"the tokenizer of {wanted.name} needs the package transformers",
            "pip install 'imgq[multilingual]'",
        )


class _Errand:
    """One fetch. The hub is knocked at before anything slow is loaded: a no comes in time."""

    def __init__(self, models: Path, name: str, timeout: float, offline: bool) -> None:
        from imgqd.models.hub import Hub, Knock, shut

        if offline:
            shut()
        models.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._models = models
        self._name = name
        self._timeout = timeout
        self._hub: Hub = Hub(models / "hub")
        self._knock: Knock | None = None if offline else Knock(timeout)

    def card(self, started: Card | None) -> Card:
        """The whole card; `started` has its weights and lacks its tokenizer."""
        if started is None:
            started = self._with_weights(published(self._name, self._models))
        if started.tokenizer_from is None:
            return started
        return replace(started, tokenizer=str(self._tokenizer(started.tokenizer_from)))

    def _with_weights(self, wanted: Source) -> Card:
        if wanted.repository is None:
            raise Refused(
                f"the weights of {wanted} are not published as safetensors",
                f"convert them and bring them: `imgq model add {wanted.name} --weights FILE`",
            )
        file = self._hub.cached(wanted.repository, wanted.file)
        if file is None:
            self._require_hub(wanted)
        from imgqd.models import towers, weights
        from imgqd.models.architecture import blank_card

        blank = blank_card(wanted.name, wanted.architecture, wanted.tag)
        require_transformers(blank)
        file = file or self._fetch(wanted, wanted.repository)
        towers.require_fit(blank, file)
        ready = card.identified(replace(blank, weights=str(file)), weights.digest(file))
        self._require_as_at_first(ready)
        return ready

    def _require_as_at_first(self, ready: Card) -> None:
        """Raises Refused where the hub once gave other weights by this name."""
        first = card.recorded(self._models, self._name)
        if first is not None and first.sha256 != ready.sha256:
            raise Refused(
                f"the weights of {self._name} in {ready.weights} are not those that it had at first: "
                "their SHA-256 is another",
                f"if that is meant to be, remove {card.path_of(self._models, self._name)} and try again",
            )

    def _require_hub(self, wanted: Source) -> None:
        from imgqd.models.hub import NoHub

        if self._knock is None:
            online = (
                f"`imgq config set offline false && imgq model pull {wanted.name}` fetches them"
            )
            raise _missing(wanted, "and `offline` is set", online)
        try:
            self._knock.require()
        except NoHub as no:
            raise _missing(wanted, f"and {no}") from no

    def _fetch(self, wanted: Source, repository: str) -> Path:
        from imgqd.models.hub import NoHub

        try:
            return self._hub.fetch(repository, wanted.file, self._timeout)
        except NoHub as no:
            raise _missing(wanted, f"and {no}") from no

    def _tokenizer(self, repository: str) -> Path:
        from imgqd.models.hub import NoHub

        if found := self._hub.cached_tokenizer(repository):
            return found
        try:
            if self._knock is None:
                raise NoHub("`offline` is set")
            self._knock.require()
            return self._hub.fetch_tokenizer(repository, self._timeout)
        except NoHub as no:
            raise ModelMissing(
                f"the tokenizer of {self._name} is not on disk, and {no}",
                f"`imgq model pull {self._name}` fetches it once there is a network; a copy of "
                f"another hub cache with {repository} will do; `--model builtin` needs nothing",
            ) from no


def _missing(wanted: Source, reason: str, first: str = "") -> ModelMissing:
    """first: what to do, unless a network is all that is missing."""
    name = wanted.name
    first = first or f"`imgq model pull {name}` fetches them once there is a network"
    return ModelMissing(
        f"the weights of {wanted} are not on disk, {reason}",
        f"{first}; `imgq model add {name} --weights FILE` takes a file that you bring "
        f"({wanted.file} of {wanted.repository}); `--model builtin` needs nothing",
    )
