"""The documentation: complete, with examples that run, links that lead somewhere, and no word to others."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

import fake_embedder
from conftest import PATIENCE_S
from examples import PAGES, ROOT, Example, examples, unknown_options
from imgq import demo, errors, wire
from imgq.cli.commands import _MODULES
from imgq.cli.commands import imgq as program
from imgq.cli.options import TAKES
from imgqd import config
from test_units import analyze, exposure

sys.path.insert(0, str(ROOT / ".ci" / "site"))
import messages
import reference
from fields import ABOUT

ALL = [each for page in PAGES for each in examples(page)]
# What a search without hits exits with is an answer.
NO_HITS = 1


# ── the reference ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference.pages()


@pytest.mark.parametrize("name", ["search", "imgqd", *_MODULES])
def test_every_command_has_its_part(pages: dict[str, str], name: str) -> None:
    title = name if name == "imgqd" else f"imgq {name}"
    assert f"\n## {title}\n" in pages["reference/commands.md"]


def test_every_option_has_its_line(pages: dict[str, str]) -> None:
    parts = pages["reference/commands.md"].split("\n## ")
    text = {part.partition("\n")[0]: part for part in parts}
    for option in TAKES:
        assert f"{option}" in text["imgq search"]
    for option in program.params:
        assert option.opts[-1] in text["imgq"]
    for name in _MODULES:
        command = program.get_command(click.Context(program), name)
        assert command
        inner = command.commands.values() if isinstance(command, click.Group) else []
        for each in (command, *inner):
            for param in each.params:
                if isinstance(param, click.Option):
                    assert f"{max(param.opts, key=len)}" in text[f"imgq {name}"]


@pytest.mark.parametrize("name", config.NAMES)
def test_every_setting_has_its_line(pages: dict[str, str], name: str) -> None:
    (line,) = re.findall(rf"^\| `{name}` \|.*$", pages["reference/settings.md"], re.MULTILINE)
    assert config.bounds(name).about in line


def test_every_field_of_status_is_told_of() -> None:
    assert [path for path, _ in reference.fields(wire.Status)] == list(ABOUT)


def test_every_exit_code_has_its_line(pages: dict[str, str]) -> None:
    codes = {each.exit_code for each in vars(errors).values() if hasattr(each, "exit_code")}
    for code in codes:
        assert f"| `{code}` |" in pages["reference/exit-codes.md"]


# ── messages ────────────────────────────────────────────────────────────────────────────────────────


def test_messages_are_found_however_they_are_raised(tmp_path: Path) -> None:
    source = tmp_path / "client" / "imgq" / "x.py"
    source.parent.mkdir(parents=True)
    source.write_text(
        "raise errors.Refused(f'{a} is no {b!r}', 'do' ' this')\n"
        "raise Refused(f'{a} is {b}', 'no words')\n"
        "raise StoreDamaged(f'bad {x}' + f' and {y}')\n"
        "wire.Trouble(code='x', message=f'{x} fails now', remedy='wait')\n"
        "wrong('socket', 'it is open', f'chmod {x}')\n"
        "Verdict('hub', 'wrong', 'it is away', 'go online')\n"
        "Verdict('hub', 'ok', 'it answers')\n"
        "Failure('damaged', 'the file is empty')\nRefusal('too_large', f'it has {x}')\n"
        "raise Refused(text)\nprint('no message')\n"
    )
    assert messages.said(tmp_path) == [
        messages.Said("doctor", "it is away", "go online"),
        messages.Said("doctor", "it is open", "chmod …"),
        messages.Said("failure", "bad … and …", ""),
        messages.Said("failure", "… is no …", "do this"),
        messages.Said("ledger", "it has …", "too_large"),
        messages.Said("ledger", "the file is empty", "damaged"),
        messages.Said("trouble", "… fails now", "wait"),
    ]


def test_every_trouble_has_its_remedy() -> None:
    found = [each for each in messages.said(ROOT) if each.where in ("trouble", "doctor")]
    assert len(found) > 20
    assert [each.message for each in found if not each.remedy] == []


def quoted(text: str) -> Iterator[str]:
    """What a table of messages says that imgq says."""
    for part in re.split(r"^#+ ", text, flags=re.MULTILINE):
        if re.match(r"By message|.*by message|When it does not work", part):
            yield from re.findall(r"^\| `([^`]+)`[^|]*\|", part, re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/faq.md", "docs/remote.md"])
def test_a_message_that_is_explained_is_one_that_imgq_says(page: str) -> None:
    files = [*ROOT.glob("client/imgq/**/*.py"), *ROOT.glob("daemon/imgqd/**/*.py")]
    # Adjacent texts and f-strings as one; what differs as the page has it.
    source = "\n".join(path.read_text() for path in files)
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    source = re.sub(r"\{[^{}]*\}", "…", source)
    found = list(quoted((ROOT / page).read_text()))
    assert found
    for message in found:
        words = re.sub(r"[…()]", " ", message).split()
        three = [" ".join(words[n : n + 3]).strip(":;,") for n in range(max(len(words) - 2, 1))]
        assert any(each in source for each in three), message


# ── links ───────────────────────────────────────────────────────────────────────────────────────────

LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    titles = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.MULTILINE
    )
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {re.sub(r"[\s-]+", "-", title.strip()) for title in plain}


def text_of(page: Path, made: dict[str, str]) -> str | None:
    name = os.path.relpath(page, ROOT / "docs")
    if name in made:
        return made[name]
    return page.read_text() if page.is_file() and page.suffix == ".md" else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path, pages: dict[str, str]) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in LINK.findall(text):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        there = text_of(target, pages)
        assert target.exists() or there is not None, link
        assert not anchor or anchor in anchors(there or ""), link


def looked_at(row: str) -> Iterator[Path]:
    """What a row of the table names: paths of the checkout, and behind one others beside it or in imgq."""
    folder = ROOT
    for name in re.findall(r"`([^`]*(?:/[^`]*|\.py))`", row):
        beside = (folder / name, folder.parent / name, ROOT / name, ROOT / "client" / "imgq" / name)
        found = next((path for path in beside if path.exists()), ROOT / name)
        folder = found.parent
        yield found


def test_the_map_of_the_source_names_what_is_there() -> None:
    _, _, table = (ROOT / "docs" / "architecture.md").read_text().partition("## Where to look")
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE)
    named = [path for row in rows for path in looked_at(row)]
    assert len(named) > 30
    assert [path for path in named if not path.exists()] == []


# ── the site ────────────────────────────────────────────────────────────────────────────────────────


class Asks(HTMLParser):
    """What a page has a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get("href" if tag == "link" else "src") if tag != "a" else None
        if address and given.get("rel") not in ("canonical", "next", "prev"):
            self.found.append(address)


