"""`python -m imgqd.embedder.process DESCRIPTOR`: the child that holds the image tower.

It ends when the daemon closes the channel, or dies.
"""

from __future__ import annotations

import ctypes
import signal
import sys

from imgqd.channel import Channel
from imgqd.embedder.loop import serve
from imgqd.embedder.tower import Configuration, OpenTower, Tower

_PR_SET_PDEATHSIG = 1


def main(open_tower: OpenTower) -> None:
    """The whole of the process, for any tower."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_the_daemon()
    serve(Channel.inherited(int(sys.argv[1])), open_tower)


def _die_with_the_daemon() -> None:
    """In the middle of a batch too, where the closed channel would be noticed late."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _open(configuration: Configuration) -> Tower:
    # torch comes in only now, below the priority that was asked for, and only where it is the engine.
    from imgqd.embedder.engines import open_image_tower

    return open_image_tower(configuration)


if __name__ == "__main__":
    main(_open)
