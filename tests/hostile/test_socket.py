"""FAULTS 61 to 66 and 70: what is done to the socket of a real daemon.

Bounds that need a clock of their own are leant on in test_crowd, frames and fields in test_server,
test_wire and test_record; what a client meets there is in test_clients.
"""

from __future__ import annotations

import os
import random
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import fuzz
import megabytes
import pytest
from strangers import (
    NOBODY,
    READY,
    address,
    as_nobody,
    is_running,
    memory,
    raw,
    root_only,
    soon,
    start,
)

from conftest import PATIENCE_S, Home, until
from imgq import wire
from imgq.remote import FarDealer
from imgq.zmtp import Dealer
from imgqd.serve.zmtp import framed
from pictures import encoded, painted
from served import GREETING, Client

MEGABYTES = 1_000_000
RED = encoded(painted("red"), "JPEG")


# ── 61, 62, 70: whose it is ─────────────────────────────────────────────────────────────────────────


def test_fault_61_a_second_daemon_is_refused_and_the_first_goes_on(home: Home) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "imgqd", "--model", "builtin"],
        env=home.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert second.returncode == 4
    assert "another daemon is running" in second.stderr
    assert "Traceback" not in second.stderr
    assert is_running(home)


def test_fault_61_the_socket_of_a_killed_daemon_is_taken_over(home: Home) -> None:
    home.kill()
    assert stat.S_ISSOCK(os.lstat(address(home)).st_mode)
    home.start()
    assert is_running(home)


@pytest.mark.parametrize("what", ["file", "link", pytest.param("somebody", marks=root_only)])
def test_fault_61_what_else_lies_there_is_not_touched(
    new_home: Callable[..., Home], what: str
) -> None:
    home = new_home()
    path = Path(address(home))
    path.parent.mkdir(parents=True, mode=0o700)
    if what == "file":
        path.write_text("a novel")
    elif what == "link":
        path.symlink_to("elsewhere")
    else:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(os.fspath(path))
        os.chown(path, NOBODY, NOBODY)
    before = os.lstat(path)
    with pytest.raises(AssertionError, match="in the way"):
        home.start()
    assert os.lstat(path) == before


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_fault_62_nothing_of_it_is_for_others_under_any_umask(
    new_home: Callable[..., Home], umask: int
) -> None:
    """Index, settings, log, lock and socket, made by the client or the daemon, and what they lie in."""
    home = new_home()
    (home.pictures / "a.jpg").write_bytes(RED)
    before = os.umask(umask)
    try:
        done = home.imgq("start", str(home.pictures), "--model", "builtin")
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    try:
        pid = home.settle().pid
        if sys.platform == "linux":
            # Nor for a moment: whatever it makes has no more than this from its first instant.
            assert re.search(r"Umask:\s+0077", Path(f"/proc/{pid}/status").read_text())
        top = Path(home.environment["IMGQ_HOME"])
        found = {path.relative_to(top): path.lstat() for path in (top, *top.rglob("*"))}
        kinds = {name.name for name in found}
        assert kinds > {"index.db", "settings.toml", "imgqd.log", "lock", "socket"}
        assert {
            name: oct(seen.st_mode) for name, seen in found.items() if seen.st_mode & 0o077
        } == {}
        if os.getuid() == 0:
            assert as_nobody(address(home)) == "PermissionError"
    finally:
        home.imgq("stop")


@root_only
def test_fault_70_another_user_is_not_heard_though_every_door_stands_open(home: Home) -> None:
    path = Path(address(home))
    with ExitStack() as stack:
        for place in [path, *path.parents[:-1]]:
            before = stat.S_IMODE(place.lstat().st_mode)
            if before & 0o007 != 0o007:
                stack.callback(place.chmod, before)
                place.chmod(0o777)
        assert as_nobody(os.fspath(path)) == "ConnectionResetError"
    assert is_running(home)


# ── 63 to 66: what is thrown at it ──────────────────────────────────────────────────────────────────


