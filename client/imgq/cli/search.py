"""`imgq QUERY…` and `imgq search QUERY…`."""

from __future__ import annotations

import os
import sys
from time import monotonic

from imgq import query, render, wire
from imgq.cli import options
from imgq.client import settle, stream
from imgq.errors import UsageError
from imgq.paths import is_far

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgq.cli.options import Asked


def search(arguments: list[str]) -> int:
    """Asks, prints the answer, returns the exit code."""
    asked = options.parse(arguments)
    if "--help" in asked.flags:
        return show_help(asked.optional.get("--help"))
    if asked.all("--batch"):
        from imgq.cli import batch

        return batch.search(asked)
    wanted = weighed(asked, terms(asked))
    first, hits = answer(when_settled(request(asked, wanted), asked))
    note(first)
    show(asked, wanted, first, hits)
    return 0 if hits else 1


def show_help(option: str | None) -> int:
    from imgq.cli import manual

    sys.stdout.write(manual.about(option) if option else manual.help_text())
    return 0


def terms(asked: Asked, given: Iterable[query.Wanted] = ()) -> list[query.Wanted]:
    """What is asked for, by the words and by the options. Raises UsageError."""
    wanted = [*given, *query.parse(asked.words)]
    wanted += [query.Wanted(path=path) for path in asked.all("--like")]
    wanted += [query.parse_term(term, -1.0) for term in asked.all("--not")]
    negative = -asked.negative_weight
    wanted += [query.parse_term(term, negative) for term in asked.all("--negative")]
    if not wanted and asked.all("--text"):
        _require_no_meaning(asked)
        return []
    if not wanted and asked.values.keys() & options.FILTERS:
        raise UsageError(
            "there is nothing to look for: filters only narrow a search",
            "`imgq beach --after 2024`, or `imgq --text 'holiday rome'`, which looks words up",
        )
    query.check(wanted)
    return wanted


def _require_no_meaning(asked: Asked) -> None:
    """Words that are looked up have no vector. Raises UsageError for what is about one."""
    for option in ("--min-score", "--exact", "--weights"):
        if option in asked.flags or option in asked.values:
            raise UsageError(
                f"{option} is about likeness, and --text alone looks words up",
                f"leave it out, or say what is to be seen, too: `imgq beach --text rome {option} …`",
            )


def weighed(asked: Asked, wanted: list[query.Wanted]) -> list[query.Wanted]:
    """The same by --weights, where there are any. Raises UsageError."""
    return query.balanced(wanted, *asked.weights) if asked.weights and wanted else wanted


def term(wanted: query.Wanted) -> wire.Term:
    """The term as it travels: a text, or a picture's bytes. Raises UsageError that names the file."""
    if wanted.path is None:
        return wire.Term(text=wanted.text, weight=wanted.weight)
    from imgq.pictures import read

    name = os.path.basename(wanted.path) if wanted.path != "-" else "stdin"
    return wire.Term(picture=wanted.picture or read(wanted.path), name=name, weight=wanted.weight)


def request(asked: Asked, wanted: Iterable[query.Wanted]) -> wire.Search:
    """What is asked of the daemon. Raises UsageError."""
    return wire.Search(
        terms=tuple(map(term, wanted)),
        top=asked.top,
        filter=asked.filter,
        offline="--all" in asked.flags,
        exact="--exact" in asked.flags,
        model=asked.model,
        **asked.min_score,
        timeout=asked.timeout,
    )


def when_settled(asks: wire.Search, asked: Asked) -> wire.Search:
    """The question, if it is to wait until the index is settled with what that left of its timeout. Raises
    NotSettled."""
    if "--wait" not in asked.flags:
        return asks
    began = monotonic()
    settle(asks.timeout)
    left = max(asks.timeout - (monotonic() - began), 0.0)
    return wire.Search(**asks.__dict__ | {"timeout": left})


def answer(wanted: wire.Search) -> tuple[wire.Hits, list[wire.Hit]]:
    """The answer's head, and all of its hits."""
    pieces = [piece for piece in stream(wanted, wanted.timeout) if isinstance(piece, wire.Hits)]
    return pieces[0], [hit for piece in pieces for hit in piece.hits]


def note(first: wire.Hits) -> None:
    if first.left_out:
        shown = (render.path(root, sys.stderr.isatty()) for root in first.offline_roots)
        where = ", ".join(map(os.fsdecode, shown))
        _say(f"{first.left_out} offline files left out ({where}); --all shows them")
    files, pending = first.index.files, first.index.pending
    if pending > files:
        # As with a model that is new, or after the loss of the index.
        _say(f"the index is being rebuilt: {pending} of {files + pending} files are pending")
    elif sys.stderr.isatty() and pending:
        _say(f"{pending} files are still being indexed")
    if sys.stderr.isatty() and first.model == "builtin":
        _say("the builtin model is for a first try; `imgq model list` has the real ones")


def _say(words: str) -> None:
    sys.stderr.write(f"imgq: {words}\n")


def show(
    asked: Asked, wanted: Iterable[query.Wanted], first: wire.Hits, hits: list[wire.Hit]
) -> None:
    """The answer in the form that is asked for; a page or JSON says the query in its own language."""
    out = sys.stdout.buffer
    title = query.printed(wanted) or " ".join(asked.all("--text"))
    if asked.flags & {"--html", "--open"}:
        from imgq.cli.gallery import show_page

        show_page(title, first, hits, asked)
    elif "--json" in asked.flags:
        out.write(render.json_line(render.answer(title, first, hits)))
    elif "--jsonl" in asked.flags:
        out.writelines(render.json_line(render.hit_object(*pair)) for pair in enumerate(hits, 1))
    elif "--null" in asked.flags:
        out.writelines(render.path(hit.path, sys.stdout.isatty()) + b"\0" for hit in hits)
    else:
        show_lines(hits, asked.flags)


def show_lines(hits: list[wire.Hit], flags: set[str], numbered: bool = False) -> None:
    """A line a hit, below the pictures themselves where those are asked for."""
    out, terminal = sys.stdout.buffer, sys.stdout.isatty()
    escapes = terminal and takes_escapes()
    is_linked = escapes and not is_far()
    if "--preview" in flags:
        _preview(hits, escapes)
    for rank, hit in enumerate(hits, 1):
        shown = render.path(hit.path, terminal)
        shown = render.linked(hit.path, shown) if is_linked else shown
        out.write(b"%3d  " % rank if numbered else b"")
        out.write(shown + b"\n" if "--paths" in flags else render.line(hit, shown))


def takes_escapes() -> bool:
    """Whether a terminal may be sent colors and links."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") not in (
        "dumb",
        "linux",
    )


def _preview(hits: list[wire.Hit], escapes: bool) -> None:
    if not escapes:
        _say("--preview needs a terminal with colors; the lines alone follow")
        return
    from imgq import preview
    from imgq.preview import terminal

    for row in preview.drawn(hits, terminal.asked(sys.stdout.fileno())):
        sys.stdout.buffer.write(row)
        sys.stdout.flush()
