"""Who may speak with whom over a network: files of a folder beside the settings, for their owner alone.

    daemon.key  client.key    the secret key of this machine's daemon, and of its client, in hex
    allowed                   whom the daemon lets in: PUBLIC RIGHT NAME, a line each
    trusted                   whom the client believes: ADDRESS PUBLIC, a line each

Keys are those of Curve25519, 32 bytes; `#` begins a comment. Lines that make no sense allow nobody.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import contextmanager, suppress

from imgq.errors import Refused, UsageError
from imgq.paths import host_and_port, places
from imgq.record import Record, choice, string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DAEMON, CLIENT = "daemon.key", "client.key"
ALLOWED, TRUSTED = "allowed", "trusted"
READ, FULL = "read", "full"

_KEY = re.compile("[0-9a-f]{64}")
# What a shell takes as one word, and no key is.
_NAME = re.compile(r"[\w.@-]{1,63}")


class Allowed(Record):
    """A key that the daemon lets in, in hex; `right`: to read, or to do all that the owner may."""

    name: str = string(most=64)
    public: str = string(most=64)
    right: str = choice(READ, FULL)


class Trusted(Record):
    """The public key, in hex, that the daemon at an address must have."""

    address: str = string()
    public: str = string(most=64)


def path(name: str) -> str:
    return os.path.join(places().keys, name)


def secret(name: str) -> bytes | None:
    """The secret key of a file; None where there is none. Raises Refused where others may read it."""
    try:
        with open(path(name), "rb") as file:
            mode, written = os.fstat(file.fileno()).st_mode, file.read(100)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(f"cannot read {path(name)}: {error.strerror}") from None
    if mode & 0o077:
        raise Refused(
            f"{path(name)} is open to others",
            f"`chmod 600 {path(name)}`; where somebody may have read it, remove it and make another",
        )
    if not _KEY.fullmatch(text := written.decode("ascii", "replace").strip()):
        raise Refused(f"{path(name)} holds no key", "move it away, and make another")
    return bytes.fromhex(text)


def made(name: str) -> bytes:
    """The secret key of a file, which is made where there is none. Raises Refused."""
    from imgq.curve import keypair

    with _held():
        if (found := secret(name)) is not None:
            return found
        _, new = keypair()
        _write(name, f"{new.hex()}\n")
    return new


def public(secret: bytes) -> str:
    """In hex, the public key that belongs to a secret one."""
    from imgq.curve import public_of

    return public_of(secret).hex()


def key(written: str) -> str:
    """A public key as it was typed, in hex. Raises UsageError."""
    if not _KEY.fullmatch(typed := written.strip().lower()):
        raise UsageError(
            f"{written[:80]!r} is no public key",
            "it has 64 hex digits: `imgq keys create` prints a client's, `imgq keys show` a daemon's",
        )
    return typed


# ── whom the daemon lets in ─────────────────────────────────────────────────────────────────────────


def allowed() -> list[Allowed]:
    """Raises OSError where the file is there and cannot be read."""
    return [
        Allowed(public=words[0], right=words[1], name=words[2])
        for words in _lines(ALLOWED, 3)
        if _KEY.fullmatch(words[0]) and words[1] in (READ, FULL)
    ]


def allow(new: Allowed) -> None:
    """From now on, in place of what held for the same key. Raises UsageError where another has its
    name."""
    if not _NAME.fullmatch(new.name) or _KEY.fullmatch(new.name):
        raise UsageError(
            f"{new.name!r} is no name for a key", "letters, digits, and any of . - _ @, up to 63"
        )
    with _held():
        others = [each for each in allowed() if each.public != new.public]
        if new.name in {each.name for each in others}:
            raise UsageError(
                f"another key has the name {new.name!r}", f"`imgq keys revoke {new.name}` ends it"
            )
        _write_allowed([*others, new])


def revoke(which: str) -> Allowed:
    """By its name or by itself; what it was. Raises UsageError where there is none."""
    with _held():
        known = allowed()
        found = [each for each in known if which in (each.name, each.public)]
        if not found:
            raise UsageError(
                f"no key {which[:80]!r} is allowed", "`imgq keys list` tells which are"
            )
        _write_allowed([each for each in known if each not in found])
    return found[0]


def _write_allowed(all_of_them: Iterable[Allowed]) -> None:
    _write(ALLOWED, "".join(f"{each.public} {each.right} {each.name}\n" for each in all_of_them))


# ── whom the client believes ────────────────────────────────────────────────────────────────────────


def address(written: str) -> str:
    """As it stands in the file, whichever way it was written. Raises UsageError."""
    host, port = host_and_port(written)
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def trusted() -> list[Trusted]:
    return [
        Trusted(address=words[0], public=words[1])
        for words in _lines(TRUSTED, 2)
        if _KEY.fullmatch(words[1])
    ]


def trust(new: Trusted) -> None:
    """From now on, in place of what held for the same address."""
    with _held():
        _write_trusted([*(each for each in trusted() if each.address != new.address), new])


def forget(address: str) -> None:
    """Raises UsageError where no key is known for it."""
    with _held():
        left = [each for each in trusted() if each.address != address]
        if len(left) == len(trusted()):
            raise UsageError(f"no key is known for {address}", "`imgq keys trusted` tells of which")
        _write_trusted(left)


def _write_trusted(all_of_them: Iterable[Trusted]) -> None:
    _write(TRUSTED, "".join(f"{each.address} {each.public}\n" for each in all_of_them))


# ── files ───────────────────────────────────────────────────────────────────────────────────────────


def _lines(name: str, count: int) -> Iterator[list[str]]:
    """The words of each line that has so many."""
    try:
        with open(path(name), encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
    except FileNotFoundError:
        return
    for line in lines:
        words = line.partition("#")[0].split()
        if len(words) == count:
            yield words


@contextmanager
def _held() -> Iterator[None]:
    """The folder, which is made for its owner alone, and which nobody else changes meanwhile."""
    folder = places().keys
    try:
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"cannot use {folder}: {error.strerror}") from None
    try:
        if os.fstat(held).st_mode & 0o022:
            raise Refused(f"{folder} is open to others", f"chmod 700 {folder}")
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _write(name: str, text: str) -> None:
    """Whole or not at all, and for its owner alone from its first instant, whatever the umask."""
    beside = f"{path(name)}.{os.getpid()}"
    try:
        with suppress(FileNotFoundError):
            os.unlink(beside)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(beside, flags, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path(name))
    except OSError as error:
        with suppress(OSError):
            os.unlink(beside)
        raise Refused(f"cannot write {path(name)}: {error.strerror}") from None
