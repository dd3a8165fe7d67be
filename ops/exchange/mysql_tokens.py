"""The part of MySQL's language that a dump is written in: statements, tokens, literals (pure).

Strings follow MySQL's escapes (`\\'`, `''`, `\\n`, `\\0`, `\\Z`, `\\\\` …), as mysqldump and phpMyAdmin write
them. Reading goes statement by statement, so a dump of any length needs the memory of its longest INSERT.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

_CHUNK: Final = 1 << 18
_STRING: Final = r"'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+'"
_DOUBLE: Final = r'"[^"\\]*+(?:(?:\\.|"")[^"\\]*+)*+"'
_NAME: Final = r"`[^`]*+(?:``[^`]*+)*+`"
_COMMENT: Final = r"--(?=[\s])[^\n]*|\#[^\n]*|/\*.*?\*/"
_PIECE: Final = re.compile(
    rf"(?P<quoted>{_STRING}|{_DOUBLE}|{_NAME})|(?P<comment>{_COMMENT})|(?P<end>;)"
    r"|(?P<plain>[^'\"`;\#/\-]+|[/\-](?![*\-])|--(?![\s])|-(?!-))",
    re.S,
)
_TOKEN: Final = re.compile(
    rf"(?P<space>\s+)|(?P<comment>{_COMMENT})|(?P<string>{_STRING}|{_DOUBLE})|(?P<name>{_NAME})"
    r"|(?P<hex>0[xX][0-9a-fA-F]+|[xX]'[0-9a-fA-F]*')|(?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_$]*)|(?P<sign>[(),.=*;@<>!+\-/:])",
    re.S,
)
_HEX_FIRST: Final = re.compile(r"[xX]'[0-9a-fA-F]*'")
_ESCAPE: Final = re.compile(r"\\(.)|''|\"\"", re.S)
_MEANS: Final = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}


class NotSql(ValueError):
    """Something that MySQL would not read either; `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement: its kind, its text as meant (unescaped), and its line."""

    kind: str
    text: str
    line: int


def statements(text: IO[str]) -> Iterator[tuple[int, str]]:
    """Each statement of a dump with the line on which it begins; comments before it are not its part."""
    held, at, line, ended, size = "", 0, 1, False, _CHUNK
    begun, pieces = 0, list[str]()
    while True:
        found = _PIECE.match(held, at)
        if (found is None or found.end() == len(held)) and not ended:
            chunk = text.read(size)
            ended, held, at = not chunk, held[at:] + chunk, 0
            size = size * 2 if found is None else _CHUNK
            continue
        if at == len(held):
            break
        if found is None:
            raise NotSql(line, "a quote or a comment is opened here and never closed")
        piece, at = found[0], found.end()
        lines = piece.count("\n")
        if found["end"]:
            if begun:
                yield begun, "".join(pieces)
            begun, pieces = 0, []
        elif found["comment"]:
            pieces += [" " + "\n" * lines] if begun else []
        elif begun or piece.strip():
            if not begun:
                bare = piece.lstrip()
                begun = line + piece[: len(piece) - len(bare)].count("\n")
                piece = bare
            pieces.append(piece)
        line += lines
    if begun:
        yield begun, "".join(pieces)


def tokens(statement: str, line: int = 1) -> Iterator[Token]:
    """The tokens of a statement that begins on `line`. Raises NotSql."""
    at = 0
    while at < len(statement):
        found = _HEX_FIRST.match(statement, at) or _TOKEN.match(statement, at)
        if found is None:
            raise NotSql(line, f"{statement[at : at + 20]!r} cannot be read")
        kind, piece = (found.lastgroup or "hex"), found[0]
        if kind not in ("space", "comment"):
            yield Token(kind, _meant(kind, piece), line)
        line += piece.count("\n")
        at = found.end()


def _meant(kind: str, piece: str) -> str:
    if kind == "name":
        return piece[1:-1].replace("``", "`")
    if kind == "hex":
        return piece[2:].strip("'")
    if kind != "string":
        return piece
    quote = piece[0]
    return _ESCAPE.sub(lambda one: _unescaped(one, quote), piece[1:-1])


def _unescaped(found: re.Match[str], quote: str) -> str:
    if found[1] is None:
        return quote if found[0] == quote * 2 else found[0]
    if found[1] in "%_":
        return found[0]  # MySQL keeps the backslash of these two
    return _MEANS.get(found[1], found[1])
