"""Text out of files that anybody may have written."""

from __future__ import annotations

import codecs
import unicodedata

LONGEST_REASON = 300

# A codec is a module, and a table of Japanese another: loaded now, while files may be opened.
for _codec in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "ascii", "iso2022_jp"):
    codecs.lookup(_codec)
"亜".encode("iso2022_jp").decode("iso2022_jp")


def one_line(text: str, most: int) -> str:
    """`text` on one line of at most `most` characters, without what could steer a terminal.

    Control characters, invisible ones that turn the direction of writing, and halves of surrogate
    pairs are left out.
    """
    # Cut first: a hostile file may bring megabytes.
    kept = (
        " " if char.isspace() or unicodedata.category(char)[0] == "C" else char
        for char in text[: 8 * most]
    )
    return " ".join("".join(kept).split())[:most].rstrip()
