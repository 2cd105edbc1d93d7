"""Everybody who is connected: let in by one of the doors, listened to, and sent away."""

from __future__ import annotations

import logging
import math
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from imgqd.manners import precedence
from imgqd.serve.newcomers import Newcomers
from imgqd.serve.peer import Peer, process_of, still_here, uid_of

log = logging.getLogger(__name__)

# Of all replies together that wait until their clients read.
MOST_UNREAD = 64 << 20

_SWEEP_S = 1.0
# Taken from outside at a time; others are attended to in between.
_MOST_AT_A_TIME = 32
# It is a flood when so many have come within a sweep who had gone, or came too often. While it lasts,
# nobody is let in for so many times as long as the latest of them have taken, and so few may wait outside:
# who comes waits for all who came before, those who have gone among them.
_MOST_UNWELCOME = 4096
_RESTS = 2
_SHORT_LINE = 4

Attend = Callable[[Peer, int], None]


@dataclass(eq=False, slots=True)
class Entrance:
    """A door, which listens and does not block; how many may be in by it, and who are. met: makes a client
    of a connection, or nothing where that is not let in. line: how many the system lets wait outside; it
    is never changed where that is 0."""

    door: socket.socket
    most: int
    met: Callable[[socket.socket], Peer | None]
    line: int = 0
    peers: set[Peer] = field(default_factory=set)
    newcomers: Newcomers = field(default_factory=Newcomers)
    is_open: bool = False
    # Since the last sweep, or since it is flooded; when the latest came, and until when nobody is let in
    # for their sake, 0 where it does not rest.
    unwelcome: int = 0
    flooded: float = 0.0
    rests_until: float = 0.0

    @property
    def is_full(self) -> bool:
        return len(self.peers) >= self.most

    @property
    def is_flooded(self) -> bool:
        return self.unwelcome > _MOST_UNWELCOME


def of_this_user(connection: socket.socket) -> Peer | None:
    """Who comes by the Unix socket; nobody else than its owner is heard."""
    if (uid := uid_of(connection)) != os.getuid():
        log.warning("a client of another user is not heard (uid %d)", uid)
        return None
    return Peer(connection)


