"""The settings: read, checked, remembered, shown."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tomlkit

import disks
from imgq.errors import Refused, SettingsError
from imgqd.config import DEFAULTS, NAMES, Settings, bounds, load
from imgqd.settings_file import documented, read, remember, shown


def settings(folder: Path, text: str | bytes) -> str:
    path = folder / "settings.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return os.fspath(path)


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    assert load(os.fspath(tmp_path / "none.toml")) == DEFAULTS
    assert load(settings(tmp_path, "")) == DEFAULTS
    assert DEFAULTS.model == "fast"


def test_every_setting_is_read(tmp_path: Path) -> None:
    read = load(
        settings(
            tmp_path,
            'model = "builtin"\ndevice = "cpu"\nprecision = "f32"\nbatch_size = 8\ndecoders = 3\n'
            'exclude = ["*.tmp", "drafts/"]\nfollow_symlinks = true\nraw_beside_jpeg = false\n'
            "max_megapixels = 10\n"
            "max_megapixels_jpeg = 20\nmax_megabytes = 30\nrescan = 60\nrescan_unwatched = 1.5\n"
            'idle_unload = 2\npower = "mains"\nbusy_percent = 50\nquiet_hours = ["22:00-07:00"]\n'
            'offline = true\nlisten = "tcp://0.0.0.0:7571"\n'
            'log_format = "json"\n',
        )
    )
    assert read == Settings(
        "builtin",
        "cpu",
        "f32",
        8,
        3,
        ("*.tmp", "drafts/"),
        True,
        False,
        10,
        20,
        30,
        60.0,
        1.5,
        2.0,
        "mains",
        50,
        ("22:00-07:00",),
        True,
        "tcp://0.0.0.0:7571",
        "json",
    )
    assert type(read.rescan) is float


@pytest.mark.parametrize(
    ("written", "nearest"),
    [
        ("modle", "model"),
        ("max_megapixel", "max_megapixels"),
        ("idle_unlod", "idle_unload"),
        ("busy", "busy_percent"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(
    tmp_path: Path, written: str, nearest: str
) -> None:
    path = settings(tmp_path, f"{written} = 1\n")
    with pytest.raises(SettingsError) as error:
        load(path)
    assert written in error.value.message
    assert path in error.value.message
    assert f"'{nearest}'" in error.value.hint
    assert error.value.exit_code == 2


def test_a_key_of_any_length_fits_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f"{'a' * 100_000} = 1\n")
    with pytest.raises(SettingsError, match="there is no setting 'aaaa") as said:
        load(os.fspath(file))
    assert len(said.value.message) < 1000


@pytest.mark.parametrize("written", ["colour", "[model]\nname", "x.y"])
def test_a_key_like_no_other_is_answered_with_all(tmp_path: Path, written: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(settings(tmp_path, f"{written} = 1\n"))
    if "model" not in written:
        assert all(name in error.value.hint for name in NAMES)


@pytest.mark.parametrize(
    "line",
    [
        "model = 1",
        "model = ['fast']",
        'device = "tpu"',
        'precision = "f64"',
        "batch_size = -1",
        "batch_size = 1.0",
        "batch_size = true",
        f"batch_size = {10**30}",
        'decoders = "2"',
        'exclude = "*.tmp"',
        "exclude = [1]",
        "exclude = [['*.tmp']]",
        "follow_symlinks = 1",
        'follow_symlinks = "yes"',
        "max_megapixels = 0",
        "rescan = 0",
        "rescan = -5",
        "rescan = nan",
        "rescan = inf",
        "rescan = true",
        'rescan = "1h"',
        f"rescan = {10**400}",
        f"rescan_unwatched = -{10**400}",
        "idle_unload = inf",
        "idle_unload = 1e10",
        "offline = 0",
        'power = "battery"',
        'quiet_hours = ["22-7"]',
        "rescan = 1979-05-27",
    ],
)
def test_a_value_of_the_wrong_kind_is_named(tmp_path: Path, line: str) -> None:
    path = settings(tmp_path, line + "\n")
    with pytest.raises(SettingsError) as error:
        load(path)
    assert line.split()[0] in error.value.message
    assert path in error.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"model = ", "at line 1"),
        (b"= 1", "at line 1"),
        (b"model = 'a'\nmodel = 'b'", "at line 2"),
        (b"\xff\xfe", "not UTF-8, in line 1"),
        (b'# gr\xc3\xbcn\nmodel = "gr\xfcn"\n', "not UTF-8, in line 2"),
        (b"\0" * 100, "at line 1"),
        (b"exclude = " + b"[" * 100_000, "nested too deeply"),
        (b"#" * (1 << 20) + b"\n", "larger than any settings, 1.0 MB"),
        (
            b"# mine\n\n 'rescan'=\"soon\"\n",
            "settings.toml, line 3: rescan is a number, not 'soon'",
        ),
        (b"\n[rescan]\nevery = 5\n", "settings.toml, line 2: rescan is a number"),
        (b"rescan.every = 5\n", "settings.toml, line 1: rescan is a number"),
        (b"offline = 'yes'\n", "offline is true or false"),
        (b"batch_size = true\n", "batch_size is a whole number, not true"),
        (b"model = '" + b"x" * 1000 + b"'\ndecoders = '" + b"y" * 1000 + b"'\n", "not 'yyy"),
        (b"exclude = ['*.tmp', '!']\n", "settings.toml, line 1: exclude: "),
        (b"'' = 1\n", "settings.toml, line 1: there is no setting ''"),
        (b"listen = 'tcp://nas:7571'\n", "'tcp://nas:7571' is not like tcp://0.0.0.0:7571"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_what_to_do(
    tmp_path: Path, text: bytes, words: str
) -> None:
    path = settings(tmp_path, text)
    with pytest.raises(SettingsError) as error:
        load(path)
    assert words in error.value.message
    assert path in error.value.message
    assert error.value.hint
    assert len(error.value.message.removeprefix(path)) < 200
    assert "\n" not in error.value.message


def test_a_mark_of_the_byte_order_does_no_harm(tmp_path: Path) -> None:
    """As some editors write it."""
    path = settings(tmp_path, b"\xef\xbb\xbfdecoders = 3\n")
    assert load(path) == Settings(decoders=3)
    remember(path, "model", "builtin")
    assert load(path) == Settings(model="builtin", decoders=3)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_file_is_named_and_not_waited_for(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "settings.toml")
    with pytest.raises(SettingsError, match="is there and is no file") as error:
        load(os.fspath(tmp_path / "settings.toml"))
    assert (
        error.value.hint
        == f"move it away: mv {tmp_path}/settings.toml {tmp_path}/settings.toml.old"
    )


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may read anything."""
    user = os.geteuid()
    if not user:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(tmp_path, "decoders = 3\n")
    # Nothing else may be in the way, as root's folders are above this one.
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    os.chmod("settings.toml", 0o644)
    with unprivileged():
        assert load("settings.toml") == Settings(decoders=3)
    os.chmod("settings.toml", 0)
    with unprivileged(), pytest.raises(SettingsError, match="Permission denied") as error:
        load("settings.toml")
    assert error.value.hint == "`imgq doctor` tells what keeps it from being read"


