"""Where time and memory go, as `imgq stats` shows it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from imgq import __version__, wire
from imgqd.health import usage

if TYPE_CHECKING:
    from imgqd.daemon import Daemon
    from imgqd.health.stages import Stage
    from imgqd.search.times import Times


def stats(daemon: Daemon) -> wire.Stats:
    status, times = daemon.status(), daemon.searcher.times
    codes = daemon.index.resident.snapshot().codes
    selftest = asdict(daemon.searcher.selftest.told())
    return wire.Stats(
        version=__version__,
        model=daemon.card.name,
        uptime_s=round(time.monotonic() - daemon.life.began, 1),
        rates=status.rates,
        counters=status.counters,
        indexing=tuple(
            wire.StageTime(**_total(each)) for each in daemon.pipeline.stages.snapshot()
        ),
        search=tuple(_search(each, times) for each in times.snapshot()),
        processes=tuple(map(usage.of, status.processes)),
        index=status.index,
        codes_bytes=codes.values.nbytes + codes.steps.nbytes,
        selftest=wire.SelfTested(**selftest),
    )


def _search(stage: Stage, times: Times) -> wire.StageTime:
    p50_s, p95_s = times.quantile(stage.name, 0.5), times.quantile(stage.name, 0.95)
    return wire.StageTime(**_total(stage), p50_s=p50_s, p95_s=p95_s)


def _total(stage: Stage) -> dict[str, Any]:
    return {"stage": stage.name, "count": stage.count, "seconds": round(stage.seconds, 6)}
