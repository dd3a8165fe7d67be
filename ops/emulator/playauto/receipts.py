"""What really changed in an emulated PlayAuto, for a checker to read."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

Call = Literal["instruction", "setInvoice", "SEND_INVOICE"]


@dataclass(frozen=True, slots=True)
class Change:
    """One bundle changed by one call. `at` is epoch seconds; `before` is the invoice number that it had;
    `request` numbers the call."""

    call: Call
    at: float
    request: int
    bundle_no: str
    carr_no: str = ""
    invoice_no: str = ""
    before: str = ""
    n: int = 0


class Changes:
    """An append-only JSONL file, or memory only when no path is given. Thread-safe."""

    def __init__(self, path: Path | None) -> None:
        self._guard = threading.Lock()
        self._all: list[Change] = []
        self._file: TextIO | None = None
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")

    def append(self, changes: Sequence[Change]) -> None:
        """Number and write what one call changed, in its order."""
        with self._guard:
            numbered = [_numbered(one, len(self._all) + n) for n, one in enumerate(changes, 1)]
            self._all += numbered
            if self._file and numbered:
                lines = (json.dumps(asdict(one), ensure_ascii=False) for one in numbered)
                self._file.write("\n".join(lines) + "\n")
                self._file.flush()

    def all(self, since: int = 0) -> list[Change]:
        """Every change with a number above `since`, in order."""
        with self._guard:
            return self._all[since:]

    def summary(self) -> dict[str, Any]:
        """`stored`: numbers entered; `stored_again`: those for a bundle that had been given one by a call
        before; `overwritten`: those that took another number's place; `sent` and `sent_again`: SEND_INVOICE
        jobs that reached a marketplace; `bundles`: how many have been given a number."""
        with self._guard:
            stored = Counter(one.bundle_no for one in self._all if one.call == "setInvoice")
            sent = Counter(one.bundle_no for one in self._all if one.call == "SEND_INVOICE")
            overwritten = sum(
                one.call == "setInvoice" and one.before not in ("", one.invoice_no) for one in self._all
            )
        return {
            "bundles": len(stored),
            "stored": stored.total(),
            "stored_again": stored.total() - len(stored),
            "overwritten": overwritten,
            "sent": sent.total(),
            "sent_again": sent.total() - len(sent),
        }

    def clear(self) -> None:
        """Forget what changed; the file stays."""
        with self._guard:
            self._all.clear()

    def close(self) -> None:
        """Close the file; appending afterwards is kept in memory only."""
        with self._guard:
            if self._file:
                self._file.close()
                self._file = None


def _numbered(change: Change, n: int) -> Change:
    fields = asdict(change)
    return Change(**{**fields, "n": n})
