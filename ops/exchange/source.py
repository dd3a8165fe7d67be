"""A file as text: where it comes from, its encoding, and which format it is in."""

from __future__ import annotations

import codecs
import io
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from ops.exchange.values import BadFile

ENCODINGS: Final = ("auto", "utf-8", "cp949")
_CHUNK: Final = 1 << 20
_BY_NAME: Final = {
    ".json": "json", ".csv": "csv", ".tsv": "csv", ".sql": "mysql", ".crontab": "crontab",
    ".cron": "crontab",
}  # fmt: skip
_FOREIGN: Final = (
    (b"PK\x03\x04", "an Excel workbook or another archive", "save it as CSV, then import that"),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
    (b"\x1f\x8b", "compressed", "unpack it first"),
)
_CRON_LINE: Final = re.compile(r"@[a-z]+\s|(?:[\d*][\w*,/\-]*\s+){3}[\w*,/\-]+\s+[\w*,/\-]+\s|[A-Z_]+\s*=")
_SQL: Final = re.compile(
    r"\s*(?:--|/\*|#|INSERT\b|REPLACE\b|CREATE\b|DROP\b|SET\b|LOCK\b|USE\b|START\b)", re.I
)


@contextmanager
def opened(name: str, encoding: str = "auto") -> Iterator[tuple[IO[str], str]]:
    """A file (or `-` for standard input) as text, and the encoding it is in. Raises BadFile."""
    with binary(name) as raw, as_text(raw, name, encoding) as (text, found):
        yield text, found


@contextmanager
def as_text(raw: IO[bytes], name: str, encoding: str = "auto") -> Iterator[tuple[IO[str], str]]:
    """What `opened` does, of a file that is open already."""
    head = raw.read(4)
    raw.seek(0)
    for mark, what, hint in _FOREIGN:
        if head.startswith(mark):
            raise BadFile(f"{_shown(name)} is {what}, not a text file.", f"{hint.capitalize()}.")
    if not head:
        raise BadFile(f"{_shown(name)} is empty.", "An import needs at least one row.")
    found = _encoding(raw, name, encoding)
    raw.seek(0)
    text = io.TextIOWrapper(raw, encoding="utf-8-sig" if found == "utf-8" else found, newline="")
    try:
        yield text, found
    finally:
        text.detach()


@contextmanager
def binary(name: str) -> Iterator[IO[bytes]]:
    """A file, or a copy of standard input, that can be read from its beginning again. Raises BadFile."""
    if name == "-":
        with tempfile.TemporaryFile() as kept:
            shutil.copyfileobj(sys.stdin.buffer, kept)
            kept.seek(0)
            yield kept
        return
    path = Path(name)
    try:
        if path.exists() and not path.is_file():
            raise BadFile(f"{name} is not a file.", "Name a file, or - for standard input.")
        file = path.open("rb")
    except OSError as error:
        raise BadFile(f"{name} cannot be read: {error.strerror}.", "Name a file, or -.") from None
    except ValueError:  # a NUL in the name
        raise BadFile("The file's name cannot be read.", "Name a file, or -.") from None
    with file:
        yield file


def _encoding(raw: IO[bytes], name: str, wanted: str) -> str:
    """The encoding in which the whole file can be read."""
    tried = ("utf-8", "cp949") if wanted == "auto" else (wanted,)
    wrong: dict[str, int] = {}
    for one in tried:
        offset = _first_wrong(raw, one)
        if offset is None:
            return one
        wrong[one] = offset
    if wanted == "auto":
        raise BadFile(
            f"{_shown(name)} is neither UTF-8 (wrong at byte {wrong['utf-8']}) nor cp949 (wrong at byte "
            f"{wrong['cp949']}).",
            "Save it as UTF-8, or mend these bytes.",
        )
    other = "cp949" if wanted == "utf-8" else "utf-8"
    reads = _first_wrong(raw, other) is None
    hint = f"It reads as {other}: say --encoding {other}." if reads else "Save it as UTF-8."
    raise BadFile(f"{_shown(name)} is not {wanted}: wrong at byte {wrong[wanted]}.", hint)


def _first_wrong(raw: IO[bytes], encoding: str) -> int | None:
    """The offset of the first byte that cannot be read; None if all can. Reads the file in chunks."""
    raw.seek(0)
    decoder, done = codecs.getincrementaldecoder(encoding)(), 0
    while True:
        chunk = raw.read(_CHUNK)
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            return done - held + error.start
        if not chunk:
            return None
        done += len(chunk)


def format_of(name: str, text: IO[str]) -> str:
    """The format, from the file's name, else from how it begins. The text is rewound."""
    by_name = _BY_NAME.get(Path(name).suffix.lower())
    if by_name:
        return by_name
    head = text.read(65_536)
    text.seek(0)
    lines = [line for line in head.splitlines() if line.strip()]
    if head.lstrip()[:1] in ("[", "{"):
        return "json"
    first = next((line for line in lines if not line.lstrip().startswith("#")), "")
    if _CRON_LINE.match(first.strip()):
        return "crontab"
    if _SQL.match(head):
        return "mysql"
    return "csv"


def _shown(name: str) -> str:
    return "The standard input" if name == "-" else name
