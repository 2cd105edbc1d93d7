"""Manual pages are made of what the commands say, and roff reads them as it was meant."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from imgq.cli import manpage, manual
from imgq.cli.commands import _MODULES, imgq
from imgq.cli.options import TAKES

PAGES = manpage.pages()
ROOT = Path(__file__).resolve().parents[1]


def test_there_is_a_page_for_each_command() -> None:
    assert set(PAGES) == {"imgq.1", "imgq-search.1", *(f"imgq-{name}.1" for name in _MODULES)}


@pytest.mark.parametrize("option", TAKES)
def test_every_option_of_a_search_is_on_its_page(option: str) -> None:
    assert option.replace("-", r"\-") in PAGES["imgq-search.1"]
    assert manual.synopsis(option)


@pytest.mark.parametrize("name", _MODULES)
def test_every_option_of_a_command_is_on_its_page(name: str) -> None:
    command = imgq.get_command(click.Context(imgq), name)
    assert command
    inner = command.commands.values() if isinstance(command, click.Group) else []
    for each in (command, *inner):
        for option in (param for param in each.params if isinstance(param, click.Option)):
            assert max(option.opts, key=len).replace("-", r"\-") in PAGES[f"imgq-{name}.1"]


def test_what_is_shipped_tells_of_nothing_that_is_not_there() -> None:
    shipped = {path.name: path.read_text("utf-8") for path in (ROOT / "docs" / "man").iterdir()}
    assert {"imgq.1", "imgq-search.1"} <= set(shipped) <= set(PAGES)
    for name, page in shipped.items():
        options = re.findall(r"\\-\\-[a-z\\-]+", page)
        assert [option for option in options if option not in PAGES[name]] == []


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
def test_roff_finds_nothing_wrong(tmp_path: Path) -> None:
    manpage.main(str(tmp_path))
    pages = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True
    )
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


def test_the_options_of_the_contract_are_told_of() -> None:
    """Those that a search has; in its help, on its page, and in what a person reads first."""
    contract = """--top --like --not --in --after --before --camera --lens --ext --near --size
    --orientation --rating --text --all --exact --wait --batch --json --jsonl --paths --null --html
    --open --preview --timeout --negative --negative-weight --weights""".split()  # noqa: SIM905 - as words they are read more easily
    page = PAGES["imgq-search.1"].replace("\\-", "-")
    for option in contract:
        assert option in manual.help_text()
        assert option in page


def test_text_is_no_order_to_roff() -> None:
    assert manpage._escaped(".x\n'y - \\z") == "\\&.x\n\\&'y \\- \\ez"


def test_help_of_everything_fits_a_screen() -> None:
    text = imgq.get_help(click.Context(imgq, info_name="imgq"))
    assert len(text.splitlines()) <= 24
    assert all(len(line) <= 80 for line in text.splitlines())
    for name in _MODULES:
        assert f" {name}" in text.partition("Commands")[2]


@pytest.mark.parametrize("name", _MODULES)
def test_help_of_a_command_fits_a_screen(name: str) -> None:
    command = imgq.get_command(click.Context(imgq), name)
    assert command
    text = command.get_help(
        click.Context(command, click.Context(imgq, info_name="imgq"), info_name=name)
    )
    assert len(text.splitlines()) <= 24
