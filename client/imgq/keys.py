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
    from collections.abc import Iterator

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
        for words in map(_words, _lines(ALLOWED))
        if len(words) == 3 and _is_sound(*words)
    ]


def _is_sound(public: str, right: str, name: str) -> bool:
    return bool(_KEY.fullmatch(public) and right in (READ, FULL) and _NAME.fullmatch(name))


def allow(new: Allowed) -> None:
    """From now on, in place of what held for the same key. Raises UsageError where another has its
    name."""
    if not _NAME.fullmatch(new.name) or _KEY.fullmatch(new.name):
        raise UsageError(
            f"{new.name!r} is no name for a key", "letters, digits, and any of . - _ @, up to 63"
        )
    with _held():
        if any(each.name == new.name and each.public != new.public for each in allowed()):
            raise UsageError(
                f"another key has the name {new.name!r}", f"`imgq keys revoke {new.name}` ends it"
            )
        _replace(ALLOWED, new.public, f"{new.public} {new.right} {new.name}\n")


def revoke(which: str) -> Allowed:
    """By its name or by itself; what it was. Raises UsageError where there is none."""
    with _held():
        for each in allowed():
            if which in (each.name, each.public):
                _replace(ALLOWED, each.public)
                return each
    raise UsageError(f"no key {which[:80]!r} is allowed", "`imgq keys list` tells which are")


# ── whom the client believes ────────────────────────────────────────────────────────────────────────


def address(written: str) -> str:
    """As it stands in the file, whichever way it was written. Raises UsageError."""
    host, port = host_and_port(written)
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def trusted() -> list[Trusted]:
    return [
        Trusted(address=words[0], public=words[1])
        for words in map(_words, _lines(TRUSTED))
        if len(words) == 2 and words[0].isprintable() and _KEY.fullmatch(words[1])
    ]


def trust(new: Trusted) -> None:
    """From now on, in place of what held for the same address."""
    with _held():
        _replace(TRUSTED, new.address, f"{new.address} {new.public}\n")


def forget(address: str) -> None:
    """Raises UsageError where no key is known for it."""
    with _held():
        if address not in {each.address for each in trusted()}:
            raise UsageError(f"no key is known for {address}", "`imgq keys trusted` tells of which")
        _replace(TRUSTED, address)


# ── files ───────────────────────────────────────────────────────────────────────────────────────────


def _lines(name: str) -> list[str]:
    try:
        with open(path(name), encoding="utf-8", errors="surrogateescape") as file:
            return file.readlines()
    except FileNotFoundError:
        return []


def _words(line: str) -> list[str]:
    return line.partition("#")[0].split()


def _replace(name: str, first: str, line: str = "") -> None:
    """Has a line in place of those that begin with this word; all others, and comments, stay."""
    kept = [each.rstrip("\n") + "\n" for each in _lines(name) if _words(each)[:1] != [first]]
    _write(name, "".join(kept) + line)


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
        with open(os.open(beside, flags, 0o600), "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path(name))
    except OSError as error:
        with suppress(OSError):
            os.unlink(beside)
        raise Refused(f"cannot write {path(name)}: {error.strerror}") from None