class Crowd:
    """Used by one thread. Where a door's share is full, who is idle of those who came by it makes room."""

    def __init__(self, attend: Attend) -> None:
        """attend: is called with a client and with what it is ready for, selectors' events, 0 at
        first, and when it is gone."""
        self._entrances: list[Entrance] = []
        self._attend = attend
        self._selector = selectors.DefaultSelector()
        self._peers: dict[Peer, int] = {}
        self._expects = True
        self._is_behind = False
        self._next_sweep = 0.0

    def __iter__(self) -> Iterator[Peer]:
        return iter(list(self._peers))

    def enter_by(self, entrance: Entrance) -> None:
        """From now on clients come by this one, too."""
        self._entrances.append(entrance)
        self._open(entrance, True)

    def watch(self, descriptor: int, heed: Callable[[int], None]) -> None:
        """Has something else called when there is something to be read from a descriptor."""
        self._selector.register(descriptor, selectors.EVENT_READ, heed)

    def turn(self, patience: float | None = None) -> None:
        """Waits until somebody wants something, and attends to them; patience: seconds, at most."""
        if ready := self._selector.select(self._most(patience)):
            with precedence.taken():
                for key, events in ready:
                    heed: Callable[[int], None] = key.data
                    heed(events)
        behind = [self._go_on_with(entrance) for entrance in self._entrances]
        self._is_behind = any(behind)
        if time.monotonic() >= self._next_sweep:
            self._sweep()
        else:
            self._expects = True

    def _most(self, patience: float | None) -> float | None:
        """Seconds to wait for somebody to want something."""
        if self._is_behind:
            return 0.0
        now = time.monotonic()
        waits = [each.rests_until - now for each in self._entrances if each.rests_until]
        waits += [_SWEEP_S] * self._expects
        waits += [] if patience is None else [patience]
        return max(min(waits), 0.0) if waits else None

    def listen(self, peer: Peer, events: int) -> None:
        """From now on it is attended to when it is ready for these; for none of them with 0."""
        before = self._peers[peer]
        self._peers[peer] = events
        if events and before:
            if events != before:
                self._selector.modify(peer, events, partial(self._attend, peer))
        elif events:
            self._selector.register(peer, events, partial(self._attend, peer))
        elif before:
            self._selector.unregister(peer)

    def drop(self, peer: Peer) -> None:
        if not peer.is_gone:
            self.listen(peer, 0)
            del self._peers[peer]
            peer.close()
            for entrance in self._entrances:
                if peer in entrance.peers:
                    entrance.peers.remove(peer)
                    self._open(entrance, True)
            self._attend(peer, 0)

    def answered(self, peer: Peer) -> None:
        """It has heard what it asked for."""
        for entrance in self._entrances:
            entrance.newcomers.stays(peer.process)

    def close(self) -> None:
        # Their doors may be closed by now: none is opened for who goes.
        entrances, self._entrances = self._entrances, []
        for peer in self:
            self.drop(peer)
        for entrance in entrances:
            entrance.newcomers.keep(0)
        self._selector.close()

    def _admit(self, entrance: Entrance, _events: int) -> None:
        """Lets in the first who wait outside."""
        if entrance.is_full and not self._make_room(entrance):
            self._open(entrance, False)
            return
        began = time.monotonic()
        come = [*self._come(entrance)]
        welcome = [each for each in still_here(come) if self._is_welcome(entrance, each)]
        for connection in welcome:
            self._let_in(entrance, connection)
        if unwelcome := len(come) - len(welcome):
            self._bear(entrance, unwelcome, time.monotonic() - began)

    def _come(self, entrance: Entrance) -> Iterator[socket.socket]:
        """Who wait outside, as many as there is room for, and as are taken at a time."""
        for _ in range(min(entrance.most - len(entrance.peers), _MOST_AT_A_TIME)):
            try:
                yield entrance.door.accept()[0]
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                # No descriptor is left: they wait outside until one is, or for the next sweep.
                log.warning("a client cannot be let in: %s", error.strerror)
                entrance.newcomers.keep(0)
                if not self._make_room(entrance):
                    self._open(entrance, False)
                return

    def _is_welcome(self, entrance: Entrance, connection: socket.socket) -> bool:
        """Whether it is let in at once."""
        process = process_of(connection)
        return not process or entrance.newcomers.comes(process, connection)

    def _bear(self, entrance: Entrance, unwelcome: int, taken: float) -> None:
        """Who floods the way in costs those who are in no more than a part of the time."""
        was_flooded = entrance.is_flooded
        entrance.unwelcome += unwelcome
        if entrance.is_flooded:
            if entrance.line and not was_flooded:
                entrance.door.listen(_SHORT_LINE)
            entrance.flooded = time.monotonic()
            entrance.rests_until = entrance.flooded + _RESTS * taken
            self._open(entrance, False)

    def _dry(self, entrance: Entrance, now: float) -> None:
        """Ends the flood where there was none since the last sweep."""
        if entrance.is_flooded and now - entrance.flooded < _SWEEP_S:
            return
        if entrance.is_flooded and entrance.line:
            entrance.door.listen(entrance.line)
        entrance.unwelcome = 0

    def _go_on_with(self, entrance: Entrance) -> bool:
        """Lets in some of those who had to wait; whether there are others."""
        if entrance.rests_until:
            if time.monotonic() < entrance.rests_until:
                return False
            entrance.rests_until = 0.0
            self._open(entrance, True)
        newcomers = entrance.newcomers
        for connection in newcomers.next() if not entrance.is_full else ():
            self._let_in(entrance, connection)
        newcomers.keep(max(entrance.most - len(entrance.peers), 0))
        return len(newcomers) > 0 and not entrance.is_full

    def _let_in(self, entrance: Entrance, connection: socket.socket) -> None:
        if (peer := entrance.met(connection)) is None:
            connection.close()
            return
        self._peers[peer] = 0
        entrance.peers.add(peer)
        # It has mostly said something by now.
        self._attend(peer, selectors.EVENT_READ)

    def _make_room(self, entrance: Entrance) -> bool:
        """Sends away who has said nothing for longest and waits for nothing, if there is one; first of
        all those of whom nobody knows who they are."""
        idle = [peer for peer in entrance.peers if peer.is_idle]
        if idle:
            self.drop(min(idle, key=lambda peer: (peer.is_ready, peer.latest)))
        return bool(idle)

    def _open(self, entrance: Entrance, is_open: bool) -> None:
        is_open = is_open and not entrance.rests_until
        if is_open and not entrance.is_open:
            admit = partial(self._admit, entrance)
            self._selector.register(entrance.door, selectors.EVENT_READ, admit)
        elif entrance.is_open and not is_open:
            self._selector.unregister(entrance.door)
        entrance.is_open = is_open

    def _sweep(self) -> None:
        """Sends away who did not go on in time. None follows where nothing is expected of anybody."""
        now = time.monotonic()
        self._next_sweep = now + _SWEEP_S
        for peer in self:
            if peer.due < now:
                self.drop(peer)
        self._require_reading(now)
        for peer in self:
            self._attend(peer, 0)
        for entrance in self._entrances:
            entrance.newcomers.tidy()
            self._dry(entrance, now)
            self._open(entrance, True)
        self._expects = any(peer.due < math.inf for peer in self._peers) or any(
            entrance.is_flooded for entrance in self._entrances
        )

    def _require_reading(self, now: float) -> None:
        """Where too much waits to be read, who has read nothing for longest is sent away."""
        unread = sorted((peer for peer in self if peer.unread), key=lambda peer: peer.wrote)
        total = sum(peer.unread for peer in unread)
        for peer in unread:
            if total <= MOST_UNREAD or now - peer.wrote < _SWEEP_S:
                return
            total -= peer.unread
            self.drop(peer)