def test_what_is_remembered_keeps_all_else(tmp_path: Path) -> None:
    text = '# über alles\nmodel = "fast"  # the default\n\nexclude = [\n  "*.tmp", # drafts\n]\n'
    path = settings(tmp_path, text)
    remember(path, "model", "builtin")
    assert Path(path).read_text("utf-8") == text.replace('"fast"', '"builtin"')
    remember(path, "device", "cpu")
    assert Path(path).read_text("utf-8").startswith("# über alles\n")
    assert (load(path).model, load(path).device, load(path).exclude) == (
        "builtin",
        "cpu",
        ("*.tmp",),
    )
    assert os.listdir(tmp_path) == ["settings.toml"]


@pytest.mark.parametrize(
    "text",
    [
        "# c\r\nrescan = 60\r\noffline = true\r\n",
        "# c\r\n#rescan = 3600.0\r\n",
        "exclude = [\r\n  'a',\r\n]\r\noffline = true\r\n",
    ],
)
def test_line_ends_stay_as_an_editor_left_them(tmp_path: Path, text: str) -> None:
    path = settings(tmp_path, text)
    remember(path, "rescan", 90.5)
    remember(path, "model", "builtin")
    written = Path(path).read_bytes()
    assert written.count(b"\n") == written.count(b"\r\n") >= text.count("\r\n")
    assert (load(path).rescan, load(path).model) == (90.5, "builtin")
    path = settings(tmp_path, text.replace("\r\n", "\n"))
    remember(path, "rescan", 90.5)
    assert b"\r" not in Path(path).read_bytes()


