"""Vectors by a model that is not in use, beside those of the one that is: of all pictures, newest first."""

from __future__ import annotations

import logging
import os
import queue
import time
from collections import Counter, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from imgqd.embedder.jobs import Job, Result, Urgency
from imgqd.records import FINAL, Failed, Indexed

if TYPE_CHECKING:
    from imgqd.exchange.spaces import Space
    from imgqd.index import Index
    from imgqd.library.dirty import Dirty
    from imgqd.store import Picture

log = logging.getLogger(__name__)

# So many are under way at once: enough for decoders and embedder, and little to find again.
ROOM = 256
_PAGE = 64
# What is not final is tried so often, so many seconds apart.
MOST_ATTEMPTS = 3
AGAIN_S = 1.0
# The end is near where so few are left.
FEW = 64


class Making:
    """Plans and follows the work of one space; for one thread, but for `more`.

    It works by pictures: what a file shows is the matter of the model in use. A picture that cannot be read
    or embedded now is given up: it is pending when this model comes into use.
    """

    def __init__(self, space: Space, index: Index, dirty: Dirty) -> None:
        self.space = space
        self._index = index
        self._dirty = dirty
        self._new: deque[int] = deque()
        self._plan: deque[int] = deque()
        self._under_way: dict[bytes, Picture] = {}
        self._attempts: Counter[int] = Counter()
        self._given_up: set[int] = set()
        self._next_plan = 0.0
        self._lacks = True

    def more(self, pictures: Iterable[int]) -> None:
        """Pictures have come; from any thread."""
        self._new.extend(pictures)

    def look_again(self) -> None:
        """Something may lack that nobody has told of."""
        self._lacks = True

    @property
    def is_near_its_end(self) -> bool:
        return not self._lacks or (
            self._next_plan > 0 and len(self._plan) + len(self._under_way) + len(self._new) <= FEW
        )

    @property
    def is_done(self) -> bool:
        """Whether all that can be was made, as far as is known."""
        return not (self._lacks or self._plan or self._under_way or self._new)

    def is_complete(self) -> bool:
        """Whether that is so indeed; under the index's lock it stays so."""
        return self.is_done and not self._lacking()

    def step(self) -> None:
        """Does what can be done now, and waits for nothing. Raises StoreError."""
        self._take_made()
        while self._new:
            self._plan.appendleft(self._new.popleft())
        if not self._plan and not self._under_way and self._lacks:
            self._make_plan()
        while self._plan and len(self._under_way) < ROOM:
            self._submit([self._plan.popleft() for _ in range(min(_PAGE, len(self._plan)))])

    def _make_plan(self) -> None:
        if time.monotonic() >= self._next_plan:
            self._next_plan = time.monotonic() + AGAIN_S
            self._plan.extend(self._lacking())
            self._lacks = bool(self._plan)

    def _lacking(self) -> list[int]:
        lacking = self._index.store.lacking(self.space.model)
        return [each for each in lacking if each not in self._given_up]

    def _submit(self, pictures: list[int]) -> None:
        """One file of each; a second look finds those that had none to be read."""
        files = self._index.store.files_of(pictures)
        for picture in pictures:
            shown = next((file for file in files.get(picture, ()) if not file.offline), None)
            if shown is None or shown.path in self._under_way:
                self._lacks = True
            else:
                self._under_way[shown.path] = shown.picture
                alone = shown.picture.id in self._attempts
                self.space.submit(Job(shown.path, shown.stamp, Urgency.BACKLOG, alone))

    def _take_made(self) -> None:
        changed: list[bytes] = []
        while True:
            try:
                result = self.space.made.get_nowait()
            except queue.Empty:
                break
            picture = self._under_way.pop(result.job.path, None)
            if picture is not None and not self._is_settled(picture, result):
                changed.append(result.job.path)
        if changed:
            # Other bytes are there than the index knows, or none.
            self._index.store.mark_untrusted(changed)
            for path in changed:
                self._dirty.mark(os.path.dirname(path))

    def _is_settled(self, picture: Picture, result: Result) -> bool:
        """Whether the result is one of this picture; if not, its file is another by now."""
        change = result.change
        is_own = isinstance(change, Indexed | Failed) and change.hash in (picture.hash, None)
        if is_own and isinstance(change, Indexed):
            self._attempts.pop(picture.id, None)
            return True
        self._attempts[picture.id] += 1
        is_final = isinstance(change, Failed) and (change.of_model or change.failure.kind in FINAL)
        if (is_own and is_final) or self._attempts[picture.id] >= MOST_ATTEMPTS:
            self._given_up.add(picture.id)
            why = change.failure.reason if isinstance(change, Failed) else "it cannot be read now"
            log.warning("%s gets no vector of %s: %s", *self._named(result), why)
        self._lacks = True
        self._next_plan = max(self._next_plan, time.monotonic() + (result.again or AGAIN_S))
        return is_own

    def _named(self, result: Result) -> tuple[str, str]:
        return os.fsdecode(result.job.path), self.space.card.name
