"""A place in a line of text, as a person is shown it: the line, and carets under the place."""

from __future__ import annotations

from unicodedata import combining, east_asian_width

from imgq.render import words

# Columns of a terminal; what is left and right of them is not shown.
_BEFORE, _UNDER = 40, 36
_INDENT = "  "


def pointed(line: str, start: int, end: int) -> str:
    """Two lines of text without control characters; the place is `line[start:end]`, which may be empty."""
    before = fitted(_shown(line[:start])[::-1], _BEFORE)[::-1]
    under = fitted(_shown(line[start:end]), _UNDER)
    behind = fitted(_shown(line[end:]), _BEFORE + _UNDER - columns(before + under))
    carets = "^" * max(columns(under), 1)
    return f"{_INDENT}{before}{under}{behind}\n{_INDENT}{' ' * columns(before)}{carets}"


def columns(text: str) -> int:
    """How many of them a terminal takes for the text."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def _shown(text: str) -> str:
    return words("".join(" " if character.isspace() else character for character in text))


def fitted(text: str, most: int) -> str:
    """Its beginning, with an ellipsis where that is not all of it."""
    if columns(text) <= most:
        return text
    kept = ""
    for character in text:
        if columns(kept + character) >= most:
            break
        kept += character
    return f"{kept}…"
