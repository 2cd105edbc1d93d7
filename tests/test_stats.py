"""`imgq stats`: where time and memory go, for a person, for a program, and for Prometheus."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from conftest import Home
from imgq import wire
from imgq.prometheus import exposition
from imgqd.health import usage
from imgqd.health.stages import PIPELINE
from imgqd.search.times import SEARCH, Times
from pictures import jpeg

COUNTED = wire.IndexState(
    files=7, pictures=6, pending=5, failed=4, offline=3, ignored=2, bytes=1000
)
STATS = wire.Stats(
    version="0.1.0",
    model='own "model"\\1\n',
    uptime_s=12.5,
    rates=wire.Rates(pictures_per_s=1.5),
    counters=wire.Counters(decoded=8),
    indexing=[wire.StageTime(stage="read", count=3, seconds=0.5)],
    search=[
        wire.StageTime(stage="total", count=2, seconds=0.25, p50_s=0.125, p95_s=0.2),
        wire.StageTime(stage="rank", count=0, seconds=0.0),
    ],
    processes=[
        wire.Usage(role="daemon", pid=1, memory_bytes=1 << 20, cpu_s=2.25),
        wire.Usage(role="decoder", pid=2),
    ],
    index=COUNTED,
    codes_bytes=99,
    selftest=wire.SelfTested(queries=24, recall=0.996, deep=8),
)
# The text format 0.0.4: a name, labels, and a number.
SAMPLE = re.compile(
    r"([a-zA-Z_:][a-zA-Z0-9_:]*)"
    r'(?:\{([a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*)\})?'
    r" ([0-9.e+-]+)"
)


def samples(text: str) -> dict[str, float]:
    """Each series with its value; everything must be of the format, and of a metric that has a type."""
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.removeprefix("# TYPE ").split()
            assert name not in kinds, name
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            family = next(
                each for each in (name, re.sub("_(sum|count)$", "", name)) if each in kinds
            )
            assert kinds[family] != "counter" or name.endswith("_total"), name
            series = f"{name}{{{labels}}}" if labels else name
            assert series not in found, series
            found[series] = float(value)
    return found


def test_prometheus_gets_its_own_format() -> None:
    found = samples(exposition(STATS))
    assert found[r'imgq_info{version="0.1.0",model="own \"model\"\\1\n"}'] == 1
    assert found['imgq_files{state="pending"}'] == 5
    assert found["imgq_decoded_total"] == 8
    assert found['imgq_indexing_seconds_total{stage="read"}'] == 0.5
    assert found['imgq_indexing_files_total{stage="read"}'] == 3
    assert found['imgq_search_seconds{stage="total",quantile="0.95"}'] == 0.2
    assert found['imgq_search_seconds_count{stage="total"}'] == 2
    assert found['imgq_search_seconds_sum{stage="rank"}'] == 0
    assert found['imgq_process_resident_memory_bytes{role="daemon",pid="1"}'] == 1 << 20
    # What the system does not tell, and what was never measured, is left out.
    assert 'imgq_process_cpu_seconds_total{role="decoder",pid="2"}' not in found
    assert 'imgq_search_seconds{stage="rank",quantile="0.5"}' not in found
    assert found["imgq_codes_bytes"] == 99
    assert found["imgq_selftest_recall"] == 0.996


def test_the_daemon_tells_what_it_has_done(home: Home) -> None:
    for number, color in enumerate(("red", "green", "blue")):
        jpeg(home.pictures / f"{number}.jpg", color)
    home.settle()
    for text in ("red", "red", "a red car"):
        home.search(text)
    told = home.json("stats")
    assert list(told) == list(STATS.plain())
    indexing = {stage["stage"]: stage for stage in told["indexing"]}
    assert list(indexing) == list(PIPELINE)
    # A file as young as these may be read, and recorded, once more.
    assert indexing["decode"]["count"] == indexing["embed"]["count"] == 3
    assert all(stage["count"] >= 3 for stage in indexing.values())
    assert all(stage["seconds"] > 0 for stage in indexing.values())
    search = {stage["stage"]: stage for stage in told["search"]}
    assert {name: stage["count"] for name, stage in search.items()} == dict.fromkeys(SEARCH, 3)
    total = search["total"]
    assert 0 < total["p50_s"] <= total["p95_s"] <= total["seconds"]
    assert sum(search[name]["seconds"] for name in SEARCH[:4]) <= total["seconds"]
    assert told["index"]["files"] == 3
    assert told["counters"]["embedded"] == 3
    assert told["codes_bytes"] > 0
    assert told["selftest"] == {"queries": 0, "recall": None, "deep": 0}
    daemon = told["processes"][0]
    assert (daemon["role"], daemon["pid"]) == ("daemon", told_pid(home))
    assert {each["role"] for each in told["processes"]} == {"daemon", "embedder", "decoder"}
    assert all(each["memory_bytes"] > 1 << 20 for each in told["processes"])
    assert daemon["cpu_s"] > 0

    text = home.imgq("stats", "--prometheus")
    assert text.returncode == 0
    assert samples(text.stdout.decode())['imgq_search_seconds_count{stage="total"}'] == 3
    shown = home.imgq("stats").stdout.decode()
    assert re.search(r"^  total +3 ", shown, re.MULTILINE)
    assert re.search(r"^  decoder +\d+ +[\d.]+ MB", shown, re.MULTILINE)

    both = home.imgq("stats", "--json", "--prometheus")
    assert (both.returncode, both.stdout) == (2, b"")
    assert b"do not go together" in both.stderr


def told_pid(home: Home) -> int:
    assert home.daemon is not None
    return home.daemon.pid


def test_the_latest_times_of_a_search_are_kept() -> None:
    times = Times()
    assert times.quantile("rank", 0.5) is None
    for milliseconds in range(2000):
        times.add("rank", milliseconds / 1e3)
    assert times.quantile("rank", 0.5) == pytest.approx(1.4995)
    assert times.snapshot()[SEARCH.index("rank")].count == 2000


def test_what_a_process_takes() -> None:
    own = usage.of(wire.Process(role="daemon", pid=os.getpid()))
    assert own.memory_bytes is not None
    assert own.cpu_s is not None
    assert 1 << 20 < own.memory_bytes < 1 << 40
    assert own.cpu_s > 0
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    gone = usage.of(wire.Process(role="decoder", pid=child.pid))
    assert (gone.memory_bytes, gone.cpu_s) == (None, None)


def test_where_there_is_no_proc_ps_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    told = subprocess.CompletedProcess([], 0, "  2048   1:02:03.50\n", "")
    monkeypatch.setattr("imgqd.health.usage.sys.platform", "darwin")
    monkeypatch.setattr("imgqd.health.usage.subprocess.run", lambda *_, **__: told)
    own = usage.of(wire.Process(role="daemon", pid=1))
    assert (own.memory_bytes, own.cpu_s) == (2 << 20, 3723.5)


def test_stats_take_no_words(home: Home) -> None:
    done = home.imgq("stats", "of", "the", "war")
    assert done.returncode == 2
    assert b"imgq search stats of the war" in done.stderr


def test_json_has_the_fields_of_the_message(home: Home) -> None:
    done = home.imgq("stats", "--json")
    assert list(json.loads(done.stdout)["index"]) == list(COUNTED.plain())
