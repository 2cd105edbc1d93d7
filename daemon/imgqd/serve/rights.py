"""Which request needs which right, a table to read aloud. What is not in it needs the full one."""

from __future__ import annotations

from imgq import wire
from imgq.errors import Refused
from imgq.keys import FULL, READ

# All that changes nothing, but for a look at the disk that is due anyway.
NEEDS: dict[type[wire.Request], str] = {
    wire.Search: READ,
    wire.Batch: READ,
    wire.Follow: READ,
    wire.Dupes: READ,
    wire.AskStatus: READ,
    wire.AskStats: READ,
    wire.AskRoots: READ,
    wire.AskNames: READ,
    wire.AskErrors: READ,
    wire.AskInfo: READ,
    wire.AskFiles: READ,
    wire.AskThumbnails: READ,
    wire.Export: READ,
    wire.Settle: READ,
    # These read every file anew, change what is indexed, or end it.
    wire.Check: FULL,
    wire.Retry: FULL,
    wire.Reindex: FULL,
    wire.Add: FULL,
    wire.Remove: FULL,
    wire.UseModel: FULL,
    wire.DropModel: FULL,
    wire.Pause: FULL,
    wire.Resume: FULL,
    wire.UseModel: FULL,
    wire.DropModel: FULL,
    wire.Reload: FULL,
    wire.ReadKeys: FULL,
    wire.Stop: FULL,
}


def require(right: str | None, request: wire.Request, key: str = "KEY") -> None:
    """right: what the client has, None where its key is no longer allowed. Raises Refused."""
    if right is None:
        raise Refused(
            "this key is no longer allowed", f"at the daemon's machine: `imgq keys allow {key}`"
        )
    needed = NEEDS.get(type(request), FULL)
    if right not in (needed, FULL):
        raise Refused(
            f"{type(request).__name__} needs the right {needed!r}, and this key has {right!r}",
            f"at the daemon's machine: `imgq keys allow {key} --full`",
        )
