"""The daemon's side of a decoder: one child process, one thread's to use, one job at a time."""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, ClassVar, TypeVar

from imgq.errors import CannotStart
from imgqd.channel import MOST_DESCRIPTORS, ChannelClosed, NoMessage
from imgqd.pictures import messages
from imgqd.pictures.child import Child
from imgqd.pictures.footprint import footprint
from imgqd.pictures.limits import Limits
from imgqd.pictures.messages import Configuration, Look, Message, Undecoded, Unseen
from imgqd.pictures.pace import Pace
from imgqd.pictures.slab import make_slab
from imgqd.pictures.text import LONGEST_REASON, one_line
from imgqd.pictures.told import Nonsense
from imgqd.records import Failure, FailureKind, Metadata, Notes, PixelSpec

log = logging.getLogger(__name__)

_START_S = 60.0
_GRACE_S = 5.0
_SLOWEST_DISK = 10_000_000  # bytes a second
# So many pictures, and what one of them may have left behind in the child is gone.
MOST_PICTURES = 800
# So many small files are handed over at a time.
MOST_TOGETHER = MOST_DESCRIPTORS
Answer = TypeVar("Answer")


class DecoderLost(Exception):
    """The decoder is gone: close it and make another.

    failure: what to say of the picture it was busy with, which is the first that it has not answered for.
    done: what came of those before. at_work: False where it was gone before it got any, which then bear
    no blame: no attempt counts.
    """

    def __init__(
        self, kind: FailureKind, reason: str, at_work: bool = True, done: Sequence[Any] = ()
    ) -> None:
        super().__init__(reason)
        self.failure = Failure(kind, one_line(reason, LONGEST_REASON))
        self.at_work = at_work
        self.done = done


class DecoderDied(DecoderLost):
    """It ended, hung up, or answered with nonsense."""


class DecoderHung(DecoderLost):
    """It did not answer in time, and was killed."""


@dataclass(frozen=True, slots=True)
class Part:
    """Of a job: an open regular file, and what is told of it."""

    descriptor: int
    told: Message