def test_a_mark_of_the_byte_order_stays(tmp_path: Path) -> None:
    path = settings(tmp_path, b"\xef\xbb\xbf# c\r\nrescan = 60\r\n")
    remember(path, "rescan", 90.5)
    remember(path, "model", "builtin")
    written = Path(path).read_bytes()
    assert written == b'\xef\xbb\xbf# c\r\nrescan = 90.5\r\nmodel = "builtin"\r\n'
    assert load(path).rescan == 90.5


def test_what_is_remembered_makes_the_file_and_its_folders(tmp_path: Path) -> None:
    path = os.fspath(tmp_path / "home" / "deep" / "settings.toml")
    remember(path, "model", "builtin")
    assert load(path) == Settings(model="builtin")
    assert os.stat(tmp_path / "home" / "deep").st_mode & 0o077 == 0


def test_what_is_remembered_already_is_not_written(tmp_path: Path) -> None:
    path = settings(tmp_path, 'model = "fast"')
    before = os.stat(path)
    remember(path, "model", "fast")
    assert os.stat(path) == before


def test_a_file_that_is_a_link_stays_one(tmp_path: Path) -> None:
    """As those have it who keep their settings in a repository."""
    (tmp_path / "dotfiles").mkdir()
    there = settings(tmp_path / "dotfiles", 'model = "fast"\n')
    link = tmp_path / "settings.toml"
    link.symlink_to(there)
    remember(os.fspath(link), "model", "builtin")
    assert link.is_symlink()
    assert load(there).model == "builtin"


def test_what_is_shown_can_be_read_again(tmp_path: Path) -> None:
    some = Settings(model="x/y", exclude=("a b", 'quo"te', "ü"), rescan=1.5, offline=True)
    assert load(settings(tmp_path, shown(some))) == some
    assert list(tomlkit.parse(shown(DEFAULTS))) == list(NAMES)


def test_it_prints_itself_for_the_client(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("decoders = 5\n")

    def printed() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "imgqd.settings_file", "show"],
            env=os.environ | {"IMGQ_HOME": os.fspath(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    done = printed()
    assert (done.returncode, done.stdout) == (0, shown(Settings(decoders=5)))
    (tmp_path / "settings.toml").write_text("decoder = 5\n")
    done = printed()
    assert done.returncode == 2
    assert done.stdout == ""
    assert "decoders" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_readme_tells_of_every_setting() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    for name in NAMES:
        value = tomlkit.dumps({name: getattr(DEFAULTS, name)}).split(" = ")[1].strip()
        assert f"| `{name}` | `{value}` |" in readme
        assert bounds(name).about


def test_the_documented_file_sets_nothing_until_its_marks_are_taken_away(tmp_path: Path) -> None:
    assert load(settings(tmp_path, documented())) == DEFAULTS
    lines = [line[1:] for line in documented().splitlines() if line.startswith("#")]
    settled = "\n".join(line for line in lines if not line.startswith(" "))
    assert list(tomlkit.parse(settled)) == list(NAMES)
    assert load(settings(tmp_path, settled)) == DEFAULTS


def test_settings_that_cannot_be_written_stay_as_they_are(tmp_path: Path) -> None:
    path = settings(tmp_path, "batch_size = 8\n")
    with disks.read_only(tmp_path), pytest.raises(Refused, match="cannot write the settings") as no:
        remember(path, "model", "builtin")
    assert path in no.value.message
    assert os.listdir(tmp_path) == ["settings.toml"]
    assert load(path).model == DEFAULTS.model


def test_a_text_is_not_read_as_toml() -> None:
    assert read("model", ["true"]) == "true"
    assert read("rescan", ["60"]) == 60
