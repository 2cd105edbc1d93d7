"""One request on its way to its last reply."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING

from imgq import wire
from imgq.errors import Failure
from imgqd.serve import rights

if TYPE_CHECKING:
    from imgqd.serve.peer import Peer

log = logging.getLogger(__name__)

_LONGEST_WORDS = 4096
# Of a frame, where the name of its request stands.
_HEAD = 64
_BUSY = wire.Fault(
    exit_code=4, message="the daemon has too many requests", hint="try again in a moment"
)


class Later(Enum):
    """In place of a reply: there is none yet. It is asked for again when there is news."""

    LATER = auto()


Answer = Callable[[wire.Request], Iterator[wire.Reply | Later]]


class Job:
    """Makes the replies one by one, each only when the one before has left: a slow reader holds its own
    next reply and no thread. Used by one thread at a time."""

    def __init__(self, peer: Peer, frame: bytes, answer: Answer) -> None:
        self.peer = peer
        self.size = len(frame)
        self.head = frame[:_HEAD]
        self.number = 0
        # Seconds of a core.
        self.cost = 0.0
        # How many news there had been when it was last looked at.
        self.heard = 0
        self._frame: bytes | None = frame
        self._answer = answer
        self._replies: Iterator[wire.Reply | Later] = iter(())
        self._next: wire.Reply | Later | None = None

    def next(self) -> tuple[bytes | None, bool]:
        """The next reply, packed, and whether others follow; a failure is the last. None where there is
        no reply yet."""
        try:
            if self._frame is not None:
                self._begin()
            elif self._next is Later.LATER:
                self._next = next(self._replies, None)
            reply = self._next
            if reply is Later.LATER:
                return None, True
            if reply is None:
                raise Failure("the request was answered with nothing")
            self._next = next(self._replies, None)
            more = self._next is not None
            return wire.pack_reply(reply, self.number, more), more
        except Exception as error:
            self._next, self._replies = None, iter(())
            return wire.pack_reply(_fault(error), self.number), False

    def _begin(self) -> None:
        frame, self._frame = self._frame or b"", None
        try:
            self.number, request = wire.unpack_request(frame)
        except Failure:
            self.number = wire.request_number(frame)
            raise
        del frame
        rights.require(self.peer.right, request, self.peer.key)
        self._replies = self._answer(request)
        self._next = next(self._replies, None)

    def refused(self) -> bytes:
        """The only reply to a request that is one too many, packed."""
        if self._frame is not None:
            self.number = wire.request_number(self._frame)
        self._frame, self._next, self._replies = None, None, iter(())
        return wire.pack_reply(_BUSY, self.number)


def _fault(error: Exception) -> wire.Fault:
    if not isinstance(error, Failure):
        log.exception("a request failed: this is a bug")
        error = Failure(
            f"the daemon failed on this request: {type(error).__name__}: {error}",
            "this is a bug in imgq; the log has more: `imgq logs`",
        )
    return wire.Fault(
        exit_code=error.exit_code,
        message=error.message[:_LONGEST_WORDS],
        hint=error.hint[:_LONGEST_WORDS],
    )
