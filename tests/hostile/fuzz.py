"""Nonsense at a daemon's socket: each message is answered in order, or its client is sent away.

    python -m tests.hostile.fuzz --seed 1 --messages 100000
    python -m tests.hostile.fuzz --seed 1 --messages 100000 --network

The latter as a client of another machine, whose key may do everything; what is said there is sealed.
What goes wrong is told with the seed and the number of the message; the same seed sends the same again.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# As a module of the checkout; pytest has these folders on the path already.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
sys.path.insert(0, str(Path(__file__).parent))

from nonsense import Nonsense
from strangers import READY, address, is_running, memory, raw, soon

import far
import ground
from conftest import Home
from imgq import wire
from imgq.curve import CLIENTS_GREETING, Handshake, keypair
from imgq.zmtp import Dealer
from imgqd.serve.zmtp import COMMAND, framed
from served import GREETING

# Between two looks at the daemon.
ROUND = 1000
GROWTH = 50 << 20
BUG = 70


class Failed(AssertionError):
    """The daemon did what it must not."""


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    messages: int
    network: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """How clients come: greeted and ready, or as a connection that says something."""

    ready: Callable[[], Dealer]
    raw: Callable[[bytes], socket.socket]


def by_socket(home: Home) -> Way:
    path = address(home)
    return Way(lambda: Dealer(path, soon()), lambda data: raw(path, data))


def by_network(home: Home) -> Way:
    """Before the daemon is started, which listens then."""
    place = f"tcp://127.0.0.1:{far.free_port()}"
    laptop, daemon = far.Laptop(home.folder / "laptop", place), far.listen(home, place)
    far.allow(home, laptop.key(), "--full")
    return Way(lambda: laptop.dealer(daemon), lambda data: far.raw(place, _begun(data, daemon)))


def _begun(data: bytes, daemon: str) -> bytes:
    """As a stranger would begin who knows the daemon's key, where there is a beginning."""
    hello = Handshake(keypair()[1], bytes.fromhex(daemon)).hello()
    return data.replace(GREETING + READY, CLIENTS_GREETING + framed(hello, COMMAND))


def run(plan: Plan, home: Home, way: Way) -> Iterator[str]:
    """A line for each round that went well. Raises Failed."""
    nonsense, clients = Nonsense(plan.seed), Clients(way)
    before = 0
    for number in range(1, plan.messages + 1):
        try:
            if nonsense.dice.random() < 0.2:
                clients.say(nonsense.stream())
            else:
                clients.ask(nonsense.body())
        except (Failed, OSError) as error:
            raise Failed(f"seed {plan.seed}, message {number}: {error}") from error
        if number % ROUND == 0 or number == plan.messages:
            _require_well(home, before)
            before = before or memory(home)
            yield f"seed {plan.seed}, {number} messages: {dict(clients.outcomes)}"
    clients.close()


def _require_well(home: Home, before: int) -> None:
    if not is_running(home) or home.search("red", timeout=30.0) != []:
        raise Failed("the daemon is not what it was")
    if "this is a bug" in home.log or "Traceback" in home.log:
        raise Failed(home.log[-5000:])
    if before and memory(home) - before > GROWTH:
        raise Failed(f"it has grown by {(memory(home) - before) >> 20} MiB")


class Clients:
    """One who asks again and again, and others who only come to speak."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._dealer: Dealer | None = None
        self.outcomes: Counter[str] = Counter()

    def ask(self, body: bytes) -> None:
        """Every message is answered, whatever it is. Raises Failed, and OSError where it is not."""
        if self._dealer is None:
            self._dealer = self._way.ready()
        self._dealer.send(body, soon())
        more, kind = True, ""
        while more:
            frame = self._dealer.receive(soon(), wire.MOST_REPLY)
            _, more, reply = wire.unpack_reply(frame)
            kind = type(reply).__name__
            if isinstance(reply, wire.Fault):
                kind = f"Fault {reply.exit_code}"
                if reply.exit_code == BUG:
                    raise Failed(f"{body[:200]!r} is answered with {reply}")
        self.outcomes[kind] += 1

    def say(self, data: bytes) -> None:
        connection = self._way.raw(data)
        with suppress(OSError), connection:
            connection.shutdown(socket.SHUT_WR)
            # A connection that is ended is ended by the other side, too.
            while connection.recv(1 << 16):
                pass
        self.outcomes["sent away"] += 1

    def close(self) -> None:
        if self._dealer is not None:
            self._dealer.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--network", action="store_true")
    plan = Plan(**vars(parser.parse_args()))
    with ground.running(start=False) as home:
        way = by_network(home) if plan.network else by_socket(home)
        home.start()
        # Where the client of this process looks.
        os.environ["IMGQ_HOME"] = home.environment["IMGQ_HOME"]
        try:
            for line in run(plan, home, way):
                print(line, flush=True)
        except Failed as error:
            print(error)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
