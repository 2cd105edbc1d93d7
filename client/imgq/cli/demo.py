"""`imgq demo`: the whole thing, in a folder of its own that it removes."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import click

from imgq import lifetime
from imgq.cli import start


@click.command()
@click.option("--dir", "folder", metavar="DIR", help="Your own pictures, in place of the sample.")
@click.option("--query", metavar="QUERY", help="What to search for.")
@click.option(
    "--model", metavar="NAME", default="builtin", show_default=True, help="The model to embed with."
)
@click.option("--html", "page", metavar="FILE", help="Keep the page of an answer here.")
def demo(folder: str | None, query: str | None, model: str, page: str | None) -> None:
    """Show everything on a sample library, offline."""
    from imgq.demo.stage import Stage
    from imgq.demo.tour import Tour

    library = Path(os.fsdecode(start.existing(folder, "demo --dir"))) if folder else None
    target = Path(page).absolute() if page else None
    scratch = Path(tempfile.mkdtemp(prefix="imgq-demo-"))
    os.environ["IMGQ_HOME"] = str(scratch / "home")
    os.environ.pop("IMGQ_SOCKET", None)
    stage = Stage()
    tour = Tour(stage, scratch, library, query)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        lifetime.spawn(model)
        tour.run(target or scratch / "answer.html")
        tour.stop()
    finally:
        # Also after Ctrl-C, or a step that failed: nothing of the demo stays behind.
        lifetime.end()
        shutil.rmtree(scratch, ignore_errors=True)
    stage.title("Now on your own pictures")
    stage.say(
        "imgq start ~/Pictures" if model != "builtin" else "imgq start ~/Pictures --model builtin"
    )


def _interrupt(number: int, frame: object) -> None:
    """Whatever ends the demo ends its daemon, too."""
    raise KeyboardInterrupt
