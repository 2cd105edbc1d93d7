"""The failures a person can meet, each with its exit code; only `main` exits.

    Failure                      70  a bug, unless a branch below says better
    ├── UsageError                2  the words on the command line
    │   ├── QueryError            2  a term of the query, which it points at
    │   └── SettingsError         2  the settings file
    ├── NotSettled                1  the time ran out before the index was settled
    ├── NoDaemon                  3  nothing answers on the socket
    │   └── TimedOut              3  something is there and did not answer in time
    ├── Refused                   4  the daemon refused, in its own words
    │   ├── KeyRefused            4  two machines do not know each other's keys
    │   ├── CannotStart           4  the daemon cannot start
    │   ├── ModelMissing          4  the model's weights are not to be had
    │   └── StoreError            4  the index on disk cannot be used
    │       ├── StoreDamaged      4  it is not sound
    │       ├── StoreFull         4  there is no space left for it
    │       ├── StoreBusy         4  another process holds it
    │       └── StoreNewer        4  a newer imgq wrote it
    └── ProtocolMismatch          5  client and daemon speak different protocols

A message says what happened and where; a hint, on a line of its own, what to do.
"""

from __future__ import annotations


class Failure(Exception):
    """A failure that a person is told of: `message` what happened, `hint` what to do."""

    exit_code = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def put_line(self, number: int) -> None:
        """Says of which line of a file it is."""
        self.message = f"line {number}: {self.message}"


class UsageError(Failure):
    exit_code = 2


class QueryError(UsageError):
    """A term of a query: `span` is where it begins and ends in the query."""

    def __init__(self, message: str, hint: str, query: str, span: tuple[int, int]) -> None:
        super().__init__(message, hint)
        self.query = query
        self.span = span

    def __str__(self) -> str:
        from imgq.pointing import pointed

        hint = f"\nhint: {self.hint}" * bool(self.hint)
        return f"{self.message}\n{pointed(self.query, *self.span)}{hint}"


class SettingsError(UsageError):
    """The settings file: an unknown key, or a value of the wrong kind."""


class NotSettled(Failure):
    exit_code = 1


class NoDaemon(Failure):
    exit_code = 3


class TimedOut(NoDaemon):
    """Something holds the socket and did not answer in time."""


class Refused(Failure):
    exit_code = 4


class KeyRefused(Refused):
    """One end of a connection over a network does not know the other's key."""


class CannotStart(Refused):
    """The daemon cannot start, for the reason given."""


class ModelMissing(Refused):
    """The model's weights are neither on disk nor to be fetched."""


class StoreError(Refused):
    """The index on disk cannot be used."""


class StoreDamaged(StoreError):
    """The index on disk is not a sound database."""


class StoreFull(StoreError):
    """There is no space left on the disk of the index."""


class StoreBusy(StoreError):
    """Another process has held the index for longer than is waited for."""


class StoreNewer(StoreError):
    """A newer imgq wrote the index on disk."""


class ProtocolMismatch(Failure):
    exit_code = 5
