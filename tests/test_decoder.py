"""A decoder is a process of its own: what comes over it costs one picture, and nothing else."""

from __future__ import annotations

import itertools
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import xxhash
from PIL import Image

from conftest import until
from imgq.errors import CannotStart
from imgqd.channel import ChannelClosed
from imgqd.pictures import child, footprint, handle, raw
from imgqd.pictures.child import Child
from imgqd.pictures.decode import Decoded, decode
from imgqd.pictures.handle import MOST_TOGETHER, Decoder, DecoderDied, DecoderHung, DecoderLost
from imgqd.pictures.limits import Limits
from imgqd.pictures.messages import Configuration, Look, Undecoded, Unseen, configure
from imgqd.pictures.opening import prepare
from imgqd.pictures.pace import Pace
from imgqd.pictures.slab import make_slab
from imgqd.records import Failure, Metadata, PixelSpec
from one_file import decoded, looked
from pictures import jpeg, notes, png

SPEC = PixelSpec(64, 64)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(SPEC, slots=3)
    yield decoder
    decoder.close()


@contextmanager
def descriptor(path: Path) -> Iterator[int]:
    found = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield found
    finally:
        os.close(found)


def slot(decoder: Decoder, number: int) -> bytes:
    return os.pread(decoder.slab, SPEC.nbytes, number * SPEC.nbytes)


def ends(pid: int, seconds: float = 20) -> bool:
    """Whether a process ends by then; at once where it has ended."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], seconds)[0])
    finally:
        os.close(process)


# The work


def test_a_picture_lands_in_its_slot(tmp_path: Path, decoder: Decoder) -> None:
    prepare()
    path = jpeg(tmp_path / "a.jpg", 1, exif=notes(make="Maker", place=(52.0, 4.0)))
    with path.open("rb") as file:
        expected = decode(file, SPEC, Limits())
        assert isinstance(expected, Decoded)
        assert decoded(decoder, file.fileno(), 1) == expected.metadata
    assert expected.metadata.notes.camera == "Maker"
    assert slot(decoder, 1) == expected.pixels
    assert slot(decoder, 0) == slot(decoder, 2) == bytes(SPEC.nbytes)


def test_no_picture_needs_what_can_no_longer_be_imported(tmp_path: Path, decoder: Decoder) -> None:
    for mode in (
        "1",
        "L",
        "LA",
        "P",
        "PA",
        "RGBA",
        "RGBX",
        "CMYK",
        "YCbCr",
        "LAB",
        "I;16",
        "I",
        "F",
    ):
        path = tmp_path / f"{mode}.tif"
        Image.new(mode, (40, 30)).save(path)
        with descriptor(path) as file:
            assert isinstance(decoded(decoder, file), Metadata), mode
            assert isinstance(decoder.thumbnail(file, 20), bytes), mode


def test_slots_are_bounded(tmp_path: Path, decoder: Decoder) -> None:
    with descriptor(png(tmp_path / "a.png")) as file, pytest.raises(IndexError):
        decoded(decoder, file, 3)
    with descriptor(png(tmp_path / "a.png")) as file, pytest.raises(ValueError, match="pixels"):
        decoder.thumbnail(file, 0)


def test_a_look_hashes_candidates_only(tmp_path: Path, decoder: Decoder) -> None:
    path = jpeg(tmp_path / "a.bin", 1, (1500, 1500), quality=98)
    whole = xxhash.xxh3_128(path.read_bytes())
    with descriptor(path) as file:
        assert looked(decoder, file, b"a.bin") == Look(whole.digest())
        assert looked(decoder, file) == Look(bytes.fromhex(whole.hexdigest()))
    text = tmp_path / "text"
    text.write_bytes(b"no picture")
    with descriptor(text) as file:
        assert looked(decoder, file, b"notes.txt") == Look(None)
        assert looked(decoder, file, b"notes.JPG") == Look(xxhash.xxh3_128_digest(b"no picture"))


def test_several_files_are_looked_at_together(tmp_path: Path, decoder: Decoder) -> None:
    paths = [png(tmp_path / f"{number}.png", number) for number in range(MOST_TOGETHER - 2)]
    paths += [tmp_path / "note.txt", tmp_path / "folder"]
    paths[-2].write_bytes(b"no picture")
    paths[-1].mkdir()
    with ExitStack() as files:
        unseen = [Unseen(files.enter_context(descriptor(path))) for path in paths]
        *looks, note, folder = decoder.look(unseen)
    assert looks == [Look(xxhash.xxh3_128_digest(path.read_bytes())) for path in paths[:-2]]
    assert note == Look(None)
    assert isinstance(folder, Failure)
    assert folder.kind == "unreadable"


def looks_of_a_watch(
    monkeypatch: pytest.MonkeyPatch, then: Callable[[], None] = lambda: None
) -> list[bool]:
    """What each says, as they come: whether there are all answers. then: is done after each."""
    looks: list[bool] = []
    look = handle._Watch.__call__

    def noted(watch: handle._Watch, waited: float) -> bool:
        looks.append(look(watch, waited))
        then()
        return looks[-1]

    monkeypatch.setattr(handle._Watch, "__call__", noted)
    return looks


def test_whoever_waits_for_several_is_rung_for(
    tmp_path: Path, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And need not look whether it is done."""
    looks = looks_of_a_watch(monkeypatch)
    monkeypatch.setattr(child, "LOOK_S", 30.0)
    with descriptor(png(tmp_path / "a.png")) as file:
        assert len(decoder.look([Unseen(file)] * 3)) == 3
        assert len(decoder.decode([Undecoded(file, slot) for slot in range(3)])) == 3
    assert looks == [True, True]


