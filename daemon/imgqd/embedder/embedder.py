"""The daemon's handle on the embedder's process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from imgqd.channel import Channel, ChannelClosed
from imgqd.embedder.tower import Configuration, Ready

FAKE = "IMGQ_TEST_EMBEDDER"
_MODULE = "imgqd.embedder.process"
# A thread that spins while it waits for one that got no core ends all speed beside busy decoders:
# two threads then did 13 pictures a second in place of 740.
_ENVIRONMENT = {"GOMP_SPINCOUNT": "0", "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
# The daemon pins its own threads for the sake of its search.
_PINS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_LAST_LINES = 5
TIMEOUT_S = 600.0
# A process that has hung up is gone so much later, on a machine that is busy.
_END_S = 4.0

logger = logging.getLogger(__name__)


class EmbedderError(Exception):
    """The embedder did not do what it was asked for; the words are for a person.

    ├── EmbedderFailed   it says why, and lives on (but for a failed load)
    └── EmbedderDied     its process is gone
    """


class EmbedderFailed(EmbedderError):
    pass


class EmbedderDied(EmbedderError):
    pass


class Embedder:
    """One process with one model's image tower. For one thread, but for `close`. batch: pictures a forward
    pass, now; None before `ready`.

    Make it in a thread that lives as long as it: the process is killed when that thread ends.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        timeout: float = TIMEOUT_S,
        command: Sequence[str] | None = None,
    ) -> None:
        """timeout: seconds for the load, or for one `embed`, after which the process is taken for hung.
        command: what to start in place of the embedder's own process."""
        self._dim = configuration.card.dim
        self._timeout = timeout
        ours, theirs = Channel.pair()
        self._channel = Channel(ours)
        with theirs:
            self._process = _started(command, theirs.fileno())
        self._words: deque[str] = deque(maxlen=_LAST_LINES)
        self._listener = threading.Thread(target=self._listen, name="embedder-stderr", daemon=True)
        self._begin_to_listen()
        self.batch: int | None = None
        self._send({"configure": configuration.as_map()})

    def _begin_to_listen(self) -> None:
        try:
            self._listener.start()
        except RuntimeError as error:
            self._process.kill()
            self._process.communicate()
            self._channel.close()
            raise EmbedderFailed(f"the system has no thread for it: {error}") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready(self) -> Ready:
        """Waits for the tower, once. Raises EmbedderFailed where it cannot be had, EmbedderDied."""
        ready = Ready(**self._answer()["ready"])
        self.batch = ready.batch
        return ready

    def attach(self, key: int, slab: int, slots: int) -> None:
        """Shows it a decoder's shared memory: a descriptor, which stays ours."""
        self._send({"do": "attach", "key": key, "slots": slots}, slab)
        self._answer()

    def detach(self, key: int) -> None:
        """Lets go of a decoder's shared memory."""
        self._send({"do": "detach", "key": key})
        self._answer()

    def embed(self, slots: Sequence[tuple[int, int]]) -> list[np.ndarray | None]:
        """The vectors of the pictures in (decoder's key, slot): float32 (dim,), unit norm.

        None for a picture whose vector is none (not finite, zero). A few thousand at most: the
        answer is one message. Raises EmbedderFailed, EmbedderDied.
        """
        self._send({"do": "embed", "slots": [list(slot) for slot in slots]})
        answer = self._answer()
        self._note_batch(answer["batch"])
        vectors = np.frombuffer(answer["vectors"], "<f4").reshape(len(slots), self._dim)
        bad = set(answer["bad"])
        return [None if index in bad else vector for index, vector in enumerate(vectors)]

    def close(self) -> None:
        """Ends the process, amid a batch too, since it holds nothing. It is gone on return."""
        self._process.kill()
        self._process.wait()
        self._channel.close()
        self._listener.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, message: dict[str, Any], *descriptors: int) -> None:
        try:
            self._channel.send(message, *descriptors)
        except ChannelClosed as error:
            raise self._died(str(error)) from error

    def _answer(self) -> dict[str, Any]:
        try:
            answer, _ = self._channel.receive(self._timeout)
        except TimeoutError as error:
            raise self._died(f"it did not answer for {self._timeout:g} s") from error
        except ChannelClosed as error:
            raise self._died(str(error)) from error
        if "failed" in answer:
            raise EmbedderFailed(answer["failed"])
        return answer

    def _note_batch(self, batch: int) -> None:
        if self.batch is not None and batch < self.batch:
            logger.warning("out of memory: %d pictures at a time, no longer %d", batch, self.batch)
        self.batch = batch

    def _died(self, reason: str) -> EmbedderDied:
        """What is known of the end of the process, which is ended where it has not."""
        try:
            code: int | None = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            code = None
        self.close()
        how = reason if code is None else _ending(code)
        return EmbedderDied("; ".join([f"the embedder is gone: {how}", *self._words]))

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._words.append(line.rstrip())
                logger.info("embedder: %s", line.rstrip())


def _started(command: Sequence[str] | None, descriptor: int) -> subprocess.Popen[str]:
    # -P, since a folder one happens to be in is no place to import from.
    usual = (sys.executable, "-P", "-m", os.environ.get(FAKE, _MODULE))
    environment = {name: value for name, value in os.environ.items() if name not in _PINS}
    return subprocess.Popen(
        [*(command or usual), str(descriptor)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        pass_fds=(descriptor,),
        env=environment | _ENVIRONMENT,
    )


def _ending(code: int) -> str:
    if code >= 0:
        return f"it ended with status {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"
