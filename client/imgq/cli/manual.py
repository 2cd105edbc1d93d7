"""What a search takes, in words: for its help, its manual page and shells that complete a line."""

from __future__ import annotations

from imgq.cli.options import OPTIONAL, SHORT, TAKES
from imgq.errors import UsageError

_SYNOPSIS = "imgq [search] QUERY… [options]"
EXAMPLES = {
    'imgq "red car"': "what is in the picture, in words",
    "imgq horse + stripes - people": "what it should be near, and what not",
    "imgq 2:beach + 0.5:./pool.jpg": "weights, and pictures as terms",
    "imgq --like photo.jpg --json": "pictures like this one, for a program",
}
_EXIT_CODES = "exit codes: 0 hits · 1 none · 2 usage · 3 no daemon · 4 refused · 5 protocol"

# Every option in its group, with a sentence that says what it does.
GROUPS: dict[str, dict[str, str]] = {
    "query": {
        "--like": "Pictures like this one; `-` takes it from stdin. May be given again.",
        "--not": "Unlike this text or picture, as behind `-`. May be given again.",
        "--weights": "How much the text, and how much the picture of the query weighs: two numbers.",
        "--negative": "Unlike this text or picture, by half. May be given again.",
        "--negative-weight": "How much each --negative weighs, in place of 0.5.",
        "--batch": "A query a line of this file, `-` is stdin, all in one batch; a line of JSON each.",
    },
    "narrow": {
        "--in": "Only what lies under this folder. May be given again.",
        "--after": "Taken then or later: 2024, 2024-06-01, yesterday, `3 days ago`.",
        "--before": "Taken before then.",
        "--camera": "By a camera whose name has this part. May be given again.",
        "--lens": "Through a lens whose name has this part. May be given again.",
        "--ext": "Files whose names end so: jpg, or `jpg,png`. May be given again.",
        "--near": "Taken within so many kilometers of a place: 52.1,4.3,10.",
        "--size": "So large: `>2MP`, `>=1920x1080`, `<500KB`. All that are given hold.",
        "--orientation": "landscape, portrait or square.",
        "--rating": "With a rating: 4, or `>=4`.",
        "--text": "With these words in names, title, description or keywords; alone, the best fit first.",
        "--all": "Also files whose folder is offline.",
    },
    "answer": {
        "--top": "At most so many hits, 1 to 100,000, in place of 20.",
        "--min-score": "Only what has that score; `auto` finds one by the query's own background.",
        "--json": "One JSON object.",
        "--jsonl": "JSON, a hit a line.",
        "--paths": "Paths alone, a line each.",
        "--null": "Paths alone, each ended by NUL, as xargs -0 takes them.",
        "--html": "A page with thumbnails, in one file; without FILE in a temporary one, its path printed.",
        "--open": "The page, in the browser.",
        "--preview": "The pictures themselves, on a terminal that can show them.",
    },
    "how": {
        "--wait": "First wait until every change on disk is in the index.",
        "--exact": "Compare with every vector on disk, which takes longer.",
        "--model": "By another model than the one in use, one that `imgq model use --keep` keeps.",
        "--timeout": "How many seconds to wait for the answer, in place of 30.",
        "--help": "This help; what one option does, or all, where one is named.",
    },
}
_WIDTH = 80
_INDENT = 8


def help_text() -> str:
    """What fits a screen: examples, and the options by what they are for."""
    widest = max(map(len, EXAMPLES))
    examples = (f"  {line:<{widest}}  {words}" for line, words in EXAMPLES.items())
    groups = (line for name, group in GROUPS.items() for line in _wrapped(name, group))
    more = "`imgq search --help=OPTION` says what an option does; --help=all, what each."
    return "\n".join([f"Usage: {_SYNOPSIS}", "", *examples, "", *groups, "", more, _EXIT_CODES, ""])


def about(option: str) -> str:
    """What one option does, or all of them. Raises UsageError where there is none of that name."""
    if option == "all":
        return "\n".join(map(about, (name for group in GROUPS.values() for name in group)))
    name = SHORT.get(option, option if option.startswith("-") else f"--{option}")
    words = {name: words for group in GROUPS.values() for name, words in group.items()}
    if name not in words:
        raise UsageError(f"there is no option {option}", "`imgq search --help` lists them")
    return f"{synopsis(name)}\n    {words[name]}\n"


def synopsis(option: str) -> str:
    """As it is written: `-k, --top N`."""
    short = next((f"{short}, " for short, name in SHORT.items() if name == option), "")
    optional = OPTIONAL.get(option)
    value = f"[={optional}]" if optional else f" {TAKES[option]}" if TAKES[option] else ""
    return f"{short}{option}{value}"


def _wrapped(name: str, group: dict[str, str]) -> list[str]:
    lines, line = list[str](), f"{name:<{_INDENT}}"
    for option in group:
        written = synopsis(option)
        if len(line) + len(written) > _WIDTH:
            lines.append(line.rstrip())
            line = " " * _INDENT
        line += f"{written}  "
    return [*lines, line.rstrip()]
