"""What becomes of models that are no longer in use: they rest, they are given back, they are forgotten."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgqd.exchange.spaces import Space, Spaces
    from imgqd.index import Index

# Whoever asks what is no longer held is waited for; whoever waits for its decoders, so long.
RETIRED_S = 10.0


class Leaving:
    """For one thread. idle_unload: seconds after which one that is only asked gives its memory back."""

    def __init__(self, index: Index, spaces: Spaces, idle_unload: float) -> None:
        self._index = index
        self._spaces = spaces
        self._idle_unload = idle_unload
        self._since: dict[Space, float] = {}
        self._is_due, self._has_forgotten = True, False

    def look_again(self) -> None:
        """A model may have been left that nothing is in memory of."""
        self._is_due = True

    def retire(self) -> None:
        """Gives back what nobody asks any more. What was in use may still draw thumbnails."""
        now = time.monotonic()
        for space in self._spaces.retired:
            since = self._since.setdefault(space, now)
            is_quiet = space.role != "used" or space.is_quiet or now > since + RETIRED_S
            if not space.askers and is_quiet:
                self._spaces.rest(space)
                self._spaces.forget(space)
                del self._since[space]
                self._is_due = True

    def forget(self) -> bool:
        """Whether there was a piece to be forgotten of what nobody asks any more. Raises StoreError."""
        store = self._index.store
        if self._spaces.retired or store.is_immutable or not self._is_due:
            return False
        # Taken back first: whoever has it looked at again meanwhile is heard.
        self._is_due, may_be_more = False, True
        try:
            may_be_more = store.forget_left()
        finally:
            if may_be_more:
                self._is_due = True
        if may_be_more:
            self._has_forgotten = True
            return True
        if self._has_forgotten:
            self._has_forgotten = False
            store.give_back()
        return False

    def rest(self, space: Space) -> None:
        """What is kept and not asked gives its memory back."""
        if time.monotonic() > space.last_asked + self._idle_unload and space.is_quiet:
            self._spaces.rest(space)
