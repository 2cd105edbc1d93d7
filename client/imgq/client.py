"""One question, one answer; or a stream of answers."""

from __future__ import annotations

from time import monotonic

from imgq import wire
from imgq.errors import (
    Failure,
    NoDaemon,
    NotSettled,
    ProtocolMismatch,
    Refused,
    TimedOut,
    UsageError,
)
from imgq.paths import socket_address
from imgq.zmtp import Dealer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 30.0

# The daemon knows why it is late and says so; it is given this long to say it before the client gives up.
_GRACE = 0.1

_FAILURES: dict[int, type[Failure]] = {
    cls.exit_code: cls
    for cls in (NotSettled, UsageError, TimedOut, Refused, ProtocolMismatch, Failure)
}


def ask(request: wire.Request, timeout: float = TIMEOUT) -> wire.Reply:
    """The answer to a request that has one. Raises what went wrong as a Failure."""
    (reply,) = stream(request, timeout)
    return reply


def stream(request: wire.Request, timeout: float = TIMEOUT) -> Iterator[wire.Reply]:
    """The answers to a request, each at most `timeout` seconds after the one before."""
    frame = wire.pack_request(request, 1)
    if len(frame) > wire.MOST_REQUEST:
        raise UsageError(
            f"the request has {len(frame) >> 20} MiB, {wire.MOST_REQUEST >> 20} is the most",
            "ask with fewer or smaller pictures",
        )
    deadline = monotonic() + timeout
    dealer = _connected(timeout)
    try:
        dealer.send(frame, deadline)
        more = True
        while more:
            frame = dealer.receive(deadline + _GRACE, wire.MOST_REPLY)
            more, reply = _read(frame)
            yield reply
            deadline = monotonic() + timeout
    except TimeoutError:
        raise TimedOut(
            f"the daemon did not answer within {timeout:g} s",
            "`imgq status` tells what it is doing",
        ) from None
    except OSError as error:
        raise NoDaemon(
            f"the daemon went away while it answered ({error})",
            "`imgq start` starts it again, `imgq logs` may tell why",
        ) from None
    finally:
        dealer.close()


def settle(timeout: float) -> None:
    """Returns when every change made before the call is in the index. Raises NotSettled."""
    # However short the wait, the daemon has a moment to say that it was too short.
    settled = ask(wire.Settle(timeout=timeout), max(timeout, 1.0))
    if isinstance(settled, wire.Settled) and not settled.settled:
        raise NotSettled(
            f"not settled within {timeout:g} s: {settled.pending} files are pending",
            "`imgq status` tells what it waits for",
        )


def _read(frame: bytes) -> tuple[bool, wire.Reply]:
    """A reply, and whether others follow. Raises what the daemon says went wrong."""
    try:
        _, more, reply = wire.unpack_reply(frame)
    except wire.BadMessage as error:
        raise ProtocolMismatch(
            f"what answers is no daemon of this imgq: {error}", "`imgq restart` after an update"
        ) from None
    if isinstance(reply, wire.Fault):
        raise _FAILURES.get(reply.exit_code, Failure)(reply.message, reply.hint)
    return more, reply


def answers(timeout: float = 2.0) -> bool:
    """Whether a daemon answers on the socket."""
    try:
        ask(wire.AskRoots(), timeout)
    except (NoDaemon, Refused):
        # One that is ending refuses.
        return False
    return True


def _connected(timeout: float) -> Dealer:
    address = socket_address()
    if not address.startswith("ipc://"):
        raise UsageError(
            f"{address} is no address this imgq can ask", "addresses begin with ipc://"
        )
    try:
        return Dealer(address.removeprefix("ipc://"), monotonic() + timeout)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise NoDaemon(
            "no daemon is running", "start one and watch a folder with `imgq start ~/Pictures`"
        ) from None
    except TimeoutError:
        raise TimedOut(
            f"the daemon did not answer within {timeout:g} s", "`imgq logs` may tell why"
        ) from None
    except OSError as error:
        raise NoDaemon(f"no daemon can be asked on {address}: {error}") from None