def test_fault_63_garbage_half_handshakes_and_giant_claims(home: Home) -> None:
    dice, path = random.Random(63), address(home)
    assert home.search("red") == []
    before = memory(home)
    with ExitStack() as held:
        for _ in range(2000):
            held.enter_context(raw(path, dice.randbytes(dice.randint(1, 300))))
        for _ in range(300):
            held.enter_context(raw(path, GREETING[: dice.randint(0, 63)]))
        held.enter_context(raw(path, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        giant = b"\x02" + (20 << 30).to_bytes(8, "big")
        held.enter_context(raw(path, GREETING + READY + giant))
        assert home.search("red") == []
        assert memory(home) - before < 20 * MEGABYTES
    assert is_running(home)


def test_fault_64_few_descriptors_and_many_idle_connections(
    new_home: Callable[..., Home],
) -> None:
    home = new_home()
    start(home, ["sh", "-c", 'ulimit -n 256; exec "$@"', "sh"])
    with ExitStack() as held:
        for _ in range(400):
            held.enter_context(raw(address(home), GREETING + READY))
        assert home.search("red") == []
        assert is_running(home)
    assert is_running(home)


@pytest.mark.parametrize("by", [fuzz.by_socket, fuzz.by_network])
def test_fault_65_a_slow_reader_has_a_megabyte_made_at_a_time(
    new_home: Callable[..., Home], by: Callable[[Home], fuzz.Way]
) -> None:
    """600 listings of a megabyte each are asked for, and none is read."""
    home = new_home()
    way = by(home)
    home.start()
    home.watch()
    megabytes.fill(home)
    before = memory(home)
    with closing(way.ready()) as slow:
        slow._socket.sendall(b"".join(_request(slow) for _ in range(600)))
        for _ in range(50):
            assert home.search("red", top=1)
        assert memory(home) - before < 50 * MEGABYTES
        # And such a one waits there, among refusals.
        until(lambda: len(slow.receive(soon(), wire.MOST_REPLY)) > MEGABYTES, "a megabyte")
    assert is_running(home)


def _request(dealer: Dealer) -> bytes:
    """For a listing, as it travels."""
    message = wire.pack_request(wire.AskFiles(), 1)
    return framed(dealer._session.sealed(message) if isinstance(dealer, FarDealer) else message)


def test_fault_65_a_flood_that_nobody_reads_costs_little(home: Home) -> None:
    """Each reply would be of every file there is, again and again."""
    (home.pictures / "a.jpg").write_bytes(RED)
    home.settle()
    before, path = memory(home), address(home)
    with closing(Dealer(path, soon())) as flood:
        flood._socket.settimeout(0.2)
        for request in [wire.Export(), wire.AskFiles(), wire.AskStatus()] * 2000:
            try:
                flood._socket.sendall(framed(wire.pack_request(request, 1)))
            except TimeoutError:
                break
        else:
            pytest.fail("all of it was listened to")
        for _ in range(50):
            assert [hit.path for hit in home.search("red")] == [
                os.fsencode(home.pictures / "a.jpg")
            ]
        assert memory(home) - before < 50 * MEGABYTES
    assert is_running(home)


def test_fault_66_messages_of_many_frames_and_of_too_many_bytes(home: Home) -> None:
    asking = Client(address(home))
    request = wire.pack_request(wire.AskRoots(), 1)
    assert asking.fault(*[request] * 10_000).exit_code == 2
    asking.send(bytes(wire.MOST_REQUEST + 1))
    assert not asking.socket.poll(200)
    asking.close()
    assert is_running(home)


def test_fault_66_a_request_for_nothing_at_all(home: Home) -> None:
    with closing(Client(address(home))) as asking:
        assert asking.fault(wire.pack_request(wire.AskThumbnails(paths=()), 1)).exit_code == 2


def test_fault_66_nonsense_message_after_message(home: Home) -> None:
    """A few of what fuzz.py sends a hundred thousand of."""
    plan = fuzz.Plan(seed=66, messages=3000)
    assert len(list(fuzz.run(plan, home, fuzz.by_socket(home)))) == plan.messages // fuzz.ROUND


def test_fault_66_sealed_nonsense_message_after_message(new_home: Callable[..., Home]) -> None:
    home = new_home()
    way = fuzz.by_network(home)
    home.start()
    plan = fuzz.Plan(seed=67, messages=1000, network=True)
    assert len(list(fuzz.run(plan, home, way))) == plan.messages // fuzz.ROUND
