"""A child process on one end of a channel: started, heard against a deadline, and buried."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import imgqd
from imgqd.channel import LOOK_S, Channel
from imgqd.patience import Patience

_LAST_WORDS = 4096
_END_S = 2.0
_MOST_RINGS = 64
# Where an interpreter finds its libraries; a picture learns no more.
_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME")
# Threads of NumPy's, which comes with camera raw, would begin before Landlock, and escape it.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# glibc's allocator: each arena takes 64 MB of the address space that is limited, and what a large
# picture took is given back when it is done (unset, the bounds follow the largest picture so far).
_ALLOCATOR = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
}
# Killed, but held up by a disk; when that lets go of them, they are gone.
_held_up: list[subprocess.Popen[bytes]] = []


class Child:
    """For one thread at a time, but for `kill`. `pid` is the process id."""

    def __init__(self, program: Sequence[str], *descriptors: int) -> None:
        """Starts `program`, arguments of this interpreter, which gets as its own arguments the
        descriptors of its end of the channel and of a pipe for `await_ring`, then `descriptors`, then
        this process's id.

        Raises OSError.
        """
        _held_up[:] = [process for process in _held_up if process.poll() is None]
        self._last_words = b""
        with ExitStack() as ours, ExitStack() as theirs:
            near, far = Channel.pair()
            self.channel = Channel(near)
            ours.callback(self.channel.close)
            theirs.callback(far.close)
            self._words, words = _piped(ours, theirs)
            self._bell, rope = _piped(ours, theirs)
            # A child that prints without end loses its words, instead of its time or our memory.
            os.set_blocking(words, False)
            inherited = (far.fileno(), rope, *descriptors)
            self._process = subprocess.Popen(
                [sys.executable, "-P", *program, *map(str, inherited), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
                pass_fds=inherited,
                env=_environment(),
                cwd="/",
                # No signal of a terminal's; a session of its own would get as much of the cores as all
                # that the daemon does.
                process_group=0,
            )
            ours.pop_all()
        self.pid = self._process.pid

    def answer(self, seconds: float, watch: Callable[[], None] | None = None) -> dict[str, Any]:
        """The next message. Raises ChannelClosed, TimeoutError after `seconds` of silence, and what
        `watch` raises, which is called now and then meanwhile."""
        message, _ = self.channel.receive(seconds, watch)
        self._listen()
        return message

    def await_ring(self, watch: Callable[[float], bool], is_one: bool) -> None:
        """Returns when `watch` says so, which is called when the child rings, and now and then, with the
        seconds since. A ring may come late, or for nothing. To be woken by each of several messages takes
        longer than to read them; is_one: whether there is only one."""
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if is_one:
            # Too long a message is not all sent before it is read, and nothing rings until then.
            poll.register(self.channel, select.POLLIN)
        before = time.monotonic()
        while True:
            for descriptor, _ in poll.poll(LOOK_S * 1000):
                if descriptor == self._bell and not self._is_bell_there():
                    poll.unregister(descriptor)
            now = time.monotonic()
            # The clock goes on while this process is stopped.
            if watch(min(now - before, LOOK_S)):
                return
            before = now

    def _is_bell_there(self) -> bool:
        """Takes the rings."""
        try:
            return bool(os.read(self._bell, _MOST_RINGS))
        except BlockingIOError:
            return True

    def is_waiting(self) -> bool:
        """Whether none of its threads works or is stopped; False where the system does not tell."""
        try:
            states = [
                (thread / "stat").read_bytes().rpartition(b") ")[2][:1]
                for thread in Path(f"/proc/{self.pid}/task").iterdir()
            ]
        except OSError:
            return False
        return all(state in b"SD" for state in states)

    def end(self) -> str:
        """Ends the process if it has not ended by itself, and says how it ended."""
        if not Patience(_END_S).wait(self._ends):
            self.kill()
            return "it hung up"
        self._listen()
        return self._how(self._process.returncode)

    def kill(self) -> None:
        """Ends the process at once; from any thread. It stays for as long as a disk holds it that does
        not answer."""
        self._process.kill()
        if self._process not in _held_up and not self._ends(_END_S):
            _held_up.append(self._process)

    def close(self) -> None:
        self.kill()
        self.channel.close()
        if self._words >= 0:
            os.close(self._words)
            os.close(self._bell)
            self._words = -1

    def _ends(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _how(self, code: int) -> str:
        if code == -signal.SIGKILL:
            return "it was killed, perhaps for want of memory"
        if code < 0:
            return f"{signal.strsignal(-code) or 'a signal'} (signal {-code})"
        lines = self._last_words.decode(errors="replace").strip().splitlines()
        return f"exit code {code}" + (f", {lines[-1]}" if lines else "")

    def _listen(self) -> None:
        try:
            words = os.read(self._words, 1 << 16)
        except BlockingIOError:
            return
        self._last_words = (self._last_words + words)[-_LAST_WORDS:]


def _piped(ours: ExitStack, theirs: ExitStack) -> tuple[int, int]:
    """Where we read, without waiting, and where a child writes."""
    reading, writing = os.pipe()
    ours.callback(os.close, reading)
    theirs.callback(os.close, writing)
    os.set_blocking(reading, False)
    return reading, writing


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return {
        **kept,
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(Path(imgqd.__file__).parents[1]),
        **_ALLOCATOR,
        **_ONE_THREAD,
    }