def test_a_bell_that_is_gone_leaves_the_deadline(decoder: Decoder) -> None:
    late, rope = os.pipe()
    os.close(rope)
    os.dup2(late, decoder._child._bell)
    looks = iter([False, False, True])
    decoder._child.channel._end.close()
    decoder._child.channel._end, other = socket.socketpair()
    with other:
        other.sendall(b"!")
        # Something has come all the while.
        decoder._child.await_ring(lambda _: next(looks), is_one=True)
    os.close(late)


def test_a_ring_for_nothing_ends_no_watch(
    tmp_path: Path, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that came when the answers it was for were read already."""
    looks = looks_of_a_watch(monkeypatch, lambda: os.kill(decoder.pid, signal.SIGCONT))
    late, rope = os.pipe()
    os.write(rope, b"!")
    os.close(rope)
    os.dup2(late, decoder._child._bell)
    os.close(late)
    os.kill(decoder.pid, signal.SIGSTOP)
    with descriptor(png(tmp_path / "a.png")) as file:
        assert len(decoder.look([Unseen(file)] * 3)) == 3
    assert (looks[0], looks[-1]) == (False, True)


def test_each_of_several_has_a_deadline_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Steady(Pace):
        def taken(self, seconds: float) -> float:
            return seconds

    monkeypatch.setattr(handle, "Pace", Steady)
    left = iter([8, 8, 8, 7, 7, 7, 5, 5, 5, 0, *[4] * 3, *[3] * 4])
    watch = handle._Watch(os.getpid(), 1 << 40, 0.25, lambda: next(left))
    assert [watch(0.1) for _ in range(16)] == [False] * 9 + [True] + [False] * 6
    with pytest.raises(TimeoutError):
        watch(0.1)


def test_the_descriptors_offset_is_left_alone(tmp_path: Path, decoder: Decoder) -> None:
    with descriptor(png(tmp_path / "a.png", 1)) as file:
        os.lseek(file, 77, os.SEEK_SET)
        looked(decoder, file)
        assert isinstance(decoded(decoder, file, 0), Metadata)
        assert isinstance(decoder.thumbnail(file, 50), bytes)
        assert os.lseek(file, 0, os.SEEK_CUR) == 77


def test_one_decoder_serves_pictures_after_failures(tmp_path: Path, decoder: Decoder) -> None:
    broken = tmp_path / "b.png"
    broken.write_bytes(png(tmp_path / "a.png", 1).read_bytes()[:200])
    for _ in range(100):
        with descriptor(broken) as file:
            assert isinstance(decoded(decoder, file, 0), Failure)
        with descriptor(tmp_path / "a.png") as file:
            assert isinstance(decoded(decoder, file, 0), Metadata)


def test_a_file_above_the_cap_is_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(50 << 30)
    decoder = Decoder(SPEC, 1, Limits(max_bytes=1 << 20, deadline_s=5))
    with descriptor(huge) as file:
        found = looked(decoder, file, b"huge.jpg")
        assert isinstance(found, Failure)
        assert found.kind == "too_large"
        assert "max_megabytes (1)" in found.reason
        assert looked(decoder, file, b"disk.img") == Look(None)
    decoder.close()


@LINUX
def test_a_disk_that_fails_is_unreadable(decoder: Decoder) -> None:
    with descriptor(Path("/proc/self/mem")) as file:  # its first page is never there
        for found in (looked(decoder, file, b"a.jpg"), decoded(decoder, file, 0)):
            assert isinstance(found, Failure)
            assert found.kind == "unreadable"
            assert "Input/output error" in found.reason


@pytest.mark.parametrize("kind", ["hostile", "exif", "orientation"])
def test_every_picture_is_pixels_or_a_sentence(
    shared_pictures: Path, decoder: Decoder, kind: str
) -> None:
    paths = [path for path in sorted((shared_pictures / kind).rglob("*")) if path.is_file()]
    assert paths
    for path in paths:
        with descriptor(path) as file:
            seen = looked(decoder, file, os.fsencode(path.name))
            assert isinstance(seen, Look)
            found = decoded(decoder, file, 0)
            small = decoder.thumbnail(file, 64)
        if isinstance(found, Failure):
            assert len(found.reason.split()) > 3, (path.name, found)
            assert small == found, path.name
        else:
            assert seen.hash, path.name
            assert isinstance(small, bytes), (path.name, small)
            assert kind == "hostile" or max(slot(decoder, 0)) > 0, path.name


# The barriers


@LINUX
def test_a_decoder_is_confined(decoder: Decoder) -> None:
    limits = Path(f"/proc/{decoder.pid}/limits").read_text()
    rows = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    assert rows["Max address space"] == [str(1 << 30)] * 2
    assert rows["Max file size"] == rows["Max core file size"] == ["0", "0"]
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{decoder.pid}/status").read_text().splitlines()
    )
    assert status["NoNewPrivs"].strip() == "1"
    assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0
    # Landlock holds the thread that asks for it.
    assert status["Threads"].strip() == "1"
    assert decoder.missing or status["Seccomp"].strip() == "2"
    assert int(status["SigIgn"], 16) & 1 << signal.SIGINT - 1
    assert os.getpgid(decoder.pid) == decoder.pid
    # Linux shares the cores out among sessions.
    assert os.getsid(decoder.pid) == os.getsid(0)
    assert os.getpriority(os.PRIO_PROCESS, decoder.pid) >= 10
    environment = Path(f"/proc/{decoder.pid}/environ").read_bytes()
    assert b"HOME=" not in environment.replace(b"PYTHONHOME=", b"")


@LINUX
def test_a_decoder_holds_nothing_of_the_daemons(tmp_path: Path, decoder: Decoder) -> None:
    with descriptor(jpeg(tmp_path / "secret.jpg")) as file:
        os.set_inheritable(file, True)
        with_it = Decoder(SPEC, 1)
        decoded(with_it, file, 0)
        held = [os.readlink(path) for path in Path(f"/proc/{with_it.pid}/fd").iterdir()]
        with_it.close()
    assert not [name for name in held if "secret" in name]
    # The standard ones, channel, bell, and the slab twice.
    assert len(held) <= 7, held


def test_a_decoder_loads_nothing_heavy() -> None:
    code = """
        import sys
        import imgqd.pictures.decoder as decoder
        decoder.prepare()
        decoder._warm()
        print(*{"torch", "numpy", "apsw", "zmq", "watchdog", "imgq"} & set(sys.modules))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    # Camera raw comes with NumPy.
    assert set(done.stdout.split()) <= ({"numpy"} if raw.is_installed() else set())


@LINUX
def test_the_slab_keeps_its_size(decoder: Decoder) -> None:
    assert os.fstat(decoder.slab).st_size == 3 * SPEC.nbytes
    with pytest.raises(PermissionError):
        os.truncate(decoder.slab, 0)


@LINUX
def test_a_decoder_ends_with_the_daemon() -> None:
    code = """
        import sys
        from imgqd.pictures.handle import Decoder
        from imgqd.records import PixelSpec
        decoder = Decoder(PixelSpec(8, 8), 1)
        print(decoder.pid, flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as daemon:
        assert daemon.stdout is not None
        pid = int(daemon.stdout.readline())
        os.kill(pid, signal.SIGSTOP)  # so that it cannot see the daemon hang up
        assert not ends(pid, 0)
        daemon.kill()
        assert ends(pid)


def test_a_decoder_ends_by_itself_when_nobody_ends_it(tmp_path: Path) -> None:
    long_job = tmp_path / "endless.jpg"
    with long_job.open("wb") as file:
        file.truncate(1 << 40)
    slab = make_slab(SPEC.nbytes)
    child = Child(Decoder.PROGRAM, slab)
    child.channel.send(configure(Configuration(SPEC, 1, Limits(max_bytes=1 << 50))))
    assert child.answer(60)["answer"] == "ready"
    with descriptor(long_job) as number:
        child.channel.send({"job": "look", "parts": [{"name": b"a.jpg"}], "alarm_s": 0.2}, number)
        with pytest.raises(ChannelClosed):
            child.answer(60)
    assert "Profiling timer expired" in child.end()
    child.close()
    os.close(slab)


def test_closing_leaves_nothing(tmp_path: Path) -> None:
    Decoder(SPEC, 1).close()
    before = len(list(Path("/dev/fd").iterdir()))
    decoder = Decoder(SPEC, 1)
    with descriptor(png(tmp_path / "a.png")) as file:
        decoded(decoder, file, 0)
    decoder.close()
    decoder.close()
    assert len(list(Path("/dev/fd").iterdir())) == before
    with pytest.raises(ProcessLookupError):
        os.kill(decoder.pid, 0)


def test_a_want_of_descriptors_leaves_none_behind() -> None:
    """Wherever in its beginning the child comes upon it."""
    before = sorted(os.listdir("/dev/fd"))
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as next_one:
        first = next_one.fileno()
    refused = 0
    for left in itertools.count():
        resource.setrlimit(resource.RLIMIT_NOFILE, (first + left, usual[1]))
        try:
            child = Child(("-c", "pass"))
        except OSError:
            refused += 1
        else:
            child.close()
            break
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, usual)
        assert sorted(os.listdir("/dev/fd")) == before, left
    assert refused > 6


# Decoders that are lost


def test_a_killed_decoder_is_a_picture_to_try_again(tmp_path: Path) -> None:
    class Suicidal(Decoder):
        PROGRAM = ("-c", _acting("os.kill(os.getpid(), signal.SIGKILL)"))

    with pytest.raises(DecoderDied) as lost:
        _one_picture(Suicidal, tmp_path)
    assert lost.value.at_work
    assert lost.value.failure.kind == "crashed"
    assert "killed" in lost.value.failure.reason


@LINUX
def test_a_decoder_that_eats_memory_is_ended_where_the_system_sets_no_limit(tmp_path: Path) -> None:
    """As on macOS; long before its deadline."""

    class Greedy(Decoder):
        PROGRAM = ("-c", _acting("kept = b'x' * (400 << 20); signal.pause()"))

    decoder = Greedy(SPEC, 1, Limits(memory=200 << 20, deadline_s=60))
    with descriptor(png(tmp_path / "a.png")) as file, pytest.raises(DecoderDied) as lost:
        decoded(decoder, file, 0)
    assert lost.value.failure == Failure("crashed", "its decoder took more than 200 MB of memory")
    assert lost.value.at_work
    assert ends(decoder.pid)
    decoder.close()


@pytest.mark.parametrize("resident", [0, 5 << 20, 3 << 30])
def test_what_macos_tells_of_a_process(resident: int) -> None:
    """`struct rusage_info_v0`: a UUID, and ten numbers."""
    usage = bytes(range(16)) + struct.pack("<10Q", 1, 2, 3, 4, 5, 6, 7, resident, 9, 10)
    assert footprint._told(usage) == resident


@LINUX
def test_a_decoder_killed_at_rest_blames_no_picture(tmp_path: Path, decoder: Decoder) -> None:
    os.kill(decoder.pid, signal.SIGKILL)
    with descriptor(png(tmp_path / "a.png")) as file:
        assert ends(decoder.pid)
        for _ in range(2):
            with pytest.raises(DecoderDied) as lost:
                decoded(decoder, file, 0)
            assert not lost.value.at_work
    assert os.fstat(decoder.slab).st_size > 0


@LINUX
@pytest.mark.parametrize(("job", "kind"), [("decode", "timeout"), ("look", "unreadable")])
def test_a_decoder_that_hangs_is_killed(tmp_path: Path, job: str, kind: str) -> None:
    decoder = Decoder(SPEC, 1, Limits(deadline_s=0.2))
    os.kill(decoder.pid, signal.SIGSTOP)
    with descriptor(png(tmp_path / "a.png")) as file, pytest.raises(DecoderHung) as lost:
        decoded(decoder, file, 0) if job == "decode" else looked(decoder, file)
    assert lost.value.failure.kind == kind
    assert " 0.2 s" in lost.value.failure.reason or kind == "unreadable"
    assert lost.value.at_work
    assert ends(decoder.pid, 0)
    decoder.close()


@LINUX
def test_a_decoder_that_is_kept_from_work_is_not_late(
    tmp_path: Path, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a busy machine; the deadline is of its own time."""
    looks = 0

    class Starved(Pace):
        def taken(self, seconds: float) -> float:
            nonlocal looks
            looks += 1
            if looks == 8:
                os.kill(decoder.pid, signal.SIGCONT)
            return 0.0

    monkeypatch.setattr(handle, "Pace", Starved)
    decoder._limits = Limits(deadline_s=0.2)
    os.kill(decoder.pid, signal.SIGSTOP)
    with descriptor(png(tmp_path / "a.png")) as file:
        assert isinstance(decoded(decoder, file, 0), Metadata)
    assert looks >= 8


def test_a_decoder_can_be_killed_from_another_thread(tmp_path: Path) -> None:
    class Idle(Decoder):
        PROGRAM = ("-c", _acting("signal.pause()"))

    decoder = Idle(SPEC, 1, Limits(deadline_s=60))
    killer = threading.Timer(0.1, decoder.kill)
    killer.start()
    with descriptor(png(tmp_path / "a.png")) as file, pytest.raises(DecoderDied):
        decoded(decoder, file, 0)
    killer.join()
    decoder.close()


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("os.abort()", "Aborted"),
        ("raise ValueError('a bug')", "a bug"),
        ("sys.exit(3)", "exit code 3"),
        ("os.close(channel._end.fileno()); signal.pause()", "hung up"),
        ("channel._end.sendall(os.urandom(3) * 99)", ""),
        ("channel._end.sendall(b'\\xff' * 99)", ""),
        ("channel.send([1])", ""),
        ("channel.send({})", "no answer"),
        ("tell(5)", "not a map"),
        ("tell({'answer': 'looked', 'hash': b''})", "no answer"),
        ("tell({'answer': 'decoded', 'metadata': []})", "no format"),
        ("tell(decoded(format='VIRUS'))", "no format"),
        ("tell(decoded(width=-1))", "no size"),
        ("tell(decoded(width=True))", "no size"),
        ("tell(decoded(orientation=9))", "no way"),
        ("tell(decoded(pixels=b'x'))", "a hash"),
        (
            "tell(decoded() | {'metadata': {'format': 'PNG', 'width': 1, 'height': 1}})",
            "are none",
        ),
        ("tell(decoded({'camera': 5}))", "no text"),
        ("tell(decoded({'taken_at': 'now', 'taken_from': 'exif'}))", "a time"),
        (
            "tell(decoded({'taken_at': '2024-02-30T10:00:00', 'taken_from': 'exif'}))",
            "a time",
        ),
        (
            "tell(decoded({'taken_at': '2024-02-01T10:00:00', 'taken_from': 'me'}))",
            "nowhere",
        ),
        ("tell(decoded({'latitude': float('nan')}))", "nowhere"),
        ("tell(decoded({'keywords': 'ab'}))", "keywords"),
        ("tell(decoded({'keywords': ['a'] * 101}))", "keywords"),
        ("tell(decoded({'rating': 6}))", "a rating"),
        ("tell(decoded({'iso': 0}))", "a speed"),
        ("tell(decoded({'f_number': float('inf')}))", "a number"),
        ("tell({'answer': 'failed', 'kind': 'mine', 'reason': ''})", "no kind"),
        ("channel.send(decoded(), 0)", "descriptors that nobody asked for"),
    ],
)
def test_a_decoder_that_was_taken_over_costs_one_picture(
    tmp_path: Path, act: str, words: str
) -> None:
    class Hostile(Decoder):
        PROGRAM = ("-c", _acting(act))

    before = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(DecoderDied) as lost:
        _one_picture(Hostile, tmp_path)
    assert lost.value.at_work
    assert lost.value.failure.kind == "crashed"
    assert words in lost.value.failure.reason
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_what_a_decoder_says_unasked_is_nobodys_fault(tmp_path: Path) -> None:
    class Talkative(Decoder):
        PROGRAM = ("-c", _acting("tell(decoded()), tell(decoded()), signal.pause()"))

    decoder = Talkative(SPEC, 1)
    with descriptor(png(tmp_path / "a.png")) as file:
        assert isinstance(decoded(decoder, file, 0), Metadata)
        until(decoder._child.channel.news, "what nobody asked for")
        with pytest.raises(DecoderDied, match="unasked") as lost:
            decoded(decoder, file, 0)
    assert not lost.value.at_work
    assert ends(decoder.pid)
    decoder.close()