class Decoder:
    """A decoder and the memory it writes into.

    pid: the child's process id. slab: a descriptor of shared memory, slot after slot, each pixels.nbytes
    bytes, uint8 (height, width, 3) RGB; it stays until `close`, whatever the child does. missing: which
    of Linux's barriers around the child its kernel does not have.

    On Linux the child ends with the thread that made it: make a decoder in the thread that uses it.
    """

    PROGRAM: ClassVar[Sequence[str]] = ("-m", "imgqd.pictures.decoder")

    def __init__(self, pixels: PixelSpec, slots: int, limits: Limits | None = None) -> None:
        """Starts the child, and returns when it is ready. Raises CannotStart."""
        self._slots = slots
        self._pictures = 0
        self._limits = limits or Limits()
        configuration = Configuration(pixels, slots, self._limits)
        try:
            self.slab = make_slab(configuration.slab_bytes)
        except OSError as error:
            raise _cannot_start(str(error)) from error
        try:
            self._child = Child(self.PROGRAM, self.slab)
        except OSError as error:
            os.close(self.slab)
            raise _cannot_start(str(error)) from error
        self.pid = self._child.pid
        self._configure(configuration)
        if self.missing:
            _warn_of(self.missing)

    def look(self, files: Sequence[Unseen]) -> list[Look | Failure]:
        """The hash of each, of MOST_TOGETHER at most, that is a picture by its bytes or its name.

        Raises DecoderLost.
        """
        largest = max(min(file.size, self._limits.max_bytes) for file in files)
        seconds = self._limits.deadline_s + largest / _SLOWEST_DISK
        parts = [Part(file.descriptor, {"name": file.name}) for file in files]
        try:
            return self._ask("look", parts, messages.read_look, seconds)
        except DecoderHung as error:
            # Nothing is decoded here.
            raise _unread(seconds, error.done) from error

    def decode(self, files: Sequence[Undecoded]) -> list[Metadata | Failure]:
        """Puts the picture in each, of MOST_TOGETHER at most, into its slot of the slab.

        Raises DecoderLost.
        """
        for file in files:
            if not 0 <= file.slot < self._slots:
                raise IndexError(f"slot {file.slot} of {self._slots}")
        self._pictures += len(files)
        parts = [Part(file.descriptor, {"slot": file.slot}) for file in files]
        return self._ask("decode", parts, messages.read_decoded)

    def thumbnail(self, descriptor: int, longest: int, form: str = "jpeg") -> bytes | Failure:
        """The picture in an open regular file as a JPEG or PPM, no side above `longest` (1 to 2048).

        Raises DecoderLost.
        """
        if not 0 < longest <= messages.LONGEST_THUMBNAIL:
            raise ValueError(f"a thumbnail of {longest} pixels")
        self._pictures += 1
        part = Part(descriptor, {"longest": longest, "form": form})
        (drawn,) = self._ask("thumbnail", [part], partial(messages.read_drawn, form=form))
        return drawn

    def sidecar(self, descriptor: int) -> Notes | Failure | None:
        """What an open regular file says, if it is XMP. Raises DecoderLost."""
        self._pictures += 1
        (said,) = self._ask("sidecar", [Part(descriptor, {})], messages.read_noted)
        return said

    @property
    def is_new(self) -> bool:
        """Whether no picture can have taken it over."""
        return self._pictures == 0

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
        job: str,
        parts: Sequence[Part],
        read: Callable[[Message], Answer],
        seconds: float | None = None,
    ) -> list[Answer]:
        """seconds: for each part."""
        if seconds is None:
            seconds = self._limits.deadline_s
        self._hand_over(job, parts, seconds)
        done: list[Answer] = []

        def left() -> int:
            """How many are not answered by now."""
            while len(done) < len(parts) and self._child.channel.news():
                done.append(read(self._child.answer(seconds)))
            return len(parts) - len(done)

        try:
            watch = _Watch(self.pid, self._limits.memory, seconds, left)
            self._child.await_ring(watch, is_one=len(parts) == 1)
        except (MemoryError, TimeoutError, ChannelClosed, Nonsense) as error:
            raise self._lost(error, seconds, done) from error
        return done

    def _lost(self, error: Exception, seconds: float, done: Sequence[Any]) -> DecoderLost:
        """Ends the child, and tells why it had to end."""
        if isinstance(error, TimeoutError):
            waits = self._child.is_waiting()
            self._child.kill()
            return _unread(seconds, done) if waits else _endless(seconds, done)
        if isinstance(error, ChannelClosed) and not isinstance(error, NoMessage):
            return DecoderDied("crashed", f"its decoder crashed: {self._child.end()}", done=done)
        self._child.kill()
        if isinstance(error, MemoryError):
            # Where the system keeps no process within its limit: macOS.
            reason = f"its decoder took more than {self._limits.memory >> 20} MB of memory"
            return DecoderDied("crashed", reason, done=done)
        return DecoderDied("crashed", f"its decoder answered with {error}", done=done)

    def _hand_over(self, job: str, parts: Sequence[Part], seconds: float) -> None:
        told = [part.told for part in parts]
        message = {"job": job, "parts": told, "alarm_s": seconds + _GRACE_S}
        if self._child.channel.news() == select.POLLIN:
            # It would be taken for what it says of these.
            self._child.kill()
            raise DecoderDied("crashed", "a decoder spoke unasked", at_work=False)
        try:
            self._child.channel.send(message, *(part.descriptor for part in parts))
        except ChannelClosed as error:
            how = self._child.end()
            raise DecoderDied("crashed", f"a decoder ended: {how}", at_work=False) from error


class _Watch:
    """What is looked at while answers are waited for; says whether there are all. Raises MemoryError, and
    TimeoutError where one part takes longer than it may."""

    def __init__(self, pid: int, memory: int, seconds: float, left: Callable[[], int]) -> None:
        self._pid, self._memory, self._seconds = pid, memory, seconds
        self._left = left
        self._before: int | None = None
        self._pace = Pace(pid)
        self._taken = 0.0

    def __call__(self, waited: float) -> bool:
        """waited: seconds since the last time."""
        left = self._left()
        if left == 0:
            return True
        self._taken += self._pace.taken(waited)
        if left != self._before:
            self._before, self._taken = left, 0.0
        if footprint(self._pid) > self._memory:
            raise MemoryError
        if self._taken > self._seconds:
            raise TimeoutError
        return False


def _unread(seconds: float, done: Sequence[Any]) -> DecoderHung:
    """It is the disk, or the network, that hangs."""
    reason = f"its bytes could not be read within {seconds:.0f} s"
    return DecoderHung("unreadable", reason, done=done)


def _endless(seconds: float, done: Sequence[Any]) -> DecoderHung:
    return DecoderHung("timeout", f"decoding it took longer than {seconds:g} s", done=done)


@cache
def _warn_of(missing: tuple[str, ...]) -> None:
    """Once, and not at every decoder's start."""
    log.warning("decoders run without %s, which this kernel does not have", " and ".join(missing))


def _cannot_start(why: str) -> CannotStart:
    return CannotStart(f"a decoder of pictures did not start: {one_line(why, LONGEST_REASON)}")
