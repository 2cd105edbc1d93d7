"""The daemon's side of a decoder: one child process, one thread's to use, one job at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import ClassVar, TypeVar

from imgq.errors import CannotStart
from imgqd.channel import MOST_DESCRIPTORS, ChannelClosed
from imgqd.pictures import messages
from imgqd.pictures.child import Child
from imgqd.pictures.limits import Limits
from imgqd.pictures.messages import Configuration, Look, Message, Unseen
from imgqd.pictures.slab import make_slab
from imgqd.pictures.text import one_line
from imgqd.pictures.told import Nonsense
from imgqd.records import Failure, FailureKind, Metadata, Notes, PixelSpec

log = logging.getLogger(__name__)

_START_S = 60.0
_GRACE_S = 5.0
_SLOWEST_DISK = 10_000_000  # bytes a second
_LONGEST_REASON = 300
# So many pictures, and what one of them may have left behind in the child is gone.
MOST_PICTURES = 800
MOST_TOGETHER = MOST_DESCRIPTORS
Answer = TypeVar("Answer")


class DecoderLost(Exception):
    """The decoder is gone: close it and make another.

    failure: what to say of the picture it was busy with. at_work: False where it was gone before it
    got the picture, which then bears no blame: no attempt counts.
    """

    def __init__(self, kind: FailureKind, reason: str, at_work: bool = True) -> None:
        super().__init__(reason)
        self.failure = Failure(kind, one_line(reason, _LONGEST_REASON))
        self.at_work = at_work


class DecoderDied(DecoderLost):
    """It ended, hung up, or answered with nonsense."""


class DecoderHung(DecoderLost):
    """It did not answer in time, and was killed."""


class Decoder:
    """A decoder and the memory it writes into.

    pid: the child's process id. slab: a descriptor of slots * pixels.nbytes bytes of shared memory,
    slot after slot, each uint8 (height, width, 3) RGB; it stays until `close`, whatever the child
    does. missing: which of Linux's barriers around the child its kernel does not have.

    On Linux the child ends with the thread that made it: make a decoder in the thread that uses it.
    """

    PROGRAM: ClassVar[Sequence[str]] = ("-m", "imgqd.pictures.decoder")

    def __init__(self, pixels: PixelSpec, slots: int, limits: Limits | None = None) -> None:
        """Starts the child, and returns when it is ready. Raises CannotStart."""
        self._slots = slots
        self._pictures = 0
        self._limits = limits or Limits()
        try:
            self.slab = make_slab(slots * pixels.nbytes)
        except OSError as error:
            raise _cannot_start(str(error)) from error
        try:
            self._child = Child(self.PROGRAM, self.slab)
        except OSError as error:
            os.close(self.slab)
            raise _cannot_start(str(error)) from error
        self.pid = self._child.pid
        self._configure(Configuration(pixels, slots, self._limits))
        if self.missing:
            _warn_of(self.missing)

    def look(self, files: Sequence[Unseen]) -> list[Look | Failure]:
        """Whether each, of MOST_TOGETHER at most, is a candidate, by bytes or name, and its hash if so.

        Raises DecoderLost, which tells not at which of several.
        """
        most = self._limits.max_bytes
        seconds = self._limits.deadline_s + sum(min(f.size, most) for f in files) / _SLOWEST_DISK
        message = {"job": "look", "names": [file.name for file in files]}
        read = partial(messages.read_looks, count=len(files))
        try:
            return self._ask(message, [file.descriptor for file in files], read, seconds)
        except DecoderHung as error:
            # Nothing is decoded here.
            raise _unread(seconds) from error

    def decode(self, descriptor: int, slot: int) -> Metadata | Failure:
        """Puts the picture in an open regular file into a slot of the slab. Raises DecoderLost."""
        if not 0 <= slot < self._slots:
            raise IndexError(f"slot {slot} of {self._slots}")
        self._pictures += 1
        return self._ask({"job": "decode", "slot": slot}, [descriptor], messages.read_decoded)

    def thumbnail(self, descriptor: int, longest: int, form: str = "jpeg") -> bytes | Failure:
        """The picture in an open regular file as a JPEG or PPM, no side above `longest` (1 to 2048).

        Raises DecoderLost.
        """
        if not 0 < longest <= messages.LONGEST_THUMBNAIL:
            raise ValueError(f"a thumbnail of {longest} pixels")
        self._pictures += 1
        message = {"job": "thumbnail", "longest": longest, "form": form}
        return self._ask(message, [descriptor], lambda answer: messages.read_drawn(answer, form))

    def sidecar(self, descriptor: int) -> Notes | Failure | None:
        """What an open regular file says, if it is XMP. Raises DecoderLost."""
        self._pictures += 1
        return self._ask({"job": "sidecar"}, [descriptor], messages.read_noted)

    @property
    def is_worn(self) -> bool:
        """Whether another should take its place."""
        return self._pictures >= MOST_PICTURES

    def kill(self) -> None:
        """Ends the child at once, from any thread; whoever waits for it gets DecoderDied."""
        self._child.kill()

    def close(self) -> None:
        """Ends the child and gives the slab back. Once more does nothing."""
        if self.slab >= 0:
            self._child.close()
            os.close(self.slab)
            self.slab = -1

    def _configure(self, configuration: Configuration) -> None:
        try:
            self._child.channel.send(messages.configure(configuration))
            self.missing = messages.read_ready(self._child.answer(_START_S))
        except (ChannelClosed, Nonsense, TimeoutError) as error:
            silent = isinstance(error, TimeoutError)
            why = f"no answer within {_START_S:.0f} s" if silent else self._child.end()
            self.close()
            raise _cannot_start(why) from error

    def _ask(
        self,
        message: Message,
        descriptors: Sequence[int],
        read: Callable[[Message], Answer],
        seconds: float | None = None,
    ) -> Answer:
        if seconds is None:
            seconds = self._limits.deadline_s
        self._hand_over({**message, "alarm_s": seconds + _GRACE_S}, descriptors)
        try:
            return read(self._child.answer(seconds, self._limits.memory))
        except MemoryError as error:
            # Where the system keeps no process within its limit: macOS.
            self._child.kill()
            reason = f"its decoder took more than {self._limits.memory >> 20} MB of memory"
            raise DecoderDied("crashed", reason) from error
        except TimeoutError as error:
            waits = self._child.is_waiting()
            self._child.kill()
            raise _unread(seconds) if waits else _endless(seconds) from error
        except ChannelClosed as error:
            reason = f"its decoder crashed: {self._child.end()}"
            raise DecoderDied("crashed", reason) from error
        except Nonsense as error:
            self._child.kill()
            raise DecoderDied("crashed", f"its decoder answered with {error}") from error

    def _hand_over(self, message: Message, descriptors: Sequence[int]) -> None:
        try:
            self._child.channel.send(message, *descriptors)
        except ChannelClosed as error:
            how = self._child.end()
            raise DecoderDied("crashed", f"a decoder ended: {how}", at_work=False) from error


def _unread(seconds: float) -> DecoderHung:
    """It is the disk, or the network, that hangs."""
    return DecoderHung("unreadable", f"its bytes could not be read within {seconds:.0f} s")


def _endless(seconds: float) -> DecoderHung:
    return DecoderHung("timeout", f"decoding it took longer than {seconds:g} s")


@cache
def _warn_of(missing: tuple[str, ...]) -> None:
    """Once, and not at every decoder's start."""
    log.warning("decoders run without %s, which this kernel does not have", " and ".join(missing))


def _cannot_start(why: str) -> CannotStart:
    return CannotStart(f"A decoder of pictures did not start: {one_line(why, _LONGEST_REASON)}")