def test_what_was_answered_for_is_done(tmp_path: Path) -> None:
    """Whatever becomes of the decoder."""

    class Weary(Decoder):
        PROGRAM = ("-c", _acting("tell(decoded()), tell(decoded(width=2)), os.abort()"))

    decoder = Weary(SPEC, 5)
    with descriptor(png(tmp_path / "a.png")) as file, pytest.raises(DecoderDied) as lost:
        decoder.decode([Undecoded(file, slot) for slot in range(5)])
    assert [each.width for each in lost.value.done] == [1, 2]
    decoder.close()


def test_what_a_decoder_says_is_made_harmless(tmp_path: Path) -> None:
    class Loud(Decoder):
        PROGRAM = ("-c", _acting("tell(decoded({'camera': '\\x1b[2J' + 'x' * 10**6}))"))

    found = _one_picture(Loud, tmp_path)
    assert isinstance(found, Metadata)
    assert found.notes.camera == "[2J" + "x" * 117


def test_a_decoder_that_prints_without_end_is_not_heard(tmp_path: Path) -> None:
    flood = "\n".join(
        [
            "for _ in range(1600):",
            "    try: os.write(2, b'x' * 65536)",
            "    except BlockingIOError: pass",
            "tell(decoded())",
        ]
    )

    class Flooding(Decoder):
        PROGRAM = ("-c", _acting(flood))

    decoder = Flooding(SPEC, 1)
    with descriptor(png(tmp_path / "a.png")) as file:
        assert isinstance(decoded(decoder, file, 0), Metadata)
    assert len(decoder._child._last_words) <= 4096
    decoder.close()


