"""What a benchmark is told: how long it may take, and where to say how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """``full``: all sizes and longer windows. ``say``: a line of progress."""

    full: bool
    say: Callable[[str], None]
    repeat: int = 3

    def sizes(self, *, short: T, full: T) -> T:
        """One or the other."""
        return full if self.full else short
