"""A decoder that a picture has taken over, and all that it tries then.

    python taken_over.py tell WITHOUT '{"attempts": […], "pictures": […]}'

starts a decoder with all its barriers but those that WITHOUT names ("landlock", "seccomp", both, or "-"),
and tells in JSON what became of the attempts, and then of the pictures.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import resource
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imgqd.pictures import decoder, landlock, seccomp
from imgqd.pictures.decode import decode
from imgqd.pictures.handle import Decoder
from imgqd.pictures.messages import Undecoded
from imgqd.records import Failure, Metadata, PixelSpec

SPEC = PixelSpec(32, 32)
SUCCEEDED = "succeeded"
# What the name of an attempt begins with, for no picture does.
MARK = b"attempt: "
X86 = platform.machine() == "x86_64"
libc = ctypes.CDLL(None, use_errno=True)


def call(x86_64: int, arm64: int, *arguments: int) -> int:
    """A system call by its number."""
    number = x86_64 if X86 else arm64
    result: int = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def written(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
    os.unlink(path)


def made(path: str) -> None:
    os.mkdir(path)
    os.rmdir(path)


def forked(child: int) -> None:
    if child == 0:
        os._exit(0)


def connected() -> None:
    with socket.socket() as end:
        end.connect(("127.0.0.1", 9))


def bound() -> None:
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))


def threaded() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def filled(size: int) -> None:
    try:
        bytearray(size)
    except MemoryError:
        raise OSError(errno.ENOMEM, "") from None


# Each is given the picture's descriptor. By Landlock:
FILES: dict[str, Callable[[int], object]] = {
    "read a file": lambda _: os.open("/etc/passwd", os.O_RDONLY),
    "write a file": lambda _: written("/tmp/imgq-taken-over"),
    "list a folder": lambda _: os.listdir("/"),
    "make a folder": lambda _: made("/tmp/imgq-taken-over-folder"),
    "run a program": lambda _: os.execv("/bin/true", ["true"]),
}
PORTS: dict[str, Callable[[int], object]] = {
    "connect by TCP": lambda _: connected(),
    "listen by TCP": lambda _: bound(),
}
PROCESSES: dict[str, Callable[[int], object]] = {
    "ask after the daemon": lambda _: os.kill(os.getppid(), 0),
    "kill the daemon": lambda _: os.kill(os.getppid(), signal.SIGKILL),
}
# By seccomp alone:
ALL_ELSE: dict[str, Callable[[int], object]] = {
    "look at a file": lambda _: os.stat("/etc/passwd"),
    "follow a link": lambda _: os.readlink("/proc/self/exe"),
    "change the picture's mode": lambda picture: os.fchmod(picture, 0o666),
    "change the picture's times": lambda picture: os.utime(picture),
    "cut the picture short": lambda picture: os.ftruncate(picture, 0),
    "lock the picture": lambda picture: fcntl.flock(picture, fcntl.LOCK_EX),
    "have the daemon signaled": lambda picture: fcntl.fcntl(picture, fcntl.F_SETOWN, os.getppid()),
    "a file in memory": lambda _: os.memfd_create("program"),
    "a pipe": lambda _: os.pipe(),
    "a Unix socket": lambda _: socket.socket(socket.AF_UNIX),
    "an internet socket": lambda _: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "a netlink socket": lambda _: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "a pair of sockets": lambda _: socket.socketpair(),
    "fork": lambda _: forked(os.fork()),
    "fork by clone": lambda _: forked(call(56, 220, signal.SIGCHLD, 0, 0, 0, 0)),
    "fork by clone3": lambda _: call(435, 435, 0, 0),
    "spawn": lambda _: os.posix_spawn("/bin/true", ["true"], {}),
    "trace the daemon": lambda _: call(101, 117, 0x4206, os.getppid(), 0, 0),
    "be traced": lambda _: call(101, 117, 0, 0, 0, 0),
    "read the daemon's memory": lambda _: call(310, 270, os.getppid(), 0, 0, 0, 0, 0),
    "signal a thread": lambda _: call(234, 131, os.getppid(), os.getppid(), 0),
    "queue a signal": lambda _: call(129, 138, os.getppid(), 0, 0),
    "hold the daemon": lambda _: os.pidfd_open(os.getppid()),
    "slow the daemon down": lambda _: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19),
    "limit the daemon": lambda _: resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0)),
    "a user's namespace": lambda _: call(272, 97, 0x1000_0000),
    "a ring of calls": lambda _: call(425, 425, 1, 0),
    "a program in the kernel": lambda _: call(321, 280, 0, 0, 0),
    "a key": lambda _: call(250, 219, 0, -3, 1),
    "memory of another process": lambda _: call(438, 438, -1, 0, 0),
    "new code": lambda _: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "other code": lambda _: call(10, 226, 0, 4096, mmap.PROT_READ | mmap.PROT_EXEC),
    "control a device": lambda _: fcntl.ioctl(0, 0x5413, bytes(8)),
    "settings of its own": lambda _: call(157, 167, 4, 1, 0, 0, 0),
}
LIMITS: dict[str, Callable[[int], object]] = {"all memory": lambda _: filled(1 << 30)}
# These would be the end of it, if nothing kept them from it.
LETHAL = {"kill the daemon", "run a program", "be traced"}
# What decoders do themselves, some of them.
ALLOWED: dict[str, Callable[[int], object]] = {
    "a thread": lambda _: threaded(),
    "some memory": lambda _: filled(100 << 20),
}
FORBIDDEN = FILES | PORTS | PROCESSES | ALL_ELSE
ATTEMPTS = FORBIDDEN | LIMITS | ALLOWED


def tell(without: str, attempts: list[str], pictures: list[str]) -> dict[str, Any]:
    class TakenOver(Decoder):
        PROGRAM = (__file__, "decoder", without)

    taken_over = TakenOver(SPEC, 1)
    told: dict[str, Any] = {"missing": taken_over.missing}
    told["attempts"] = {name: _outcome(taken_over, name) for name in attempts}
    told["pictures"] = [_decoded(taken_over, Path(path)) for path in pictures]
    taken_over.close()
    return told


def _outcome(decoder: Decoder, name: str) -> str:
    with tempfile.TemporaryFile() as file:
        file.write(MARK + name.encode())
        file.flush()
        (told,) = decoder.decode([Undecoded(file.fileno(), 0)])
    assert isinstance(told, Failure)
    return told.reason


def _decoded(decoder: Decoder, path: Path) -> str:
    with path.open("rb") as file:
        (told,) = decoder.decode([Undecoded(file.fileno(), 0)])
    return told.format if isinstance(told, Metadata) else told.reason


def _taken_over(file: Any, *arguments: Any) -> Any:
    """In place of decoding a picture."""
    file.seek(0)
    said = file.read(100)
    if not said.startswith(MARK):
        return decode(file, *arguments)
    try:
        ATTEMPTS[said.removeprefix(MARK).decode()](file.raw._descriptor)
    except OSError as error:
        return Failure("damaged", errno.errorcode[error.errno or 0])
    return Failure("damaged", SUCCEEDED)


def _absent() -> None:
    raise OSError(errno.ENOSYS, "left out")


if __name__ == "__main__":
    role, without, *arguments = sys.argv[1:]
    if role == "decoder":
        if "landlock" in without:
            landlock.shut = _absent
        if "seccomp" in without:
            seccomp.shut = _absent
        decoder.decode = _taken_over
        decoder.main(arguments)
    else:
        json.dump(tell(without, **json.loads(arguments[0])), sys.stdout)
