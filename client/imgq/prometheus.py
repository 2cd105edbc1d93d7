"""Statistics in Prometheus' text format 0.0.4; names and units follow its conventions."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Literal

    from imgq import wire

    Kind = Literal["gauge", "counter", "summary"]

# Labels, and the value; with them the ending of a name that a summary's parts have.
Sample = tuple[str, dict[str, str], float]

_STATES = ("files", "pending", "failed", "offline", "ignored")


def exposition(now: wire.Stats) -> str:
    """Everything, for a scraper or the textfile collector of node_exporter."""
    return "".join(f"{line}\n" for line in _lines(now))


def _lines(now: wire.Stats) -> Iterator[str]:
    index, counters = now.index, now.counters.plain()
    info = {"version": now.version, "model": now.model}
    yield from _metric("imgq_info", "gauge", "The daemon that answers.", [("", info, 1)])
    yield from _one("imgq_uptime_seconds", "Since the daemon's start.", now.uptime_s)
    files: list[Sample] = [("", {"state": state}, getattr(index, state)) for state in _STATES]
    yield from _metric("imgq_files", "gauge", "Files; the state `files` can be found.", files)
    yield from _one("imgq_pictures", "Pictures with an embedding.", index.pictures)
    yield from _one("imgq_index_bytes", "The index on disk.", index.bytes)
    yield from _one("imgq_codes_bytes", "What searches go through, in memory.", now.codes_bytes)
    yield from _one("imgq_pictures_per_second", "Embedded now.", now.rates.pictures_per_s)
    if now.selftest.recall is not None:
        help = "Share of the ten nearest that a self-test's searches found."
        yield from _one("imgq_selftest_recall", help, now.selftest.recall)
    for name, count in counters.items():
        help = f"Counter `{name}` of imgq status, since the daemon's start."
        yield from _metric(f"imgq_{name}_total", "counter", help, [("", {}, count)])
    yield from _stages(now)
    yield from _processes(now.processes)


def _stages(now: wire.Stats) -> Iterator[str]:
    name, help = "imgq_indexing", "over all that work beside each other."
    seconds: list[Sample] = [("", {"stage": each.stage}, each.seconds) for each in now.indexing]
    counts: list[Sample] = [("", {"stage": each.stage}, each.count) for each in now.indexing]
    yield from _metric(f"{name}_seconds_total", "counter", f"Seconds in a stage, {help}", seconds)
    yield from _metric(f"{name}_files_total", "counter", f"Files through a stage, {help}", counts)
    yield from _metric(
        "imgq_search_seconds",
        "summary",
        "Of a search by stage; quantiles are of the latest.",
        [sample for each in now.search for sample in _summary(each)],
    )


def _summary(stage: wire.StageTime) -> Iterator[Sample]:
    label = {"stage": stage.stage}
    for quantile, seconds in (("0.5", stage.p50_s), ("0.95", stage.p95_s)):
        if seconds is not None:
            yield "", {**label, "quantile": quantile}, seconds
    yield "_sum", label, stage.seconds
    yield "_count", label, stage.count


def _processes(processes: tuple[wire.Usage, ...]) -> Iterator[str]:
    memory: list[Sample] = []
    cores: list[Sample] = []
    for each in processes:
        label = {"role": each.role, "pid": str(each.pid)}
        if each.memory_bytes is not None:
            memory.append(("", label, each.memory_bytes))
        if each.cpu_s is not None:
            cores.append(("", label, each.cpu_s))
    yield from _metric("imgq_process_resident_memory_bytes", "gauge", "Resident memory.", memory)
    yield from _metric("imgq_process_cpu_seconds_total", "counter", "Of a core.", cores)


def _one(name: str, help: str, value: float) -> Iterator[str]:
    yield from _metric(name, "gauge", help, [("", {}, value)])


def _metric(name: str, kind: Kind, help: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {kind}"
    for ending, labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{ending}{{{inside}}} {value!r}" if inside else f"{name}{ending} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
