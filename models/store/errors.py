"""What the store refuses.

StoreError
├── NotFound   there is no such row
├── Refused    values that may not be saved, each with field, reason and what would be right
├── Taken      the name is in use
├── InUse      something else still needs the row as it is
└── Changed    somebody else changed the row since it was read
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wrong:
    """One value that may not be saved: the field, what is wrong with it, what would be right."""

    field: str
    reason: str
    hint: str


class StoreError(Exception):
    """The store did not do what was asked; nothing was written."""


class NotFound(StoreError):
    """There is no such row."""


class Refused(StoreError):
    """Values that may not be saved; `problems` says which and why."""

    def __init__(self, problems: Sequence[Wrong]) -> None:
        super().__init__("; ".join(f"{one.field}: {one.reason} ({one.hint})" for one in problems))
        self.problems = tuple(problems)


class Taken(StoreError):
    """The name is in use."""


class InUse(StoreError):
    """Something else still needs the row as it is."""


class Changed(StoreError):
    """Somebody else changed the row since it was read."""
