"""One question, one answer; or a stream of answers."""

from __future__ import annotations

from time import monotonic, sleep

from imgq import wire
from imgq.errors import (
    Failure,
    KeyRefused,
    NoDaemon,
    NotSettled,
    ProtocolMismatch,
    Refused,
    TimedOut,
    UsageError,
)
from imgq.paths import TCP, cannot_ask, is_far, socket_address
from imgq.zmtp import Dealer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Iterator

TIMEOUT = 30.0

# The daemon knows why it is late and says so; it is given this long to say it before the client gives up.
_GRACE = 0.1

# Between two attempts to reach a daemon that is about to answer.
_PAUSE_S, _FAR_PAUSE_S = 0.02, 0.2
_ABSENT = (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)
_HUNG_UP = (ConnectionResetError, BrokenPipeError)

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
    dealer, frame = _asked(frame, timeout)
    try:
        more, reply = _read(frame)
        yield reply
        while more:
            frame = dealer.receive(monotonic() + timeout + _GRACE, wire.MOST_REPLY)
            more, reply = _read(frame)
            yield reply
    except OSError as error:
        raise _away(error, timeout) from None
    finally:
        dealer.close()


def _asked(request: bytes, timeout: float) -> tuple[Dealer, bytes]:
    """The connection that the request went out on, and the first reply to it.

    A daemon that starts, or starts anew with other settings, is waited for, on another machine where it
    was there when it was asked; to one that hangs up the request goes once more, no matter whether it was
    heard: none does harm that is heard twice.
    """
    address, deadline, hung_up = socket_address(), monotonic() + timeout, 0
    while True:
        dealer = None
        try:
            dealer = _connected(address, deadline)
            dealer.send(request, deadline)
            return dealer, dealer.receive(deadline + _GRACE, wire.MOST_REPLY)
        except OSError as error:
            if dealer is not None:
                dealer.close()
            hung_up += not isinstance(error, (*_ABSENT, BlockingIOError))
            # One that ended just then is gone by the next time.
            is_first = dealer is None and hung_up == 1 and isinstance(error, _HUNG_UP)
            if hung_up > 1 or not (is_first or _comes_back(error, deadline if hung_up else 0.0)):
                raise _away(error, timeout, is_greeted=dealer is not None) from None
        if monotonic() > deadline:
            raise _away(TimeoutError(), timeout)
        sleep(_FAR_PAUSE_S if is_far() else _PAUSE_S)


def _comes_back(error: OSError, until: float) -> bool:
    """Whether a daemon that did not let us in, or hung up, is about to answer. Where it is on another
    machine, that cannot be seen: it may be, until then."""
    if isinstance(error, BlockingIOError):
        # So many clients wait to be let in that the system takes no more.
        return True
    if not isinstance(error, (*_ABSENT, ConnectionError)):
        return False
    if is_far():
        return monotonic() + _FAR_PAUSE_S < until
    from imgq import lock

    return not lock.is_free()


def _away(error: OSError, timeout: float, is_greeted: bool = True) -> NoDaemon:
    """Why there is no answer, as a person is told."""
    if isinstance(error, TimeoutError):
        return TimedOut(
            f"the daemon did not answer within {timeout:g} s",
            "`imgq status` tells what it is doing, and `imgq logs` may tell why",
        )
    if isinstance(error, _ABSENT) and is_far():
        return NoDaemon(
            f"no daemon listens on {socket_address()}",
            "at that machine, `imgq doctor` tells whether one does, and where",
        )
    if isinstance(error, _ABSENT):
        return NoDaemon("no daemon is running", _how_to_have_one())
    if isinstance(error, _HUNG_UP) and not is_greeted and not is_far():
        return NoDaemon(
            f"what listens on {socket_address()} hangs up before it says a word",
            "`imgq logs` may tell why; where it is not imgq's, `fuser` of that path tells what it is",
        )
    if isinstance(error, ConnectionError):
        return NoDaemon(
            f"the daemon went away while it answered ({error})",
            "`imgq start` starts it again, `imgq logs` may tell why",
        )
    return cannot_ask(error)


def _how_to_have_one() -> str:
    from imgq import package

    if package.is_there():
        return "start one and watch a folder with `imgq start ~/Pictures`"
    return package.FOR_CLIENT_ALONE


def settle(timeout: float) -> None:
    """Returns when every change made before the call is in the index. Raises NotSettled."""
    # However short the wait, the daemon has a moment to say that it was too short.
    settled = ask(wire.Settle(timeout=timeout), max(timeout, 1.0))
    if not isinstance(settled, wire.Settled) or settled.settled:
        return
    if settled.waiting is not None:
        is_paused = settled.waiting.startswith("paused")
        raise NotSettled(
            f"not settled: {settled.pending} files are pending, and indexing waits: {settled.waiting}",
            f"`imgq {'resume` ends a pause' if is_paused else 'config show` tells what has it wait'}",
        )
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
    """Whether a daemon answers on the socket. Raises KeyRefused where it never will."""
    try:
        ask(wire.AskRoots(), timeout)
    except KeyRefused:
        raise
    except (NoDaemon, Refused):
        # One that is ending refuses.
        return False
    return True


def _require_ours(connected: socket) -> None:
    """Raises NoDaemon where a listener that does not greet is surely none of imgq's: a daemon holds its
    lock for as long as it listens, and a service manager that listens is about to start one."""
    from imgq import lock, paths
    from imgq.listener import listener, may_hand_over, name

    path = paths.places().socket
    process = listener(connected)
    if socket_address() != f"ipc://{path}" or may_hand_over(process) or not lock.is_free():
        return
    who = f"{name(process)}, process {process}".removeprefix(", ")
    raise NoDaemon(
        f"no daemon is running, and something else listens on {path} ({who})",
        f"end it, then `imgq start`; `fuser {path}` tells who has it",
    )


def _connected(address: str, deadline: float) -> Dealer:
    """Raises OSError, and UsageError or KeyRefused where keys are missing."""
    if address.startswith("ipc://"):
        return Dealer(address.removeprefix("ipc://"), deadline, _require_ours)
    if address.startswith(TCP):
        from imgq import remote

        return remote.connected(address, deadline)
    raise UsageError(
        f"{address} is no address this imgq can ask", "addresses begin with ipc:// or tcp://"
    )
