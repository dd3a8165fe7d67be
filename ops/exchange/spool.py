"""Checked rows on disk between the check and the one transaction that saves them.

The check of a long file takes minutes and a transaction may idle for 2 s only, so everything is checked
first. 100,000 rows would take half a gigabyte of memory; on disk they take none.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from typing import Any, Final

_MOST_BYTES: Final = 32 * 1024 * 1024


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
        """All values in order, at most `size` or about 32 MiB at a time."""
        self._file.seek(0)
        left = self.count
        while left:
            batch, start = list[Any](), self._file.tell()
            while left and len(batch) < size and self._file.tell() - start < _MOST_BYTES:
                batch.append(pickle.load(self._file))  # noqa: S301 - our own file, unlinked
                left -= 1
            yield batch

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
