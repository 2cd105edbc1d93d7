"""A daemon on another machine: what there has to be here to ask it."""

from __future__ import annotations

from imgq import keys
from imgq.doctor import running
from imgq.doctor.verdict import Verdict, note, ok, wrong
from imgq.errors import Failure
from imgq.paths import socket_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def verdicts() -> Iterator[Verdict]:
    yield _own_key()
    yield _their_key()
    now = running.status()
    if isinstance(now, Verdict):
        yield now
        return
    yield from running.verdicts(now)
    found = "its machine, service, disk and libraries can be seen there alone"
    yield note("elsewhere", found, "`imgq doctor` at that machine")


def _own_key() -> Verdict:
    try:
        secret = keys.secret(keys.CLIENT)
    except Failure as failure:
        return wrong("own key", failure.message, failure.hint)
    if secret is None:
        return wrong("own key", "this machine has none", "`imgq keys create`")
    return ok("own key", keys.public(secret))


def _their_key() -> Verdict:
    try:
        address = keys.address(socket_address())
        found = [each.public for each in keys.trusted() if each.address == address]
    except (Failure, OSError) as error:
        return wrong("its key", str(error), f"have a look at {keys.path(keys.TRUSTED)}")
    if not found:
        remedy = f"`imgq keys show` at that machine, then `imgq keys trust {address} KEY`"
        return wrong("its key", f"that of {address} is not known here", remedy)
    return ok("its key", f"{address} must have {found[0]}")
