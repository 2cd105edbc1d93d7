"""The models that can be asked, each with all that this takes: so one is exchanged for another whole."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from imgq import wire
from imgq.errors import Refused
from imgqd.models import card as cards

if TYPE_CHECKING:
    from imgqd.embedder.jobs import Job, Result, Work
    from imgqd.embedder.memory import Memory
    from imgqd.embedder.pipeline import Common, Pipeline
    from imgqd.health.stages import Stages
    from imgqd.index import Index
    from imgqd.models.card import Card
    from imgqd.search.resident import Resident
    from imgqd.search.texts import TextTower
    from imgqd.store import Model

Whose = Literal["used", "another", "nobody"]


class Space:
    """The space that one model embeds into: its vectors, its text tower, and the pipeline with its image
    tower. A query goes by one from its beginning to its end, whatever comes into use meanwhile.

    role: whether it is coming or kept, where it is not in use. was_whole: whether it could be asked before
    it was to come into use. made: what its pipeline made then.
    """

    def __init__(
        self,
        card: Card,
        model: Model,
        index: Index,
        texts: TextTower,
        new_pipeline: Callable[[Card, Model], Pipeline],
    ) -> None:
        self.card = card
        self.model = model
        self.texts = texts
        self.role: Literal["used", "coming", "kept"] = "used"
        self.was_whole = False
        self.made: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self.askers = 0
        self.last_asked = time.monotonic()
        self._index = index
        self._new_pipeline = new_pipeline
        self._lock = threading.Lock()
        self._pipeline: Pipeline | None = None

    @property
    def resident(self) -> Resident:
        """Its vectors, which are in memory by then."""
        return self._index.resident_of(self.model)

    @property
    def pipeline(self) -> Pipeline:
        """Begun where it is at rest."""
        with self._lock:
            if self._pipeline is None:
                pipeline = self._new_pipeline(self.card, self.model)
                # Where the system has no thread for it, the next to ask tries again.
                pipeline.start()
                self._pipeline = pipeline
            return self._pipeline

    @property
    def working(self) -> Pipeline | None:
        """The pipeline, where it is not at rest."""
        return self._pipeline

    @property
    def can_be_asked(self) -> bool:
        return self.role != "coming" or self.was_whole

    @property
    def is_at_rest(self) -> bool:
        return self._pipeline is None and self.texts.is_at_rest

    @property
    def is_quiet(self) -> bool:
        """Whether nobody asks it, nor waits for what its pipeline does."""
        working = self._pipeline
        return not self.askers and (working is None or not working.is_busy)

    def submit(self, work: Work) -> None:
        self.last_asked = time.monotonic()
        self.pipeline.submit(work)

    def rest_pipeline(self) -> int:
        """Ends it; how often parts of it had been started again."""
        with self._lock:
            pipeline, self._pipeline = self._pipeline, None
        if pipeline is None:
            return 0
        pipeline.stop()
        return pipeline.restarts

    def stop(self) -> None:
        """For good."""
        if self._pipeline is not None:
            self._pipeline.stop()


class Spaces:
    """The one in use, others that are held, and those that are no longer but may still be asked.

    For whoever reads files it is the pipeline of the one in use, whichever that is.
    """

    def __init__(self, index: Index, used: Space, common: Common, models: str) -> None:
        """models: the folder of the cards."""
        self.used = used
        self._index = index
        self.others: tuple[Space, ...] = ()
        self.retired: tuple[Space, ...] = ()
        self.tell_made: Callable[[], None] = lambda: None
        self.results = common.results
        self.stages: Stages = common.stages
        self.gate = common.gate
        self._models = models
        self._restarts = 0
        self._lock = threading.Lock()
        self._submitting = threading.Lock()

    def start(self) -> None:
        self.used.texts.start()
        _ = self.used.pipeline

    def stop(self) -> None:
        for space in self:
            space.stop()

    def __iter__(self) -> Iterator[Space]:
        yield from (self.used, *self.others, *self.retired)

    @contextmanager
    def asked(self, name: str | None = None) -> Iterator[Space]:
        """The space of a model that can be asked, the one in use without a name: it stays what it is as
        long as somebody asks it. Raises Refused."""
        with self._lock:
            space = self.used if name is None else self._named(name)
            space.askers += 1
        try:
            space.texts.start()
            yield space
        finally:
            with self._lock:
                space.askers -= 1
                space.last_asked = time.monotonic()

    def _named(self, name: str) -> Space:
        found = self.find(name)
        if found is not None and found.can_be_asked:
            return found
        names = ", ".join(each.card.name for each in (self.used, *self.others) if each.can_be_asked)
        if found is not None:
            raise Refused(
                f"the vectors of {name} are still being made",
                f"`imgq status` tells how far it is; until then these can be asked: {names}",
            )
        raise Refused(
            f"the index has no vectors of {name}",
            f"it has those of {names}; `imgq model use {name} --keep` makes them, too",
        )

    def find(self, name: str) -> Space | None:
        """The space of a model, by whatever name."""
        held = (self.used, *self.others)
        found = next((space for space in held if space.card.name == name), None)
        if found is None and (card := cards.load(self._models, name)) is not None:
            found = next((space for space in held if space.card.identity == card.identity), None)
        return found

    @property
    def coming(self) -> Space | None:
        return next((space for space in self.others if space.role == "coming"), None)

    def submit(self, work: Work) -> None:
        with self._submitting:
            self.used.submit(work)

    def hold(self, who: str) -> None:
        self.gate.hold(who)

    def release(self, who: str) -> None:
        self.gate.release(who)

    @property
    def takes_files(self) -> bool:
        return self.gate.is_open()

    @property
    def memory(self) -> Memory:
        return self.used.pipeline.memory

    def pipelines(self) -> list[Pipeline]:
        """All that are at work, that of the model in use first."""
        return [space.working for space in self if space.working is not None]

    @property
    def restarts(self) -> int:
        return self._restarts + sum(each.restarts for each in self.pipelines())

    @property
    def rate(self) -> float:
        """Pictures a second, by all of them."""
        return sum(each.batches.rate for each in self.pipelines())

    def told(self) -> tuple[wire.HeldModel, ...]:
        return tuple(
            wire.HeldModel(name=each.card.name, dim=each.card.dim, role=each.role)
            for each in (self.used, *self.others)
        )

    def pids(self) -> list[int]:
        """Of all that are at work for them."""
        return [pid for each in self.pipelines() for pid in each.pids()]

    def whose(self, result: Result) -> Whose:
        """Of which model a result is; under the index's lock it stays so."""
        source = result.source
        if source is None or source is self.used.working:
            return "used"
        return "another" if self._of(result) else "nobody"

    def tell(self, result: Result) -> None:
        """To whoever makes vectors of a model that is not in use."""
        if (space := self._of(result)) is not None:
            space.made.put(result)
            self.tell_made()

    def _of(self, result: Result) -> Space | None:
        return next((space for space in self.others if space.working is result.source), None)

    def model_of(self, result: Result) -> Model | None:
        space = self._of(result)
        return space.model if space else None

    def hold_beside(self, space: Space, role: Literal["coming", "kept"]) -> None:
        """It is made, or kept, beside the one in use."""
        with self._lock:
            space.was_whole = space.can_be_asked and space in self.others
            space.role = role
            self.others = (*(each for each in self.others if each is not space), space)

    def retire(self, space: Space) -> None:
        """Nobody is to ask it any more."""
        with self._lock:
            self.others = tuple(each for each in self.others if each is not space)
            self.retired = (*self.retired, space)

    def rest(self, space: Space) -> None:
        """Gives back what a space takes that is not in use; who asks it has it again."""
        with self._lock:
            if space.askers or space is self.used:
                return
            space.texts.rest()
        self._restarts += space.rest_pipeline()
        self._index.rest(space.model)

    def forget(self, space: Space) -> None:
        with self._lock:
            self.retired = tuple(each for each in self.retired if each is not space)

    def exchange(self, space: Space, jobs: Callable[[], Iterable[Job]], *, keep: bool) -> None:
        """Puts a space in the place of the one in use, in one step, and has the files under way read by
        its pipeline; what that one makes of them is nobody's. Under the index's lock."""
        with self._submitting:
            with self._lock:
                before, space.role = self.used, "used"
                others = tuple(each for each in self.others if each is not space)
                if keep:
                    before.role = "kept"
                    self.others = (*others, before)
                else:
                    self.others = others
                    self.retired = (*self.retired, before)
                self.used = space
            for job in jobs():
                space.submit(job)
        before.pipeline.drop_jobs()
