"""Cut a long text into pieces that a channel takes, where people would cut it."""

from __future__ import annotations

import unicodedata
from itertools import takewhile
from typing import Final

_JOINER: Final = "\u200d"
_JAMO: Final = range(0x1160, 0x1200)  # vowels and final consonants that combine with what stands before
_SKIN: Final = range(0x1F3FB, 0x1F400)
_FLAG: Final = range(0x1F1E6, 0x1F200)
_TAGS: Final = range(0xE0020, 0xE0080)


def split(text: str, limit: int) -> list[str]:
    """The text in pieces of at most `limit` code points: cut at line ends, else spaces, else characters.

    White space at a cut is dropped, everything else is kept in order. Nothing that shows as one character
    is cut (UAX #29, as far as chats meet it), unless it is longer than `limit` itself.
    """
    pieces = []
    rest = text
    while len(rest) > limit:
        place = _cut(rest, limit)
        pieces.append(rest[:place].rstrip())
        rest = rest[place:].lstrip()
    pieces.append(rest)
    return [piece for piece in pieces if piece] or [text]


def _cut(text: str, limit: int) -> int:
    """Where the first piece ends. A cut that would leave less than half a piece is made elsewhere."""
    for ends in ("\n", None):
        for place in range(limit, limit // 2, -1):
            found = text[place] == ends if ends else text[place].isspace()
            if found:
                return place
    return next((place for place in range(limit, 0, -1) if _between(text, place)), limit)


def _between(text: str, place: int) -> bool:
    """Whether two characters part here, and not one in its middle."""
    before, after = text[place - 1], text[place]
    code = ord(after)
    if before == _JOINER or after == _JOINER or unicodedata.category(after).startswith("M"):
        return False
    if code in _JAMO or code in _SKIN or code in _TAGS:
        return False
    if code in _FLAG and ord(before) in _FLAG:
        flags = takewhile(lambda one: ord(one) in _FLAG, reversed(text[:place]))
        return sum(1 for _ in flags) % 2 == 0
    return not (before == "\r" and after == "\n")
