"""`imgq stats`."""

from __future__ import annotations

import sys

import click

from imgq import render, wire
from imgq.cli.options import not_together
from imgq.cli.status import size
from imgq.client import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--prometheus", is_flag=True, help="Text for Prometheus to scrape.")
def stats(as_json: bool, prometheus: bool) -> None:
    """Show where time and memory go: rates, and times by stage since the daemon's start."""
    if as_json and prometheus:
        raise not_together("--json", "--prometheus")
    now = ask(wire.AskStats())
    assert isinstance(now, wire.Stats)
    if as_json:
        sys.stdout.buffer.write(render.json_line(render.plain(now)))
    elif prometheus:
        from imgq.prometheus import exposition

        sys.stdout.buffer.write(exposition(now).encode())
    else:
        click.echo("\n".join(_lines(now)))


def _lines(now: wire.Stats) -> Iterator[str]:
    counters = now.counters.plain()
    yield f"indexing  {now.rates.pictures_per_s:.0f} pictures/s now"
    yield from _table(now.indexing)
    yield "          " + ", ".join(f"{count} {what}" for what, count in counters.items())
    yield "search"
    yield from _table(now.search)
    tested = now.selftest
    if tested.recall is not None:
        found = f"{tested.recall:.3f} of the ten nearest by {tested.queries} queries"
        yield f"selftest  found {found}, looking {tested.deep} times as deep"
    yield f"memory    {size(now.codes_bytes)} to search through; {size(now.index.bytes)} on disk"
    for each in now.processes:
        yield f"  {each.role:<9}{each.pid:>9}  {_memory(each.memory_bytes):>9}  {_cpu(each.cpu_s)}"


def _table(stages: tuple[wire.StageTime, ...]) -> Iterator[str]:
    yield f"  {'stage':<9}{'count':>9}{'seconds':>11}{'mean ms':>10}{'p50 ms':>10}{'p95 ms':>10}"
    for each in stages:
        mean = each.seconds / each.count if each.count else None
        times = "".join(f"{_ms(time):>10}" for time in (mean, each.p50_s, each.p95_s))
        yield f"  {each.stage:<9}{each.count:>9}{each.seconds:>11.2f}{times}".rstrip()


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.2f}"


def _memory(count: int | None) -> str:
    return "" if count is None else size(count)


def _cpu(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f} s of a core"
