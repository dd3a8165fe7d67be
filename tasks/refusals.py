"""Tries in a row that never left this machine, per slot: which step of the fast ladder comes next.

Kept by the process alone. A part that never passed the point of no return has no row to count in, and
a worker that starts anew may well begin with the shortest step again.
"""

from __future__ import annotations

import threading

from runtime.ids import SlotId

_KEPT = 10_000


class Refusals:
    """Counts per slot, at most 10,000 slots; the one that was touched longest ago is forgotten first."""

    def __init__(self) -> None:
        self._counts: dict[SlotId, int] = {}
        self._guard = threading.Lock()

    def add(self, slot: SlotId) -> int:
        """One more; answers how many in a row by now."""
        with self._guard:
            count = self._counts.pop(slot, 0) + 1
            self._counts[slot] = count
            if len(self._counts) > _KEPT:
                del self._counts[next(iter(self._counts))]
            return count

    def forget(self, slot: SlotId) -> None:
        """Something of this slot left, or it ended."""
        with self._guard:
            self._counts.pop(slot, None)
