"""How old a file's stamp is, and whether it can be trusted."""

from __future__ import annotations

import time

from imgqd.records import Stamp

# Stamps are no finer than the kernel's tick, and whole seconds may be FAT's, which are two. One as
# young as the look may belong to two contents.
TICK_S, COARSE_TICK_S = 0.05, 2.0


def least_age(stamp: Stamp) -> float:
    """Seconds, by either of its times; one that lies far in the future says nothing."""
    return min(_age(then) for then in (stamp.mtime_ns, stamp.ctime_ns))


def is_trusted(stamp: Stamp) -> bool:
    """Never trust a timestamp as young as your look (borg's cache)."""
    return not any(_age(then) < _tick(then) for then in (stamp.mtime_ns, stamp.ctime_ns))


def _age(then: int) -> float:
    """Seconds since that time, or until it comes."""
    return abs(time.time_ns() - then) / 1e9


def _tick(then: int) -> float:
    return TICK_S if then % 10**9 else COARSE_TICK_S
