"""The text tower, loaded in the background; who asks before it is there, waits.

That of a model that is only asked now and then is loaded when it is, and given back when it rests."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from imgq.errors import Failure, Refused, TimedOut
from imgqd.models.card import Card
from imgqd.models.sense import Sense, sense
from imgqd.models.text import Texts, open_text_tower

log = logging.getLogger(__name__)

MOST_REMEMBERED = 4096
AGAIN_S = 60.0


class TextTower:
    """Loads once, then answers; the vectors of the latest queries are remembered."""

    def __init__(self, card: Card, exact: bool = False, engines: str | None = None) -> None:
        """exact: in float32, whatever the CPU. engines: the folder that keeps towers' graphs."""
        self._card = card
        self._exact, self._engines = exact, engines
        self._lock = threading.Lock()
        self._is_begun = False
        self._again = 0.0
        self._loaded = threading.Event()
        self._tower: Texts | None = None
        self._remembered: OrderedDict[str, np.ndarray] = OrderedDict()
        self.trouble: Refused | None = None

    def start(self) -> None:
        """Loads it, unless that has begun; where it could not be, it is tried again now and then."""
        if self.trouble is not None and time.monotonic() > self._again:
            self.rest()
        with self._lock:
            if not self._is_begun:
                threading.Thread(target=self._load, name="text tower", daemon=True).start()
                self._is_begun = True

    @property
    def is_at_rest(self) -> bool:
        return not self._is_begun

    def insist(self) -> bool:
        """Has it loaded; whether it is."""
        self.start()
        return self.state == "ready"

    def rest(self) -> None:
        """Gives its memory back, and forgets that it could not be loaded; the next to ask has it loaded
        again. Not while somebody asks."""
        with self._lock:
            if self._loaded.is_set():
                self._is_begun, self._tower, self.trouble = False, None, None
                self._loaded.clear()
                self._remembered.clear()

    def _load(self) -> None:
        try:
            self._tower = open_text_tower(self._card, self._exact, self._engines)
        except Exception as error:
            log.exception("the text tower cannot be loaded")
            self._again = time.monotonic() + AGAIN_S
            why = error.message if isinstance(error, Failure) else str(error)
            self.trouble = Refused(
                f"the text tower of {self._card.name} cannot be loaded: {why}",
                (isinstance(error, Failure) and error.hint) or "`imgq logs` tells more",
            )
        self._loaded.set()

    @cached_property
    def sense(self) -> Sense:
        """What the model has learned of its own scores."""
        return sense(self._card)

    @property
    def state(self) -> str:
        if not self._loaded.is_set():
            return "loading"
        return "failed" if self._tower is None else "ready"

    def embed(self, texts: Sequence[str], timeout: float) -> list[np.ndarray]:
        """float32 (dim,), unit norm, of each; those that are not remembered in one batch. Raises TimedOut
        while the tower loads, Refused where it cannot."""
        if not self._loaded.wait(timeout):
            raise TimedOut(
                f"the model was still loading after {timeout:.3g} s", "try again in a moment"
            )
        if self._tower is None:
            trouble = self.trouble or Refused("the text tower is not there")
            raise Refused(trouble.message, trouble.hint)
        # As tokenizers have them.
        asked = [" ".join(text.split()) for text in texts]
        with self._lock:
            found = {text: self._remembered[text] for text in asked if text in self._remembered}
        # Nobody waits here for the texts of somebody else.
        new = [text for text in dict.fromkeys(asked) if text not in found]
        found |= zip(new, self._tower.embed(new), strict=True) if new else {}
        self._remember(asked, found)
        return [found[text] for text in asked]

    def _remember(self, asked: Sequence[str], found: Mapping[str, np.ndarray]) -> None:
        with self._lock:
            for text in asked:
                self._remembered[text] = found[text]
                self._remembered.move_to_end(text)
            while len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
