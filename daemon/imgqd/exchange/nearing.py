"""The last steps before another model is in use: what it lacks to be asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgqd.embedder.pipeline import Pipeline
    from imgqd.exchange.making import Making
    from imgqd.exchange.spaces import Space, Spaces
    from imgqd.index import Index

_NAME = "change of model"
# Where the end is near for so long and is not reached, new files wait for so long: else a library that
# grows would never be whole.
NEAR_S, HELD_S = 5.0, 10.0


class Nearing:
    """For one thread. trouble: why it does not come to an end. is_settled: whether every file is as the
    index knows it."""

    def __init__(self, index: Index, spaces: Spaces, is_settled: Callable[[], bool]) -> None:
        self.trouble: str | None = None
        self._index = index
        self._spaces = spaces
        self._is_settled = is_settled
        self._making: Making | None = None
        self._near_since = 0.0
        self._held: Pipeline | None = None
        # An index that was made anew knows no file until all have been looked at.
        self._trusted = -1 if index.renewed else index.renewals

    def turn_to(self, making: Making | None) -> None:
        """Which one is coming; whatever was done for another is taken back."""
        if making is not self._making:
            self._making, self.trouble = making, None
            self._let_go()

    def is_there(self, making: Making) -> bool:
        """Whether it may be put in the place of the one in use, as far as is known."""
        space = making.space
        # In memory from the beginning, so that the switch need not wait for it.
        _ = space.resident
        if not making.is_near_its_end:
            self.trouble = _of_pictures(space)
            self._let_go()
            return False
        if not self._knows_all(making):
            # What is held would never be settled.
            self.trouble = _of_pictures(space)
            self._let_go()
            return False
        has_texts = space.texts.insist()
        self.trouble = _of_texts(space) or _of_pictures(space)
        if has_texts:
            self._hold_files()
        else:
            self._let_go()
        return has_texts and making.is_done

    def _knows_all(self, making: Making) -> bool:
        """Whether the index knows what pictures there are."""
        renewals = self._index.renewals
        if self._trusted != renewals and self._is_settled():
            self._trusted = renewals
            making.look_again()
        return self._trusted == renewals

    def _hold_files(self) -> None:
        """Where the end is near and is not reached, new files wait a while, and then it is their turn."""
        self._near_since = self._near_since or time.monotonic()
        phase = (time.monotonic() - self._near_since) % (NEAR_S + HELD_S)
        if phase > NEAR_S and self.trouble is None:
            self._held = self._spaces.used.pipeline
            self._held.hold(_NAME)
        else:
            self._release()

    def _let_go(self) -> None:
        self._near_since = 0.0
        self._release()

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.release(_NAME)


def _of_pictures(space: Space) -> str | None:
    working = space.working
    return working.batches.trouble if working else None


def _of_texts(space: Space) -> str | None:
    trouble = space.texts.trouble
    return trouble.message if trouble is not None else None
