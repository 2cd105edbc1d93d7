"""Changes the model while the one in use goes on answering: vectors are made beside its own, one switch
puts another in its place, and what is left is forgotten."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from imgq import wire
from imgq.errors import ModelMissing, StoreError, UsageError
from imgqd.exchange.leaving import Leaving
from imgqd.exchange.making import Making
from imgqd.exchange.nearing import Nearing
from imgqd.models import card as cards
from imgqd.models.pull import require_transformers
from imgqd.store import Model

if TYPE_CHECKING:
    from imgqd.exchange.spaces import Space, Spaces
    from imgqd.index import Index
    from imgqd.library.dirty import Dirty
    from imgqd.models.card import Card
    from imgqd.reconcile.backlog import Backlog

log = logging.getLogger(__name__)

# While there is something to do; and at rest, where only what nobody tells of is looked for.
BEAT_S, REST_S = 0.2, 30.0
# Weights that are not there are looked for so often.
MISSING_S = 5.0
STORE_AGAIN_S = 5.0
# Between two pieces of what is forgotten, for whoever writes meanwhile.
PIECE_S = 0.02


@dataclass(frozen=True, slots=True)
class Bench:
    """What the models are changed with. models: the folder of their cards; idle_unload: seconds after
    which one that is only asked gives its memory back; is_settled: whether every file is as the index
    knows it."""

    new_space: Callable[[Card, Model], Space]
    backlog: Backlog
    dirty: Dirty
    models: str
    idle_unload: float
    is_settled: Callable[[], bool]


class Changing(threading.Thread):
    """Works until it is stopped."""

    def __init__(self, index: Index, spaces: Spaces, bench: Bench) -> None:
        super().__init__(name="changing", daemon=True)
        self._index = index
        self._spaces = spaces
        self._bench = bench
        self._lock = threading.RLock()
        self._makings: tuple[Making, ...] = ()
        self._keeps = False
        self._awake = threading.Event()
        self._ending = False
        self._leaving = Leaving(index, spaces, bench.idle_unload)
        self._nearing = Nearing(index, spaces, bench.is_settled)
        self._online: set[bytes] = set()
        self._later: Card | None = None
        # The name of the model that is wanted and has no weights.
        self._missing: str | None = None
        index.tell_shown = self._more
        spaces.tell_made = self._awake.set

    def take_up(self, wanted: Card | None, name: str) -> None:
        """Goes on as the store tells, before anything is started. wanted: the card of the model that the
        settings name, None where its weights are not there."""
        for held in self._index.store.models():
            if held.role == "kept" and (card := self._card_held(held.model)) is not None:
                self._hold(card, "kept")
            elif held.role == "coming" and (wanted is None or wanted.name == held.model.name):
                self._keeps = held.keeps
        if wanted is None:
            self._missing = name
        elif self._index.store.is_immutable:
            self._later = wanted
        else:
            self._want(wanted, self._keeps)

    def _card_held(self, model: Model) -> Card | None:
        card = cards.load(self._bench.models, model.name)
        return card if card and card.identity == model.identity else None

    def run(self) -> None:
        while not self._ending:
            self._awake.clear()
            try:
                patience = self._step()
            except StoreError as error:
                log.warning("models wait for the index: %s", error.message)
                patience = STORE_AGAIN_S
            except Exception:
                log.exception("the models could not be looked after: this is a bug")
                patience = STORE_AGAIN_S
            self._awake.wait(patience)

    def stop(self) -> None:
        self._ending = True
        self._awake.set()
        self.join()

    @property
    def wanted(self) -> str:
        """The name of the model that is to be in use."""
        return self._missing or (self._spaces.coming or self._spaces.used).card.name

    @property
    def trouble(self) -> str | None:
        """Why a change does not go on."""
        if self._missing is not None:
            return f"the weights of {self._missing} are not on disk"
        return self._nearing.trouble if self._spaces.coming else None

    def told(self) -> wire.ModelChange | None:
        """How far it is."""
        coming = self._spaces.coming
        if coming is None:
            return None
        done, of = self._index.count_of(coming.model), self._index.counts().pictures
        working = coming.working
        return wire.ModelChange(
            model=coming.card.name,
            done=min(done, of),
            of=of,
            pictures_per_s=round(working.batches.rate, 1) if working else 0.0,
            keep=self._keeps,
            trouble=self.trouble,
        )

    def use(self, name: str, *, keep: bool = False) -> None:
        """Has a model be used as soon as every picture has a vector of it; and the one in use kept, if that
        is wanted. Raises ModelMissing, where its weights are not there; nothing changes then."""
        self._want(self._card(name), keep)

    def drop(self, name: str) -> None:
        """Has a model that is kept or coming be forgotten. Raises UsageError."""
        space = self._spaces.find(name)
        if space is self._spaces.used:
            raise UsageError(
                f"{name} is in use, and nothing would be found without it",
                "`imgq model use` another one first",
            )
        if space is not None:
            self._leave(space)
            return
        store = self._index.store
        # One whose weights are gone can be asked by nobody, and still takes its place.
        beside = [held for held in store.models() if held.role not in ("used", "left")]
        model = next((held.model for held in beside if held.model.name == name), None)
        if model is None:
            there = ", ".join(held.model.name for held in beside) or "no other model"
            raise UsageError(f"no vectors of {name} are held", f"there are those of {there}")
        if name == self._missing:
            self._missing = None
        store.hold_model(model, "left")
        self._leaving.look_again()
        self._awake.set()

    def _card(self, name: str) -> Card:
        card = cards.load(self._bench.models, name)
        if card is None or not card.complete:
            raise ModelMissing(
                f"the weights of {name} are not on disk",
                f"`imgq model pull {name}` fetches them, `imgq model add` takes a file",
            )
        require_transformers(card)
        return card

    def _want(self, card: Card, keep: bool) -> None:
        with self._index.lock, self._lock:
            self._missing = None
            coming = self._spaces.coming
            if coming is not None and coming.card.identity != card.identity:
                self._wants_no_more(coming)
            self._leave_others(card)
            self._keeps = keep
            if card.identity != self._spaces.used.card.identity:
                self._hold(card, "coming")
        self._awake.set()

    def _wants_no_more(self, coming: Space) -> None:
        """One that was kept before it was to come is so again: nobody has said that it is to be dropped."""
        if coming.was_whole:
            self._hold(coming.card, "kept")
        else:
            self._leave(coming)

    def _leave_others(self, card: Card) -> None:
        """A daemon that was killed may have left one in the store that nobody wants any more."""
        store = self._index.store
        for held in [] if store.is_immutable else store.models():
            if held.role == "coming" and held.model.identity != card.identity:
                store.hold_model(held.model, "left")
                self._leaving.look_again()

    def _hold(self, card: Card, role: Literal["coming", "kept"]) -> None:
        model = Model(0, card.identity, card.name, card.dim)
        model = self._index.store.hold_model(model, role, keeps=self._keeps and role == "coming")
        space = next((each for each in self._spaces.others if each.model.id == model.id), None)
        if space is None:
            space = self._bench.new_space(card, model)
            self._makings = (*self._makings, self._making(space))
        self._spaces.hold_beside(space, role)

    def _making(self, space: Space) -> Making:
        return Making(space, self._index, self._bench.dirty)

    def _leave(self, space: Space) -> None:
        with self._index.lock, self._lock:
            self._index.store.hold_model(space.model, "left")
            self._makings = tuple(each for each in self._makings if each.space is not space)
            self._spaces.retire(space)
        self._awake.set()

    def _more(self, pictures: Sequence[int]) -> None:
        for making in self._makings:
            making.more(pictures)
        if self._makings:
            self._awake.set()

    def _step(self) -> float | None:
        """Does what can be done; seconds until there may be more, if nobody tells."""
        if self._later is not None and not self._index.store.is_immutable:
            wanted, self._later = self._later, None
            self._want(wanted, self._keeps)
        self._find_missing()
        makings = self._makings
        self._look_at_roots(makings)
        self._nearing.turn_to(next((m for m in makings if m.space.role == "coming"), None))
        for making in makings:
            making.step()
            if making.space.role == "coming":
                if self._nearing.is_there(making) and not self._switched(making):
                    making.look_again()
            elif making.is_done:
                self._leaving.rest(making.space)
        self._leaving.retire()
        if self._leaving.forget():
            return PIECE_S
        if self._spaces.coming or self._spaces.retired or not all(each.is_done for each in makings):
            return BEAT_S
        return self._rest(makings)

    def _rest(self, makings: Sequence[Making]) -> float | None:
        if not all(each.space.is_at_rest for each in makings):
            return min(self._bench.idle_unload, REST_S)
        if self._missing is not None:
            return MISSING_S
        return REST_S if makings or self._later else None

    def _find_missing(self) -> None:
        """Weights may have been brought since."""
        if (name := self._missing) is not None:
            card = cards.load(self._bench.models, name)
            if card is not None and card.complete and not self._index.store.is_immutable:
                self._want(card, self._keeps)

    def _look_at_roots(self, makings: Sequence[Making]) -> None:
        """What lies on a root that comes back may lack what was made meanwhile."""
        if makings:
            online = {each.path for each in self._index.store.roots() if each.state == "online"}
            if online - self._online:
                for making in makings:
                    making.look_again()
            self._online = online

    def _switched(self, making: Making) -> bool:
        """The one moment at which another model is in use."""
        before, space = self._spaces.used, making.space
        with self._index.lock, self._lock:
            if space.role != "coming" or not making.is_complete():
                return False
            self._index.use(space.model, keep=self._keeps)
            self._spaces.exchange(space, self._bench.backlog.jobs, keep=self._keeps)
            self._makings = tuple(each for each in self._makings if each is not making)
            if self._keeps:
                self._makings = (*self._makings, self._making(before))
            self._keeps = False
        self._nearing.turn_to(None)
        log.info("the model %s is in use, and no longer %s", space.card.name, before.card.name)
        # What could not be embedded by it is pending from now on.
        self._bench.dirty.mark_everything()
        self._bench.dirty.hurry()
        return True
