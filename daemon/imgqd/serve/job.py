"""One request on its way to its last reply."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from queue import Queue

from imgq import wire
from imgq.errors import Failure

log = logging.getLogger(__name__)

_LONGEST_WORDS = 4096
_BUSY = wire.Fault(
    exit_code=4, message="the daemon has too many requests", hint="try again in a moment"
)

Answer = Callable[[wire.Request], Iterator[wire.Reply]]


class Job:
    """Makes the replies one by one, each only when the one before has left: a slow reader holds its own
    next reply and no thread. Used by one thread at a time; `lane` is where it waits for one."""

    def __init__(self, peer: bytes, frame: bytes, answer: Answer, lane: Queue[Job | None]) -> None:
        self.peer = peer
        self.lane = lane
        self.number = 0
        self.failed_since = 0.0
        self.is_begun = False
        self._frame = frame
        self._answer = answer
        self._replies: Iterator[wire.Reply] = iter(())
        self._next: wire.Reply | None = None

    def first(self) -> tuple[bytes, bool]:
        """Reads the request; its first reply, packed, and whether others follow."""
        self.is_begun = True
        try:
            self.number, request = wire.unpack_request(self._frame)
        except Failure as error:
            self._read_number()
            return self._packed(_fault(error), False)
        self._frame = b""
        try:
            self._replies = self._answer(request)
            self._next = next(self._replies, None)
        except Exception as error:
            return self._packed(_fault(error), False)
        return self.following()

    def following(self) -> tuple[bytes, bool]:
        """The next reply; a failure among them is the last."""
        reply = self._next
        try:
            if reply is None:
                raise Failure("the request was answered with nothing")
            self._next = next(self._replies, None)
            return self._packed(reply, self._next is not None)
        except Exception as error:
            return self._packed(_fault(error), False)

    def refused(self) -> bytes:
        """The only reply to a request that is one too many, packed."""
        if not self.is_begun:
            self._read_number()
        self._replies = iter(())
        return self._packed(_BUSY, False)[0]

    def _read_number(self) -> None:
        self.number = wire.request_number(self._frame)
        self._frame = b""

    def _packed(self, reply: wire.Reply, more: bool) -> tuple[bytes, bool]:
        return wire.pack_reply(reply, self.number, more), more


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
