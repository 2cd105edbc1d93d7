"""Which request needs which right, a table to read aloud. What is not in it needs the full one."""

from __future__ import annotations

from imgq import wire
from imgq.errors import Refused
from imgq.keys import FULL

# All that changes nothing, but for a look at the disk that is due anyway.
READS = frozenset(
    (
        wire.Search,
        wire.Batch,
        wire.Follow,
        wire.Dupes,
        wire.AskStatus,
        wire.AskStats,
        wire.AskRoots,
        wire.AskNames,
        wire.AskErrors,
        wire.AskInfo,
        wire.AskFiles,
        wire.AskThumbnails,
        wire.Export,
        wire.Settle,
    )
)
# These read every file anew, change what is indexed, or end it; by the words that a person types for it.
CHANGES: dict[type[wire.Request], str] = {
    wire.Check: "imgq check",
    wire.Retry: "imgq errors --retry",
    wire.Reindex: "imgq reindex",
    wire.Add: "imgq add",
    wire.Remove: "imgq remove",
    wire.UseModel: "imgq model use",
    wire.DropModel: "imgq model drop",
    wire.Pause: "imgq pause",
    wire.Resume: "imgq resume",
    wire.Reload: "imgq config set",
    wire.ReadKeys: "imgq keys allow",
    wire.Stop: "imgq stop",
}


def require(right: str | None, request: wire.Request, key: str = "KEY") -> None:
    """right: what the client has, None where its key is no longer allowed. Raises Refused."""
    if right is None:
        raise Refused(
            "this key is no longer allowed", f"at the daemon's machine: `imgq keys allow {key}`"
        )
    if right == FULL or type(request) in READS:
        return
    command = CHANGES.get(type(request), type(request).__name__)
    raise Refused(
        f"`{command}` needs a key with the right {FULL!r}, and this key has {right!r}",
        f"at the daemon's machine: `imgq keys allow {key} --full`",
    )
