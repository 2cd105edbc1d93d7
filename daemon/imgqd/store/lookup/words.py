"""Words as they are compared: without case and accents, and where a script has no spaces, a sign a word."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right

MOST_PHRASES = 32
# combining marks of the alphabets of Europe; elsewhere they tell words apart
MARKS = dict.fromkeys(range(0x300, 0x370))
# first and last signs of the scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana, Han
SCRIPTS = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
STARTS = [first for first, _ in SCRIPTS]


def fold(text: str) -> str:
    """Equal for words that differ in case, accents or form alone (Unicode's compatibility forms)."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text).translate(MARKS).casefold()
    return unicodedata.normalize("NFC", plain)


def indexed(text: str) -> str:
    """A text as it is given to the index of words, which splits it at whatever is no letter."""
    folded = fold(text)
    if folded.isascii():
        return folded
    return "".join(f" {sign} " if _stands_alone(sign) else sign for sign in folded)


def phrases(text: str) -> list[str]:
    """What the index is asked for, one query each, all of which a file must match: words, "several
    in this order", and beginnings*; no more than MOST_PHRASES."""
    found = []
    for place, part in enumerate(text.split('"')):
        for written in [part] if place % 2 else part.split():
            # some signs fold to a quotation mark
            words = indexed(written.rstrip("*")).replace('"', " ").replace("\0", " ")
            if any(sign.isalnum() for sign in words):
                found.append(f'"{words}"' + "*" * written.endswith("*"))
    return found[:MOST_PHRASES]


def _stands_alone(sign: str) -> bool:
    place = bisect_right(STARTS, ord(sign)) - 1
    return place >= 0 and ord(sign) <= SCRIPTS[place][1]
