"""`imgq status`."""

from __future__ import annotations

import os
import sys
import time

import click

from imgq import render, wire
from imgq.cli.progress import status as asked


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--watch", is_flag=True, help="Every second, until Ctrl-C.")
def status(as_json: bool, watch: bool) -> None:
    """Show what the daemon does: model, folders, counts, speed, and what is wrong."""
    while True:
        now = asked()
        if watch and sys.stdout.isatty():
            click.clear()
        if as_json:
            sys.stdout.buffer.write(render.json_line(render.plain(now)))
        else:
            click.echo(os.fsencode("\n".join(lines(now))))
        sys.stdout.flush()
        if not watch:
            return
        time.sleep(1)


def lines(now: wire.Status) -> list[str]:
    """The status as a person reads it."""
    index = now.index
    return [
        f"imgq {now.version}, {now.state}{'' if now.settled else ', not settled'}"
        f" (pid {now.pid}, up {_duration(now.uptime_s)})",
        *([f"waiting  {now.waiting}"] if now.waiting else []),
        f"model    {_model(now.model)}",
        *([f"         {_beside(now)}"] if len(now.models) > 1 else []),
        *([f"change   {_change(now.change)}"] if now.change else []),
        f"index    {index.files} files, {index.pictures} pictures, {size(index.bytes)}",
        f"         {index.pending} pending, {index.failed} failed, {index.offline} offline, "
        f"{index.ignored} ignored",
        *([f"memory   {size(now.memory_bytes)}"] if now.memory_bytes else []),
        *(f"folder   {_path(root.path)}  {root.state}, {root.files} files" for root in now.roots),
        *(["folder   none yet: `imgq add DIR`"] if not now.roots else []),
        *(
            [f"speed    {now.rates.pictures_per_s:.0f} pictures/s"]
            if now.rates.pictures_per_s
            else []
        ),
        *(
            f"trouble  {_path(os.fsencode(trouble.message))}\n         {render.words(trouble.remedy)}"
            for trouble in now.degraded
        ),
    ]


def _model(model: wire.ModelState) -> str:
    on = f" on {model.device}, {model.precision} by {model.engine}" if model.device else ""
    first = " (small, for a first try; `imgq model list` has the real ones)"
    return f"{model.name}, {model.dim} dimensions{on}, {model.state}{first * (model.name == 'builtin')}"


def _beside(now: wire.Status) -> str:
    """The models that can be asked, too."""
    kept = [each.name for each in now.models if each.role == "kept"]
    return f"kept beside it: {', '.join(kept)}" if kept else "no other is kept"


def _change(change: wire.ModelChange) -> str:
    speed = change.pictures_per_s
    left = f", {_duration((change.of - change.done) / speed)} left" if speed else ""
    keeps = ", the one before is kept" if change.keep else ""
    return f"to {change.model}: {change.done} of {change.of} pictures{left}{keeps}"


def _path(path: bytes) -> str:
    return os.fsdecode(render.path(path, sys.stdout.isatty()))


def _duration(seconds: float) -> str:
    minutes, hours = int(seconds) // 60, int(seconds) // 3600
    return (
        f"{hours} h {minutes % 60} min"
        if hours
        else f"{minutes} min"
        if minutes
        else f"{seconds:.0f} s"
    )


def size(count: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
