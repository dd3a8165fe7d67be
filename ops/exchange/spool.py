"""Checked rows on disk between the check and the one transaction that saves them.

The check of a long file takes minutes and a transaction may idle for 2 s only, so everything is checked
first. 100,000 rows would take half a gigabyte of memory; on disk they take none.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from typing import Any


class Spool:
    """Write first, then read back in batches; the file goes when the spool is closed."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self.count = 0

    def put(self, value: Any) -> None:
        """Keep one value behind the others."""
        pickle.dump(value, self._file, protocol=pickle.HIGHEST_PROTOCOL)
        self.count += 1

    def batches(self, size: int) -> Iterator[list[Any]]:
        """All values in order, `size` at a time."""
        self._file.seek(0)
        left = self.count
        while left:
            number = min(size, left)
            yield [pickle.load(self._file) for _ in range(number)]  # noqa: S301 - our own file, unlinked
            left -= number

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
