"""`python fuse_disk.py SOURCE MOUNTPOINT`: a folder, shown by a file system that can stop answering.

As root it needs nothing but /dev/fuse: it speaks the kernel's protocol (linux/fuse.h, version 7.31), reads
only, and answers one request after the other. Stopped (SIGSTOP) it is a server that hangs, killed one that
is gone; who reads a file named PIT waits for ever. Nothing is cached: the kernel asks every time.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_HEADER = struct.Struct("<IIQQIIIHH")
_ANSWER = struct.Struct("<IiQ")
_READ = struct.Struct("<QQI")
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ_FILE = 1, 2, 3, 14, 15
_STATFS, _RELEASE, _INIT, _OPENDIR, _READDIR, _RELEASEDIR = 17, 18, 26, 27, 28, 29
_INTERRUPT, _BATCH_FORGET = 36, 42
_UNANSWERED = {_FORGET, _INTERRUPT, _BATCH_FORGET}
_MOST = 1 << 17
_DETACH = 2
PIT = "pit.jpg"


class _NeverMind(Exception):
    """The request is not answered."""


class Server:
    """Answers until it is unmounted. A node's number is that of its path in a list."""

    def __init__(self, source: bytes, device: int) -> None:
        self._device = device
        self._paths = [b"", source]
        self._answers: dict[int, Callable[[int, bytes], bytes]] = {
            _INIT: self._init,
            _LOOKUP: self._lookup,
            _GETATTR: self._getattr,
            _OPEN: self._open,
            _OPENDIR: self._open,
            _READ_FILE: self._read,
            _READDIR: self._list,
            _RELEASE: self._release,
            _RELEASEDIR: self._release,
            _STATFS: lambda *_: bytes(80),
        }

    def serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, _MOST + 4096)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                raise
            _, code, number, node, *_ = _HEADER.unpack_from(request)
            if code not in _UNANSWERED:
                self._answer(code, number, node, request[_HEADER.size :])

    def _answer(self, code: int, number: int, node: int, words: bytes) -> None:
        error, body = 0, b""
        try:
            if code not in self._answers:
                raise OSError(errno.ENOSYS, "not needed")
            body = self._answers[code](node, words)
        except _NeverMind:
            return
        except OSError as failed:
            error = -(failed.errno or errno.EIO)
        os.write(self._device, _ANSWER.pack(_ANSWER.size + len(body), error, number) + body)

    def _init(self, _node: int, _words: bytes) -> bytes:
        return struct.pack("<IIIIHHIIHHI28x", 7, 31, _MOST, 0, 8, 8, _MOST, 1, 0, 0, 0)

    def _lookup(self, node: int, words: bytes) -> bytes:
        path = os.path.join(self._paths[node], words.rstrip(b"\0"))
        status = os.lstat(path)
        if path not in self._paths:
            self._paths.append(path)
        found = self._paths.index(path)
        return struct.pack("<QQQQII", found, 0, 0, 0, 0, 0) + _attributes(found, status)

    def _getattr(self, node: int, _words: bytes) -> bytes:
        return bytes(16) + _attributes(node, os.lstat(self._paths[node]))

    def _open(self, node: int, _words: bytes) -> bytes:
        handle = os.open(self._paths[node], os.O_RDONLY)
        # Direct: what was read is not kept by the kernel.
        return struct.pack("<QII", handle, 1, 0)

    def _read(self, node: int, words: bytes) -> bytes:
        if self._paths[node].endswith(PIT.encode()):
            raise _NeverMind
        handle, offset, size = _READ.unpack_from(words)
        return os.pread(handle, size, offset)

    def _list(self, node: int, words: bytes) -> bytes:
        _, offset, size = _READ.unpack_from(words)
        names = sorted(os.listdir(self._paths[node]))[offset:]
        listing = b""
        for number, name in enumerate(names, offset + 1):
            entry = struct.pack("<QQII", number, number, len(name), 0) + name
            entry += bytes(-len(entry) % 8)
            if len(listing) + len(entry) > size:
                break
            listing += entry
        return listing

    def _release(self, _node: int, words: bytes) -> bytes:
        os.close(struct.unpack_from("<Q", words)[0])
        return b""


def _attributes(node: int, status: os.stat_result) -> bytes:
    times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
    return struct.pack(
        "<QQQQQQIIIIIIIIII",
        *(node, status.st_size, status.st_blocks),
        *(moment // 10**9 for moment in times),
        *(moment % 10**9 for moment in times),
        *(status.st_mode, status.st_nlink, status.st_uid, status.st_gid, 0, 4096, 0),
    )


def main(source: str, point: str) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode={stat.S_IFDIR:o},user_id={os.getuid()},group_id={os.getgid()}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"imgq-test", os.fsencode(point), b"fuse.test", 0, options.encode()):
        sys.exit(os.strerror(ctypes.get_errno()))
    Server(os.fsencode(source), device).serve()


class FuseDisk:
    """The test's side: `folder` shows `source` while the server answers."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.folder = folder
        self._server = subprocess.Popen([sys.executable, __file__, str(source), str(folder)])

    def is_mounted(self) -> bool:
        return self._server.poll() is None and os.path.ismount(self.folder)

    def hang(self) -> None:
        self._server.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._server.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        self._server.send_signal(signal.SIGCONT)

    def close(self) -> None:
        # Whoever waits for it gets an error, and nothing is left of it.
        self._server.kill()
        self._server.wait()
        ctypes.CDLL(None).umount2(os.fsencode(self.folder), _DETACH)


@contextmanager
def fuse_disk(source: Path, folder: Path) -> Iterator[FuseDisk | None]:
    """Mounted; None where that cannot be."""
    for each in (source, folder):
        each.mkdir(parents=True, exist_ok=True)
    disk = FuseDisk(source, folder)
    try:
        deadline = time.monotonic() + 20
        while not disk.is_mounted() and disk._server.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield disk if disk.is_mounted() else None
    finally:
        disk.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
