"""`imgq keys`: key files, whom they let in, and whom the client believes."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from conftest import Home
from far import Laptop
from imgq import address, curve, keys, wire
from imgq.errors import Refused, UsageError
from imgq.paths import absolute, host_and_port
from imgq.remote import own_name
from imgqd.serve import rights
from imgqd.serve.gate import Gate

HERE = "ipc:///run/imgq/socket"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMGQ_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "keys"


@pytest.fixture
def machine(tmp_path: Path) -> Laptop:
    """One whose daemon does not run."""
    return Laptop(tmp_path / "machine", "")


def new() -> str:
    public, _ = curve.keypair()
    return public.hex()


def allowed(name: str, right: str = keys.READ) -> keys.Allowed:
    return keys.Allowed(name=name, public=new(), right=right)


# ── files ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_a_secret_is_its_owners_alone_from_its_first_instant(
    folder: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    real = os.open

    def spy(path: str, flags: int, mode: int = 0o777, **rest: int) -> int:
        descriptor = real(path, flags, mode, **rest)
        if flags & os.O_CREAT:
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", spy)
    keys.made(keys.CLIENT)
    keys.made(keys.DAEMON)
    keys.allow(allowed("laptop"))
    keys.trust(keys.Trusted(address="tcp://nas:7571", public=new()))
    assert modes == [0o600] * 4
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert found == dict.fromkeys(("client.key", "daemon.key", "allowed", "trusted"), 0o600)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_key_is_made_once_and_is_never_another(folder: Path) -> None:
    secret = keys.made(keys.CLIENT)
    assert keys.made(keys.CLIENT) == keys.secret(keys.CLIENT) == secret
    assert keys.made(keys.DAEMON) != secret
    assert keys.public(secret) == curve.public_of(secret).hex()


def test_a_key_that_others_can_read_is_not_used(folder: Path) -> None:
    keys.made(keys.CLIENT)
    (folder / "client.key").chmod(0o640)
    with pytest.raises(Refused, match="open to others") as caught:
        keys.secret(keys.CLIENT)
    assert f"chmod 600 {folder}/client.key" in caught.value.hint


@pytest.mark.parametrize("text", ["", "nonsense", "0" * 63, "0" * 65, "\xff" * 64])
def test_what_is_no_key_is_not_used(folder: Path, text: str) -> None:
    keys.made(keys.CLIENT)
    (folder / "client.key").write_text(text)
    with pytest.raises(Refused, match="holds no key"):
        keys.secret(keys.CLIENT)


def test_a_folder_that_others_can_write_to_is_not_used(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(Refused, match="open to others"):
        keys.made(keys.CLIENT)
    assert list(folder.iterdir()) == []


def test_a_key_that_cannot_be_written_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    keys.allow(before := allowed("laptop"))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Refused, match="No space left"):
        keys.allow(allowed("other"))
    with pytest.raises(Refused, match="No space left"):
        keys.made(keys.CLIENT)
    assert [path.name for path in folder.iterdir()] == ["allowed"]
    assert keys.allowed() == [before]


# ── whom the daemon lets in ─────────────────────────────────────────────────────────────────────────


def test_keys_are_allowed_and_revoked_by_name_or_by_themselves(folder: Path) -> None:
    laptop, phone = allowed("laptop"), allowed("phone", keys.FULL)
    keys.allow(laptop)
    keys.allow(phone)
    assert keys.allowed() == [laptop, phone]
    assert keys.revoke("laptop") == laptop
    assert keys.revoke(phone.public) == phone
    assert keys.allowed() == []
    with pytest.raises(UsageError, match="no key 'laptop' is allowed"):
        keys.revoke("laptop")


def test_a_key_that_is_allowed_again_has_the_new_right(folder: Path) -> None:
    before = allowed("laptop", keys.FULL)
    keys.allow(before)
    now = keys.Allowed(name="notebook", public=before.public, right=keys.READ)
    keys.allow(now)
    assert keys.allowed() == [now]


def test_two_keys_never_have_one_name(folder: Path) -> None:
    keys.allow(allowed("laptop"))
    with pytest.raises(UsageError, match="another key has the name"):
        keys.allow(allowed("laptop"))


@pytest.mark.parametrize("name", ["", "two words", "a#b", "a\nb", "x" * 64, "a" * 64, "\x1b[2J"])
def test_a_name_is_one_word(folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no name"):
        keys.allow(allowed(name))


LONG = "{} full " + "x" * 100


def test_lines_that_make_no_sense_allow_nobody(folder: Path) -> None:
    keys.allow(right := allowed("laptop"))
    other = new()
    with (folder / "allowed").open("ab") as file:
        for line in (
            "# {} full a",
            "{}",
            "{} full",
            "{} most a",
            "{}0 full a",
            "{} full a name",
            LONG,
        ):
            file.write(f"{line.format(other)}\n".encode())
        file.write(b"\xff\xfe\n\n")
    assert keys.allowed() == [right]


def test_what_was_written_by_hand_stays(folder: Path) -> None:
    keys.allow(one := allowed("one"))
    keys.allow(two := allowed("two"))
    lines = (folder / "allowed").read_bytes()
    (folder / "allowed").write_bytes(b"# of the \xff family\n" + lines + b"# no end of line")
    keys.revoke("one")
    keys.allow(one)
    text = (folder / "allowed").read_text(errors="replace")
    assert text.startswith("# of the \ufffd family\n")
    assert "# no end of line\n" in text
    assert keys.allowed() == [two, one]


def test_the_gate_heeds_the_file_as_it_is_now(folder: Path) -> None:
    gate, laptop = Gate(), allowed("laptop")
    public = bytes.fromhex(laptop.public)
    assert gate.right(public) is None
    keys.allow(laptop)
    assert gate.right(public) == keys.READ
    keys.allow(keys.Allowed(name="laptop", public=laptop.public, right=keys.FULL))
    assert gate.right(public) == keys.FULL
    # As with an editor that writes in place.
    text = (folder / "allowed").read_text()
    (folder / "allowed").write_text(text.replace(" full ", " read "))
    assert gate.right(public) == keys.READ
    (folder / "allowed").unlink()
    assert gate.right(public) is None


def test_a_file_that_cannot_be_read_allows_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop = allowed("laptop")
    keys.allow(laptop)
    gate = Gate()

    def fail() -> list[keys.Allowed]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(keys, "allowed", fail)
    assert gate.right(bytes.fromhex(laptop.public)) is None


# ── rights ──────────────────────────────────────────────────────────────────────────────────────────

READING = """AskErrors AskFiles AskInfo AskNames AskRoots AskStats AskStatus AskThumbnails Batch Dupes
Export Follow Search Settle"""


def test_what_a_reader_may_ask_is_this_and_nothing_else() -> None:
    assert {cls.__name__ for cls in rights.READS} == set(READING.split())
    assert rights.READS | rights.CHANGES.keys() == set(wire.REQUESTS.values())
    assert not rights.READS & rights.CHANGES.keys()


@pytest.mark.parametrize("name", sorted(wire.REQUESTS))
def test_each_request_needs_its_right(name: str) -> None:
    asked = wire.REQUESTS[name].__new__(wire.REQUESTS[name])
    rights.require(keys.FULL, asked)
    if name in READING.split():
        rights.require(keys.READ, asked)
    else:
        with pytest.raises(Refused, match=r"`imgq [a-z -]+` needs a key") as caught:
            rights.require(keys.READ, asked)
        assert caught.value.exit_code == 4
    with pytest.raises(Refused, match="no longer allowed"):
        rights.require(None, asked)


def test_a_request_that_nobody_thought_of_is_the_owners() -> None:
    class Wipe(wire.Request):
        pass

    with pytest.raises(Refused, match="Wipe` needs a key with the right 'full'"):
        rights.require(keys.READ, Wipe())


# ── addresses and paths ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("tcp://nas", ("nas", 7571)),
        ("tcp://NAS.home:1", ("nas.home", 1)),
        ("tcp://10.0.0.7:65535", ("10.0.0.7", 65535)),
        ("tcp://[fe80::1]:80", ("fe80::1", 80)),
        ("tcp://[::1]", ("::1", 7571)),
    ],
)
def test_an_address_is_a_host_and_a_port(written: str, meant: tuple[str, int]) -> None:
    assert host_and_port(written) == meant
    assert host_and_port(keys.address(written)) == meant


@pytest.mark.parametrize(
    "written",
    [
        *(
            "",
            "nas:1",
            "ipc:///x",
            "tcp://",
            "tcp://:1",
            "tcp://nas:",
            "tcp://nas:0",
            "tcp://nas\n:1",
        ),
        *(
            "tcp://nas:x",
            "tcp://nas:-1",
            "tcp://nas:1:2",
            "tcp://[::1",
            "tcp://[::1]x",
            "tcp://[]:1",
        ),
        *("tcp://a b:1", "tcp://nas/x:1", "tcp://me@nas:1", "tcp://nas:\u0661", "tcp://nas:65536"),
    ],
)
def test_what_is_no_address_is_told(written: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        host_and_port(written)


@pytest.mark.parametrize("path", ["a.jpg", "./a", "../a", "~/a"])
def test_a_path_of_this_machine_is_not_asked_of_another(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGQ_SOCKET", "tcp://nas")
    with pytest.raises(UsageError, match="would be a path of this machine"):
        absolute(path)
    assert absolute("/volume1/photo/../film/") == b"/volume1/film"


# ── the commands ────────────────────────────────────────────────────────────────────────────────────


def test_create_prints_the_public_key_and_the_very_command(machine: Laptop) -> None:
    made = machine.imgq("keys", "create")
    public = made.stdout.decode().strip()
    assert bytes.fromhex(public) == curve.public_of(
        bytes.fromhex((machine.keys / "client.key").read_text())
    )
    assert f"imgq keys allow {public} --name " in made.stderr.decode()
    assert machine.key() == public


def test_show_prints_both_and_the_very_command(machine: Laptop) -> None:
    (machine.folder / "home").mkdir()
    (machine.folder / "home" / "settings.toml").write_text('listen = "tcp://0.0.0.0:9999"\n')
    told = machine.imgq("keys", "show")
    daemon = told.stdout.decode().removeprefix("daemon\t").strip()
    assert f"imgq keys trust tcp://{address.own_address()}:9999 {daemon}" in told.stderr.decode()
    client = machine.key()
    assert json.loads(machine.done("keys", "show", "--json")) == {
        "daemon": daemon,
        "client": client,
    }


@pytest.mark.parametrize(
    ("listen", "told"),
    [("tcp://192.0.2.7:7571", "tcp://192.0.2.7:7571"), ("tcp://[::1]:9", "tcp://[::1]:9")],
)
def test_the_address_that_is_told_is_the_one_that_is_listened_on(
    machine: Laptop, listen: str, told: str
) -> None:
    (machine.folder / "home").mkdir()
    (machine.folder / "home" / "settings.toml").write_text(f'listen = "{listen}"\n')
    assert f" imgq keys trust {told} " in machine.imgq("keys", "show").stderr.decode()


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ({"lo": "127.0.0.1", "none": None, "cable": "10.1.2.3"}, "10.1.2.3"),
        ({"lo": "127.0.0.1"}, own_name()),
    ],
)
def test_a_machine_that_never_goes_out_tells_a_number_of_its_own(
    monkeypatch: pytest.MonkeyPatch, numbers: dict[str, str | None], told: str
) -> None:
    def unreachable(*_: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    line = mock.MagicMock()
    line.__enter__.return_value.connect = unreachable
    monkeypatch.setattr(address.socket, "socket", lambda *_: line)
    monkeypatch.setattr(address.socket, "if_nameindex", lambda: list(enumerate(numbers)))
    monkeypatch.setattr(address, "_number_of", lambda _, name: numbers[name])
    assert address.own_address() == told


def test_keys_are_listed_with_name_and_right(machine: Laptop) -> None:
    one, two = new(), new()
    assert json.loads(machine.done("keys", "list", "--json")) == []
    told = machine.imgq("keys", "allow", one.upper(), "--name", "laptop", "--full")
    assert "listens on no network" in told.stderr.decode()
    machine.done("keys", "allow", two)
    assert machine.done("keys", "list") == f"full\tlaptop\t{one}\nread\tkey-{two[:8]}\t{two}\n"
    assert json.loads(machine.done("keys", "list", "--json")) == [
        {"name": "laptop", "public": one, "right": "full"},
        {"name": f"key-{two[:8]}", "public": two, "right": "read"},
    ]
    machine.done("keys", "revoke", "laptop")
    machine.done("keys", "revoke", two)
    assert machine.done("keys", "list") == ""
    assert "no key 'laptop' is allowed" in machine.done("keys", "revoke", "laptop", code=2)


def test_daemons_are_believed_by_their_key_until_they_are_forgotten(machine: Laptop) -> None:
    one, two = new(), new()
    machine.done("keys", "trust", "tcp://NAS", one)
    machine.done("keys", "trust", "tcp://box:1", two)
    machine.done("keys", "trust", "tcp://nas:7571", two)
    assert machine.done("keys", "trusted") == f"tcp://box:1\t{two}\ntcp://nas:7571\t{two}\n"
    machine.done("keys", "forget", "tcp://box:1")
    assert json.loads(machine.done("keys", "trusted", "--json")) == [
        {"address": "tcp://nas:7571", "public": two}
    ]
    assert "no key is known" in machine.done("keys", "forget", "tcp://box:1", code=2)


@pytest.mark.parametrize("key", ["", "laptop", "0" * 63, "g" * 64, "rq:rM>}U?@Lns47E1%kR.o@n%"])
def test_what_is_no_key_is_neither_allowed_nor_trusted(machine: Laptop, key: str) -> None:
    assert "is no public key" in machine.done("keys", "allow", "--", key, code=2)
    assert "is no public key" in machine.done("keys", "trust", "tcp://nas", "--", key, code=2)
    assert not machine.keys.exists()


def test_a_daemon_that_listens_to_nobody_is_noted_by_doctor(home: Home) -> None:
    home.imgq("keys", "show")
    home.settings('listen = "tcp://127.0.0.1:7571"\n')
    from imgqd import config
    from imgqd.health import doctor

    settings = config.load(str(home.folder / "home" / "settings.toml"))
    (verdict,) = doctor._listening(settings)
    assert (verdict.subject, verdict.state) == ("network", "note")
    assert "no key is allowed" in verdict.found
    keys.allow(allowed("laptop", keys.FULL))
    (verdict,) = doctor._listening(settings)
    assert (verdict.state, verdict.found[-40:]) == ("ok", verdict.found[-40:])
    assert "for 1 allowed keys, 1 of them with the full right" in verdict.found
    (home.folder / "home" / "keys" / "daemon.key").chmod(0o644)
    (verdict,) = doctor._listening(settings)
    assert (verdict.state, "open to others" in verdict.found) == ("wrong", True)


@pytest.mark.parametrize(
    "value", ["nas:1", "tcp://nas:1", "tcp://0.0.0.0:0", "ipc:///x", "0.0.0.0"]
)
def test_listen_takes_an_address_in_numbers(machine: Laptop, value: str) -> None:
    said = machine.done("config", "set", "listen", value, code=2)
    assert f"listen: '{value}' is not like tcp://0.0.0.0:7571" in said
