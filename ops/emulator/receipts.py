"""The receipt log: one line per effect, appended and flushed at the moment of the effect.

It is what a room would have shown. A replay of a key, a refused or a lost request leaves no line.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO


@dataclass(frozen=True, slots=True)
class Receipt:
    """`at` is epoch seconds of the effect; `sha256` is of the text's UTF-8 or of the image's bytes (of the
    concatenated digests, if a request held several)."""

    n: int
    at: float
    channel: str
    room: str
    kind: str
    key: str | None
    attempt: str | None
    sha256: str
    message_id: str


class Receipts:
    """An append-only JSONL file, or memory only when no path is given. Thread-safe.

    An existing file is read first and goes on, so that a restarted emulator still knows its keys."""

    def __init__(self, path: Path | None) -> None:
        self._guard = threading.Lock()
        self._all: list[Receipt] = list(_read(path)) if path else []
        self._next = self._all[-1].n + 1 if self._all else 1
        self._file: TextIO | None = None
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")

    def append(self, **fields: Any) -> Receipt:
        """Number and write one effect. `message_id` may hold `{n}` for that number."""
        with self._guard:
            fields["message_id"] = fields["message_id"].replace("{n}", str(self._next))
            receipt = Receipt(n=self._next, **fields)
            self._next += 1
            self._all.append(receipt)
            if self._file:
                self._file.write(json.dumps(asdict(receipt), ensure_ascii=False) + "\n")
                self._file.flush()
        return receipt

    def all(self, since: int = 0) -> list[Receipt]:
        """Every effect with a number above `since`, in order."""
        with self._guard:
            return [receipt for receipt in self._all if receipt.n > since]

    def close(self) -> None:
        """Close the file; appending afterwards is kept in memory only."""
        with self._guard:
            if self._file:
                self._file.close()
                self._file = None


def _read(path: Path) -> Iterator[Receipt]:
    """Half a last line, left by a killed process, is passed over, and ended so that the next one is whole."""
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    if text and not text.endswith("\n"):
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")
    for line in text.splitlines():
        try:
            yield Receipt(**json.loads(line))
        except (ValueError, TypeError):
            continue
