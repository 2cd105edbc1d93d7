"""`python -m imgqd.health.doctor DEVICE ROOT…`: verdicts on what the daemon is made of, a JSON object a
line, for `imgq doctor`. DEVICE is the one in use, empty where that is not known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote

from imgq import keys
from imgq.errors import Failure, Refused, StoreDamaged, StoreError, StoreNewer
from imgq.paths import places
from imgqd import config
from imgqd.config import Settings
from imgqd.library import mounts

HUB_S = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """As `imgq.doctor.Verdict`: state is ok, note or wrong."""

    subject: str
    state: str
    found: str
    remedy: str = ""


def verdicts(device: str, roots: Sequence[bytes]) -> Iterator[Verdict]:
    settings: Settings | None
    try:
        settings = config.load(places().settings)
    except Failure as failure:
        yield Verdict("settings", "wrong", failure.message, failure.hint)
        settings = None
    else:
        yield Verdict("settings", "ok", places().settings)
    yield from map(_file_system, roots)
    yield _index()
    yield _sqlite()
    yield _sandbox()
    # Which model and which hub are meant cannot be told before those are mended.
    if settings is not None:
        yield from _listening(settings)
        yield _weights(settings)
        yield _hub(settings)
    yield _accelerator(device)


def _listening(settings: Settings) -> Iterator[Verdict]:
    """Whether the daemon has a key for those who come by the network, and anybody may."""
    if not settings.listen:
        return
    try:
        secret, allowed = keys.secret(keys.DAEMON), keys.allowed()
    except (Failure, OSError) as error:
        hint = error.hint if isinstance(error, Failure) else ""
        yield Verdict("network", "wrong", str(error), hint or f"look at {keys.path('')}")
        return
    if secret is None:
        found = f"`listen` is {settings.listen}, and the daemon has no key yet"
        yield Verdict("network", "wrong", found, "`imgq restart`, or `imgq keys show`, makes one")
    elif not allowed:
        found = f"`listen` is {settings.listen}, and no key is allowed"
        yield Verdict(
            "network", "note", found, "`imgq keys create` at the client tells what to type here"
        )
    else:
        full = sum(each.right == keys.FULL for each in allowed)
        found = f"{settings.listen}, for {len(allowed)} allowed keys, {full} of them with the full right"
        yield Verdict("network", "ok", found)


def _file_system(root: bytes) -> Verdict:
    kind, where = mounts.kind(root), os.fsdecode(root)
    if mounts.is_remote(kind):
        return Verdict(
            "file system",
            "note",
            f"{where} is on {kind}, where changes make no event: it is scanned now and then",
            "`imgq config set rescan_unwatched 60` scans more often",
        )
    return Verdict("file system", "ok", f"{where} is on {kind or 'a disk of this machine'}")


def _index() -> Verdict:
    """Whether a daemon can start with the file."""
    from imgqd.store.database import opening

    path = places().store
    try:
        opening.refuse_damaged(Path(path))
    except FileNotFoundError:
        return Verdict("index file", "ok", f"{path} is not there yet")
    except StoreNewer as newer:
        # Its log and its roots belong to no other.
        aside = quote(os.path.join(os.path.dirname(path), "newer"))
        away = f"mkdir {aside} && mv {quote(path)}* {aside}"
        return Verdict("index file", "wrong", newer.message, f"update imgq, or `{away}`")
    except (StoreDamaged, IsADirectoryError) as error:
        found = error.message if isinstance(error, StoreDamaged) else f"{path} is a folder"
        remedy = "`imgq start`, then `imgq check --repair`: what is sound in it is kept"
        return Verdict("index file", "wrong", found, remedy)
    except OSError as error:
        found = f"{path} cannot be read: {error.strerror}"
        return Verdict(
            "index file", "wrong", found, f"`chmod u+rw {quote(path)}`, or have a look at that disk"
        )
    return Verdict("index file", "ok", path)


def _sqlite() -> Verdict:
    from imgqd.store.database.engine import versions

    try:
        return Verdict("SQLite", "ok", versions())
    except StoreError as error:
        return Verdict("SQLite", "wrong", error.message, error.hint)


def _sandbox() -> Verdict:
    """A process shuts itself in as a decoder does, and tells what this kernel lacks for it."""
    if sys.platform != "linux":
        return Verdict("sandbox", "note", "this system has no Landlock and no seccomp")
    shut_in = "from imgqd.pictures.sandbox import confine; print(*confine(1 << 30), sep=', ')"
    command = [sys.executable, "-P", "-c", shut_in]
    missing = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    if missing:
        return Verdict(
            "sandbox",
            "wrong",
            f"this kernel lacks {missing}: a picture made to take its decoder over would find your files",
            "use a kernel with seccomp and Landlock (5.13), and let a container have both",
        )
    return Verdict("sandbox", "ok", "decoders are shut in by Landlock and seccomp")


def _weights(settings: Settings) -> Verdict:
    from imgqd.models import card, source, weights

    found = card.load(places().models, settings.model)
    if found is None:
        try:
            source.published(settings.model, places().models)
        except Failure as no:
            remedy = f"{no.hint}; `imgq config set model fast` takes the usual one"
            return Verdict("weights", "wrong", no.message, remedy)
        pull, add = (
            f"imgq model pull {settings.model}",
            f"imgq model add {settings.model} --weights FILE",
        )
        # It would be refused.
        allow = "imgq config set offline false && " * settings.offline
        return Verdict(
            "weights",
            "wrong",
            f"those of {settings.model} are not on disk",
            f"`{allow}{pull}`, or `{add}`",
        )
    try:
        weights.require_own(found)
    except Refused as refusal:
        return Verdict("weights", "wrong", refusal.message, refusal.hint)
    size = os.stat(found.weights).st_size
    return Verdict("weights", "ok", f"those of {settings.model} are on disk, {size / 1e6:.0f} MB")


def _hub(settings: Settings) -> Verdict:
    if settings.offline:
        return Verdict("model hub", "ok", "it is never asked, as `offline` says")
    from imgqd.models.hub import Knock, NoHub

    try:
        Knock(HUB_S).require()
    except NoHub as no:
        found = f"{no}; only fetching another model needs it"
        # By a clock that is wrong no certificate is valid.
        is_late = any(words in found for words in ("not yet valid", "has expired"))
        remedy = "set the clock, " if is_late else "go online, "
        return Verdict("model hub", "note", found, f"{remedy}or bring weights as a file")
    return Verdict("model hub", "ok", "it answers")


def _accelerator(device: str) -> Verdict:
    import torch

    seen = _graphics()
    able = (
        "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else ""
    )
    if seen and not able:
        return Verdict(
            "accelerator",
            "wrong",
            f"there is {seen}, and torch {torch.__version__} cannot use it",
            "install its driver, and a torch that was built for it",
        )
    if not able:
        return Verdict("accelerator", "ok", "there is none; pictures are embedded on the CPU")
    if device and device != able:
        found = f"torch can use {able}, and pictures are embedded on {device}"
        return Verdict("accelerator", "note", found, "`imgq config set device auto`")
    return Verdict("accelerator", "ok", f"torch can use {able}")


def _graphics() -> str:
    """An accelerator that the system knows of; empty where there is none."""
    for place, name in (("/proc/driver/nvidia", "an NVIDIA driver"), ("/dev/kfd", "an AMD GPU")):
        if os.path.exists(place):
            return name
    return ""


def main() -> None:
    device, *roots = sys.argv[1:] or [""]
    for verdict in verdicts(device, list(map(os.fsencode, roots))):
        sys.stdout.write(json.dumps(asdict(verdict)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
    # A name server that never answers holds a thread; nothing waits for it here.
    sys.stdout.flush()
    os._exit(0)
