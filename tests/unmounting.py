"""`python unmounting.py FOLDER`, in a mount namespace: does a watcher tell of a disk that comes and goes?

Exits 77 where nothing can be mounted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from imgqd.library.dirty import Dirty
from imgqd.library.inotify import InotifyWatch

PATIENCE_S = 20.0


def main(folder: str) -> None:
    point = os.path.join(folder, "disk")
    os.mkdir(point)
    if subprocess.run(["mount", "-t", "tmpfs", "none", point], check=False).returncode:
        sys.exit(77)
    dirty = Dirty()
    watch = InotifyWatch(dirty, os.fsencode(os.path.join(folder, "own")))
    watch.start()
    path = os.fsencode(point)
    assert not watch.add(path, path), "the first look is new"
    assert watch.add(path, path), "the second is not"
    assert told(dirty, path, lambda: subprocess.run(["umount", point], check=True)), (
        "of the unmount"
    )
    assert not watch.add(path, path), "the empty mount point is another folder"
    subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)
    assert not watch.add(path, path), "and so is the disk that came back"
    with open(os.path.join(point, "red.jpg"), "w") as file:
        assert told(dirty, path, lambda: file.write("1")), "of a file on it"
    watch.stop()


def told(dirty: Dirty, path: bytes, action: Callable[[], object]) -> bool:
    action()
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if path in dirty.take(0.1).folders:
            return True
    return False


if __name__ == "__main__":
    main(sys.argv[1])
