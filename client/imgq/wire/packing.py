"""Messages to bytes and back.

A request is one frame, the msgpack array [PROTOCOL, number, kind, fields]; each of its replies is one
frame too, [PROTOCOL, number, more, kind, fields], where `more` says that others follow. The first two
places never change, so that any two versions can tell each other that they differ.
"""

from __future__ import annotations

from imgq import pack
from imgq.errors import Failure, ProtocolMismatch
from imgq.record import BadField
from imgq.wire.searches import HITS_A_REPLY, ROWS_A_REPLY, Fault, Hits, Reply, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROTOCOL = 1
MOST_REQUEST = 65 << 20
MOST_REPLY = 16 << 20

# More than any message has: a map for each row and two for each hit; the message, its rows, its folders.
MOST_MAPS = ROWS_A_REPLY + 2 * HITS_A_REPLY + 100
MOST_LISTS = 64
# Up to so many bytes a reply is read without msgpack, which takes longer to come than this to be read.
_SMALL = 1 << 16


class BadMessage(Failure):
    """A frame is no message of this protocol."""

    exit_code = 2


# All that a search is answered with.
_ANSWERS: dict[str, type[Reply]] = {"Hits": Hits, "Fault": Fault}


def pack_request(request: Request, number: int) -> bytes:
    return pack.pack([PROTOCOL, number, type(request).__name__, request.plain()])


def unpack_request(frame: bytes) -> tuple[int, Request]:
    """The request and its number. Raises ProtocolMismatch or BadMessage."""
    from imgq.wire.every import REQUESTS

    _, number, kind, fields = _unpacked(_array(frame, MOST_REQUEST), 4)
    return number, _made(REQUESTS, kind, fields)


def pack_reply(reply: Reply, number: int, more: bool = False) -> bytes:
    import msgpack

    message = [PROTOCOL, number, more, type(reply).__name__, reply.plain()]
    # A sentence may name a file whose name is no text: it must not keep an answer from leaving.
    packed: bytes = msgpack.packb(message, unicode_errors="backslashreplace")
    return packed


def unpack_reply(frame: bytes) -> tuple[int, bool, Reply]:
    """The number of the request, whether more replies follow, and the reply itself."""
    message = _small(frame) if len(frame) <= _SMALL else _array(frame, MOST_REPLY)
    _, number, more, kind, fields = _unpacked(message, 5)
    return number, bool(more), _made(_replies(kind), kind, fields)


def _replies(kind: Any) -> dict[str, type[Reply]]:
    """Those that a search may hear, or all where this is another."""
    if kind in tuple(_ANSWERS):
        return _ANSWERS
    from imgq.wire.every import REPLIES

    return REPLIES


def request_number(frame: bytes) -> int:
    """The number of a request that may be of another protocol; 0 where there is none to be read."""
    try:
        number = _array(frame, MOST_REQUEST)[1]
    except BadMessage:
        return 0
    return number if _is_number(number) else 0


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 32


def _unpacked(message: list[Any], places: int) -> list[Any]:
    if message[0] != PROTOCOL:
        raise ProtocolMismatch(
            f"the message is of protocol {message[0]!s:.20}, this imgq speaks {PROTOCOL}",
            "client and daemon are of different versions: `imgq restart` after an update",
        )
    if len(message) != places or not _is_number(message[1]):
        raise BadMessage("the message is not of imgq's form")
    return message


def _small(frame: bytes) -> list[Any]:
    try:
        message = pack.unpack(frame)
    except ValueError as error:
        raise BadMessage(f"the message cannot be read: {error}") from None
    return _formed(message)


def _array(frame: bytes, most: int) -> list[Any]:
    """An honest megabyte of empty maps would become 64 MB: every size is bounded before it is made."""
    if len(frame) > most:
        raise BadMessage(f"the message has {len(frame)} bytes, {most} is the most")
    import msgpack

    try:
        message = msgpack.unpackb(
            frame,
            max_map_len=64,
            max_array_len=4096,
            max_ext_len=0,
            strict_map_key=True,
            object_hook=_at_most(MOST_MAPS, "maps"),
            list_hook=_at_most(MOST_LISTS, "lists"),
        )
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise BadMessage(
            f"the message cannot be read: {str(error) or type(error).__name__}"
        ) from None
    return _formed(message)


def _formed(message: Any) -> list[Any]:
    if not isinstance(message, list) or len(message) < 2:
        raise BadMessage("the message is not of imgq's form")
    return message


def _at_most(most: int, what: str) -> Any:
    """A hook of msgpack's that refuses a message of too many small parts, while it is being read."""
    left = most

    def count(part: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"it has more than {most} {what}")
        return part

    return count


def _made(kinds: dict[str, type[Any]], kind: Any, fields: Any) -> Any:
    if not isinstance(kind, str) or kind not in kinds or not isinstance(fields, dict):
        raise BadMessage(f"there is no message {str(kind)[:40]!r}")
    try:
        return kinds[kind].from_plain(fields)
    except BadField as error:
        raise BadMessage(str(error)) from None