@pytest.mark.parametrize("program", ["import nothing_of_this_name", "import os; os.abort()"])
def test_a_decoder_that_does_not_start_says_why(program: str) -> None:
    class Stillborn(Decoder):
        PROGRAM = ("-c", program)

    with pytest.raises(CannotStart, match=r"nothing_of_this_name|Aborted"):
        Stillborn(SPEC, 1)


def _one_picture(kind: type[Decoder], folder: Path) -> Metadata | Failure:
    decoder = kind(SPEC, 1)
    try:
        with descriptor(png(folder / "a.png")) as file:
            return decoded(decoder, file, 0)
    except DecoderLost:
        # The next one is there at once.
        with descriptor(folder / "a.png") as file:
            other = Decoder(SPEC, 1)
            assert isinstance(decoded(other, file, 0), Metadata)
            other.close()
        raise
    finally:
        decoder.close()


def _acting(act: str) -> str:
    """A decoder that does `act` with its first picture instead of decoding it."""
    head = """
        import os, signal, sys
        from imgqd.channel import Channel
        def decoded(notes={}, **told):
            notes = {"keywords": [], **notes}
            metadata = {"format": "PNG", "width": 1, "height": 1, "orientation": 1, "notes": notes}
            metadata |= told
            return {"answer": "decoded", "metadata": metadata}
        channel = Channel.inherited(int(sys.argv[1]))
        channel.receive()
        channel.send({"answer": "ready", "missing": []})
        tell = channel.send
        channel.receive()
    """
    return textwrap.dedent(head) + act
