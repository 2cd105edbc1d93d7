"""`imgq follow`: pictures as they arrive."""

from __future__ import annotations

import select
import sys
import time

import click

from imgq import filters, query, render, wire
from imgq.cli import manual, options
from imgq.cli.search import term
from imgq.client import TIMEOUT, stream
from imgq.errors import KeyRefused, NoDaemon, Refused, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Between two attempts to reach a daemon that went away.
PAUSE_S = 0.3
# As large as a number in the index can be.
_LATEST = (1 << 63) - 1
_NARROWING = [name for name in manual.GROUPS["narrow"] if name in options.FILTERS - {"--in"}]


def _narrowing(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the other options that narrow a search, each with its values by its name. Its help
    names them, and fits a screen."""
    for name in reversed(_NARROWING):
        words = manual.GROUPS["narrow"][name]
        metavar = options.TAKES[name]
        given = click.option(name, multiple=True, hidden=True, metavar=metavar, help=words)
        command = given(command)
    return command


@click.command(
    epilog=f"What narrows a search narrows this, too: {', '.join(_NARROWING)}. What one of them takes,"
    " `imgq search --help=OPTION` says."
)
@click.argument("words", metavar="[QUERY]…", nargs=-1)
@_narrowing
@click.option("--in", multiple=True, metavar="DIR", help="Only what comes under DIR.")
@click.option(
    "--min-score",
    metavar="X|auto",
    help="The score that makes a match; auto, unless it is said.",
)
@click.option(
    "--since",
    type=click.IntRange(0, _LATEST),
    metavar="SEQ",
    help="Begin with what came after that one.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
@click.option("-0", "--null", is_flag=True, help="Paths alone, each ended by NUL.")
def follow(
    words: tuple[str, ...],
    min_score: str | None,
    since: int | None,
    as_json: bool,
    null: bool,
    **narrowing: tuple[str, ...],
) -> None:
    """Tell each picture that arrives, and matches the query, as it arrives.

    A file that is new, or shows another picture than before, can be found from the moment it is told;
    one that moves does not. Goes on when the daemon is started again, without a gap.
    """
    if as_json and null:
        raise options.not_together("--json", "--null")
    wanted = query.parse(list(words)) if words else []
    if wanted:
        query.check(wanted)
    elif min_score is not None:
        raise UsageError(
            "--min-score is about likeness, and nothing is said that pictures are to be like",
            f"`imgq follow beach --min-score {min_score}`",
        )
    search = wire.Search(
        terms=tuple(map(term, wanted)),
        filter=filters.read({f"--{name}": list(given) for name, given in narrowing.items()}),
        **(options.min_score("auto" if min_score is None else min_score) if wanted else {}),
    )
    write = _written_as(as_json, null)
    for reply in _without_end(wire.Follow(search=search, after=since)):
        if reply.gap:
            _say("there is a gap: the index is another one, and what came before is not told")
        for arrival in reply.arrivals:
            sys.stdout.buffer.write(write(arrival))
        sys.stdout.flush()
        _require_reader()


def _without_end(request: wire.Follow) -> Iterator[wire.Arrivals]:
    """Every reply, those of a daemon that was started again among them. Raises what went wrong where
    none ever came."""
    is_told, lost = False, ""
    while True:
        try:
            for reply in stream(request, TIMEOUT):
                assert isinstance(reply, wire.Arrivals)
                if lost:
                    _say("the daemon is back")
                is_told, lost = True, ""
                request = wire.Follow(search=request.search, origin=reply.origin, after=reply.last)
                yield reply
        except (NoDaemon, Refused) as failure:
            if not is_told or isinstance(failure, KeyRefused):
                raise
            if failure.message != lost:
                lost = failure.message
                _say(f"{lost}; waiting for it")
        time.sleep(PAUSE_S)


def _written_as(as_json: bool, null: bool) -> Callable[[wire.Arrival], bytes]:
    terminal = sys.stdout.isatty()
    if as_json:
        return lambda arrival: render.json_line(render.arrival_object(arrival))
    if null:
        return lambda arrival: render.path(arrival.path, terminal) + b"\0"
    return lambda arrival: _line(arrival, terminal)


def _line(arrival: wire.Arrival, terminal: bool) -> bytes:
    shown = render.path(arrival.path, terminal)
    return shown + b"\n" if arrival.score is None else b"%.3f\t%s\n" % (arrival.score, shown)


def _require_reader() -> None:
    """Nothing may arrive for a long time: whoever read the pipe may have left it by then."""
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)
    if any(events & (select.POLLERR | select.POLLHUP) for _, events in watch.poll(0)):
        raise BrokenPipeError


def _say(words: str) -> None:
    sys.stderr.write(f"imgq: {render.words(words)}\n")
    sys.stderr.flush()
