"""The log: for people or for programs, of bounded size, and with one line a problem."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pictures
from conftest import Home, until
from imgq.paths import places
from imgqd.health import journal


class Lines(logging.Handler):
    """What is told."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter())
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record).splitlines()[0])


@pytest.fixture
def logs() -> Iterator[tuple[logging.Logger, Lines, Lines]]:
    """A logger with two handlers under one filter, as the daemon's has."""
    logger, handlers, once = logging.Logger("test"), (Lines(), Lines()), journal.Once()
    for handler in handlers:
        handler.addFilter(once)
        logger.addHandler(handler)
    yield logger, *handlers
    assert handlers[0].said == handlers[1].said


def test_a_problem_is_told_once_in_an_hour(
    logs: tuple[logging.Logger, Lines, Lines], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, lines, _ = logs
    now = 1000.0
    monkeypatch.setattr(journal.time, "monotonic", lambda: now)
    for _ in range(100):
        logger.warning("%s cannot be read: %s", "/a", "no")
        logger.warning("%s cannot be read: %s", "/b", "no")
        now += 30
    assert lines.said == ["/a cannot be read: no", "/b cannot be read: no"]
    now += 600
    logger.warning("%s cannot be read: %s", "/a", "no")
    assert lines.said[2:] == ["/a cannot be read: no (as 99 times before)"]


def test_news_and_what_is_no_problem_are_always_told(
    logs: tuple[logging.Logger, Lines, Lines],
) -> None:
    logger, lines, _ = logs
    for _ in range(2):
        logger.warning("/a is offline", extra=journal.NEWS)
        logger.info("indexing goes on")
    assert lines.said == ["/a is offline", "indexing goes on"] * 2


def test_a_bug_is_told_from_another(logs: tuple[logging.Logger, Lines, Lines]) -> None:
    logger, lines, _ = logs

    def fail(how: Callable[[], object]) -> None:
        try:
            how()
        except ArithmeticError:
            logger.exception("this is a bug")

    for _ in range(3):
        fail(lambda: 1 / 0)
        fail(lambda: 1.0 / 0)
    assert lines.said == ["this is a bug"] * 2


def test_what_is_remembered_is_bounded() -> None:
    once = journal.Once()
    for number in range(3 * journal.MOST_PROBLEMS):
        record = logging.LogRecord("test", logging.ERROR, "", 0, "%d", (number,), None)
        assert once.filter(record)
    assert len(once._told) == journal.MOST_PROBLEMS


def test_a_person_reads_lines_and_a_program_objects(new_home: Callable[..., Home]) -> None:
    home = new_home()
    home.settings('model = "builtin"\nlog_format = "json"\n')
    home.start()
    home.watch()
    log = Path(places().log)

    def lines() -> list[dict[str, str]]:
        return [json.loads(line) for line in log.read_text().splitlines()]

    assert "imgqd answers, with the model builtin" in [line["message"] for line in lines()]
    for line in lines():
        assert line.keys() == {"time", "level", "part", "message"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    # One switch, and no restart.
    assert home.imgq("config", "set", "log_format", "text").returncode == 0
    person = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO imgqd answers", re.MULTILINE)
    until(lambda: person.search(log.read_text()), "a line for people")


def test_an_error_is_in_its_object() -> None:
    try:
        raise ValueError("\x1b[2J")
    except ValueError as error:
        record = logging.LogRecord(
            "imgqd.part", logging.ERROR, "", 0, "%s", ("\udcff\n",), (ValueError, error, None)
        )
    line = journal.Json().format(record)
    assert line.isascii()
    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["part"], told["message"]) == ("error", "imgqd.part", "\udcff\n")
    assert "ValueError" in told["error"]


def test_the_log_takes_no_more_than_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGQ_HOME", os.fspath(tmp_path))
    monkeypatch.setattr(journal, "MOST_BYTES", 10_000)
    (tmp_path / "logs").mkdir(mode=0o700)
    handler, root = journal.private_log(places()), logging.Logger("root of the test")
    root.addHandler(handler)
    for number in range(2000):
        root.error("line %d, and some more", number)
    handler.close()
    files = sorted((tmp_path / "logs").iterdir())
    assert len(files) == 1 + journal.OLD_FILES
    assert sum(file.stat().st_size for file in files) <= 3 * 10_000
    assert "line 1999," in files[0].read_text()


def test_a_log_that_somebody_took_away_goes_on_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGQ_HOME", os.fspath(tmp_path))
    log = Path(places().log)
    log.parent.mkdir(mode=0o700)
    handler, root = journal.private_log(places()), logging.Logger("root of the test")
    root.addHandler(handler)
    root.error("one")
    log.rename(log.with_name("kept"))
    root.error("two")
    log.unlink()
    root.error("three")
    handler.close()
    assert log.with_name("kept").read_text() == "one\n"
    assert log.read_text() == "three\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_each_time_that_a_root_goes_and_comes_is_told(home: Home) -> None:
    pictures.png(home.pictures / "a.png", 1)
    away = home.pictures.with_name("away")
    home.settle()
    for _ in range(2):
        home.pictures.rename(away)
        until(lambda: home.status().roots[0].state == "offline", "offline")
        away.rename(home.pictures)
        until(lambda: home.status().roots[0].state == "watching", "back")
    home.settle()
    said = [line.partition("WARNING ")[2] for line in home.log.splitlines()]
    told = [line for line in said if line.startswith(f"{home.pictures} is ")]
    assert len(told) == 4