@pytest.mark.skipif(find_spec("material") is None, reason="mkdocs-material is not installed")
def test_the_site_is_sound_and_asks_no_other_machine(tmp_path: Path) -> None:
    settings = str(ROOT / ".ci" / "site" / "mkdocs.yml")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(
        [*command, "--config-file", settings, "--site-dir", str(tmp_path)],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    shown = {
        path.relative_to(tmp_path).with_suffix(".md").as_posix()
        for path in tmp_path.rglob("*.html")
    }
    written = {
        page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.name != "README.md"
    }
    assert written | reference.pages().keys() <= shown
    for page in tmp_path.rglob("*.html"):
        parser = Asks()
        parser.feed(page.read_text())
        assert parser.found
        assert [each for each in parser.found if re.match(r"(\w+:)?//", each)] == [], page
    for sheet in tmp_path.rglob("*.css"):
        assert re.findall(r"url\(['\"]?(?:\w+:)?//[^)]*\)|@import", sheet.read_text()) == [], sheet


def test_the_unit_for_a_whole_machine_is_one_that_systemd_takes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "howto" / "service.md").read_text()
    (unit,) = re.findall(r"^```ini\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "imgqd.service").write_text(unit)
    done = analyze(
        tmp_path, "--man=no", "verify", str(tmp_path / "imgqd.service"), scope="--system"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert exposure(tmp_path, tmp_path / "imgqd.service", "--system") <= 2.5


# ── examples ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_are_what_a_shell_and_imgq_take(page: Path) -> None:
    for example in examples(page):
        checked = subprocess.run(
            ["bash", "-n", "-c", example.command], capture_output=True, text=True
        )
        assert (checked.returncode, checked.stderr) == (0, ""), example
        assert unknown_options(example.command) == [], example


def test_an_option_that_is_not_there_is_seen() -> None:
    for line in ("imgq red --jason", "imgq status --jsn | jq .", "if imgq x -l --bad; then :; fi"):
        assert unknown_options(line), line
    assert not unknown_options("imgq model add x --weights FILE && imgq -- --what | jq --raw")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Somebody with the sample library as ~/Pictures, an empty ~/Downloads, and a daemon of their own."""
    home = tmp_path_factory.mktemp("ann")
    shutil.copytree(Path(demo.__file__).parent / "library", home / "Pictures")
    (home / "Pictures" / "2024").mkdir()
    (home / "Downloads").mkdir()
    programs = home / "programs"
    programs.mkdir()
    for name, words in (("imgq", f'exec "{sys.executable}" -m imgq "$@"'), ("browser", "exit 0")):
        (programs / name).write_text(f"#!/bin/sh\n{words}\n")
        (programs / name).chmod(0o755)
    environment = os.environ | fake_embedder.environment()
    environment |= {
        "HOME": str(home),
        "IMGQ_HOME": str(home / "imgq"),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "BROWSER": f"{programs}/browser %s",
    }
    for name in ("photo.jpg", "pool.jpg"):
        shutil.copy(home / "Pictures" / "vehicles" / "red-car-on-the-road.jpg", home / name)
    (home / "queries.txt").write_text("red car\ndog\n")
    (home / "cars").mkdir()
    run(environment, "imgq start ~/Pictures ~/Downloads --model builtin && imgq wait")
    yield environment
    run(environment, "imgq stop")


def run(environment: dict[str, str], command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=environment["HOME"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def is_there(example: Example) -> bool:
    """Whether the programs are that it hands its answer to."""
    return all(map(shutil.which, set(re.findall(r"\b(jq|fzf|xargs|du)\b", example.command))))


@pytest.mark.parametrize("page", [page for page in PAGES if any(each.runs for each in examples(page))],
                         ids=lambda page: page.name)  # fmt: skip
def test_examples_run(account: dict[str, str], page: Path) -> None:
    for example in examples(page):
        if not example.runs or not is_there(example):
            continue
        done = run(account, example.command.replace("/tmp/cars", "cars"))
        if example.command.startswith("rm "):
            # What the next example tells of is there.
            run(account, "imgq wait")
        if example.output.startswith("imgq: "):
            # A mistake, and what is said of it.
            assert (done.returncode, done.stderr) == (2, example.output), example
            continue
        # Who reads no further ends the one who writes.
        expected = {0, NO_HITS if example.command.startswith("imgq ") else 0}
        expected |= {141} if re.search(r"\| head", example.command) else set()
        assert done.returncode in expected, (example, done)
