"""What is released: wheel and sdist with what they should hold, and a client that does without the rest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from importlib.metadata import distribution
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from conftest import Home
from pictures import jpeg

ROOT = Path(__file__).resolve().parents[1]
# What a client is installed with: what it wants, and what that wants.
SMALL = ("click", "msgpack", "pynacl", "cffi", "pycparser")


def loaded() -> ModuleType:
    spec = spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release = loaded()
for name in ("hatchling", "twine"):
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed", allow_module_level=True)
if not (ROOT / ".git").exists():
    pytest.skip("this is no git checkout", allow_module_level=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built: Path = release.build(tmp_path_factory.mktemp("dist"), "wheel")
    return built


def test_the_wheel_holds_what_it_should(wheel: Path) -> None:
    release.check_wheel(wheel)
    release.check_description(wheel)


def test_the_wheel_names_the_licenses_of_all_that_it_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"imgq-{release.version()}.dist-info/METADATA").decode()
    metadata = Parser().parsestr(text)
    assert metadata["License-Expression"] == "MIT AND CC-BY-4.0 AND OFL-1.1"
    notices = ["client/imgq/demo/library/NOTICE.md", "daemon/imgqd/models/builtin/NOTICE.md"]
    assert sorted(metadata.get_all("License-File", [])) == ["LICENSE", *notices]


def test_the_sdist_would_hold_what_it_should() -> None:
    """Which files go into it; `make release` packs them."""
    from hatchling.builders.sdist import SdistBuilder

    files = {file.distribution_path for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    release.require_same(files, release.expected_in_sdist(release.tracked()))
    assert not [name for name in files if "held_out/" in name]


def test_the_changelog_is_ready_when_its_newest_part_is_dated() -> None:
    said = release.version()
    release.check_changes(f"# Changelog\n\n## {said} - 2026-02-28\n\n## 0.0.1 - 2025-01-01\n")
    for part in (
        "Unreleased",
        said,
        f"{said} - soon",
        f"{said} - 2026-02-30",
        f"{said}1 - 2026-02-28",
    ):
        with pytest.raises(release.Wrong, match=f"is `{part}`, not"):
            release.check_changes(f"## {part}\n\n## {said} - 2026-02-28\n")
    with pytest.raises(release.Wrong, match="is `none`"):
        release.check_changes("# Changelog\n")


def test_the_changelog_tells_of_the_version_or_of_what_is_to_be_released() -> None:
    name = release.PART.findall((ROOT / "CHANGELOG.md").read_text())[0]
    assert name == "Unreleased" or name.startswith(f"{release.version()} - ")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one commit, that a release is made of."""
    for words in (["init"], ["commit", "--allow-empty", "-m", "It begins"]):
        who = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"]
        subprocess.run(["git", *who, *words, "--quiet"], cwd=tmp_path, check=True)
    monkeypatch.setattr(release, "version", lambda: "1.0.0")
    monkeypatch.setattr(release, "ROOT", tmp_path)
    return tmp_path


def test_what_is_not_committed_is_not_released(project: Path) -> None:
    release.check_clean()
    (project / "new.py").touch()
    with pytest.raises(release.Wrong, match=r"not all is committed: \?\? new\.py"):
        release.check_clean()


def test_a_version_is_released_once(project: Path) -> None:
    release.check_new()
    subprocess.run(["git", "tag", "v1.0.0"], cwd=project, check=True)
    with pytest.raises(release.Wrong, match=r"the tag v1\.0\.0 is there"):
        release.check_new()


def test_a_manual_page_that_says_something_else_is_told(project: Path) -> None:
    pages = project / "docs" / "man"
    shutil.copytree(ROOT / "docs" / "man", pages)
    release.check_manual()
    (pages / "imgq.1").write_text("imgq")
    with pytest.raises(release.Wrong, match=r"docs/man/imgq\.1 is not what the command says"):
        release.check_manual()


def test_what_should_not_be_there_is_told(wheel: Path, tmp_path: Path) -> None:
    more = Path(shutil.copy(wheel, tmp_path))
    with zipfile.ZipFile(more, "a") as archive:
        archive.writestr("tests/__init__.py", "")
    with pytest.raises(release.Wrong, match=r"tests/__init__\.py should not be there"):
        release.check_wheel(more)
    less = tmp_path / "less" / more.name
    less.parent.mkdir()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(less, "w") as new:
        for name in old.namelist():
            if name != "imgq/units/imgqd.socket":
                new.writestr(name, old.read(name))
    with pytest.raises(release.Wrong, match=r"imgqd\.socket is missing"):
        release.check_wheel(less)


def installed_alone(wheel: Path, folder: Path) -> Path:
    """The program `imgq` in an environment with the wheel and what the client wants, and nothing else."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    offline = ["--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, *offline, str(wheel)], check=True)
    (libraries,) = folder.glob("lib/python3*/site-packages")
    for name in SMALL:
        for file in distribution(name).files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                target = libraries / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), target)
    return folder / "bin" / "imgq"


def test_installed_alone_the_client_asks_a_daemon(wheel: Path, home: Home, tmp_path: Path) -> None:
    imgq = installed_alone(wheel, tmp_path / "alone")
    release.check_client(imgq, tmp_path / "empty")
    jpeg(home.pictures / "red.jpg", "red")
    home.settle()
    environment = {"IMGQ_HOME": home.environment["IMGQ_HOME"], "PATH": "/usr/bin:/bin"}
    done = subprocess.run([str(imgq), "red", "-l"], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{home.pictures}/red.jpg\n", "")
    # Whatever command may be asked for, nothing is loaded that is not there.
    for words in (["roots"], ["status"], ["doctor"], ["files"], ["model", "list"]):
        done = subprocess.run([str(imgq), *words], env=environment, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        assert "ModuleNotFoundError" not in done.stderr
    # What only the daemon's package can do says so, and does nothing.
    empty = environment | {"IMGQ_HOME": str(tmp_path / "other"), "HOME": str(tmp_path / "user")}
    (tmp_path / "user").mkdir()
    python = imgq.with_name("python")
    for command in ([imgq, "start"], [imgq, "service", "install"], [python, "-m", "imgqd"]):
        done = subprocess.run(command, env=empty, capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (4, False)
        assert "this is the client alone\nhint: the daemon comes with: pip install" in done.stderr
    assert os.listdir(tmp_path / "user") == []
    done = subprocess.run([imgq, "doctor"], env=empty, capture_output=True, text=True)
    assert "no daemon is running\n                   the daemon comes with" in done.stdout


def test_the_version_stands_in_one_place() -> None:
    said = release.version()
    where = [
        name
        for name in release.tracked()
        if name.startswith(("client/", "daemon/", "pyproject"))
        and name.endswith((".py", ".toml"))
        and f'"{said}"' in (ROOT / name).read_text()
    ]
    assert where == ["client/imgq/__init__.py"]
