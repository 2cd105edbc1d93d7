"""Planted in a daemon: a picture named …poison.jpg kills its decoder; each time, a file "tried" beside
IMGQ_HOME gets a line."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from fake_embedder import FakeTexts
from imgqd.pictures.handle import Decoder
from imgqd.pictures.messages import Undecoded
from imgqd.records import Failure, Metadata
from one_file import pretend_at

__all__ = ["FakeTexts"]

_decode = Decoder.decode


def _dying(self: Decoder, files: Sequence[Undecoded]) -> list[Metadata | Failure]:
    names = [os.readlink(f"/proc/self/fd/{file.descriptor}") for file in files]
    poison = [number for number, name in enumerate(names) if name.endswith("poison.jpg")]
    if poison:
        with open(Path(os.environ["IMGQ_HOME"]).with_name("tried"), "a") as file:
            file.write("tried\n")
        os.kill(self.pid, signal.SIGSTOP)
        pretend_at(self, poison[0])
        # It has the picture by then.
        threading.Timer(0.05, os.kill, (self.pid, signal.SIGKILL)).start()
    return _decode(self, files)


Decoder.decode = _dying  # type: ignore[method-assign]
