"""What a user can get wrong, looked at one by one: each gets a verdict and, where it helps, a remedy."""

from __future__ import annotations

from imgq.doctor import machine, running
from imgq.doctor.package import of_the_package
from imgq.doctor.verdict import Verdict
from imgq.paths import is_far

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Verdict", "examine"]


def examine() -> Iterator[Verdict]:
    """Every verdict, as it is reached; the slow ones (torch, the hub) are the last."""
    if is_far():
        from imgq.doctor import far

        yield from far.verdicts()
        return
    yield from machine.verdicts()
    now = running.status()
    if isinstance(now, Verdict):
        yield now
        yield from running.service()
        yield from of_the_package(())
        return
    yield from running.verdicts(now)
    yield from running.service()
    yield from of_the_package(tuple(root.path for root in now.roots), now.model.device)
