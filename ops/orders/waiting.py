"""What waits to be uploaded, with what is odd about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import psycopg

from models.queries.orders import PendingGroup, PendingOrder, each_pending, held_back, pending_groups
from models.store.orders import organisation_of
from models.tracking.carriers import family_of
from models.tracking.numbers import judge


@dataclass(frozen=True, slots=True)
class Waiting:
    """One order that waits, and what is odd about its number; an error keeps PlayAuto from taking it."""

    order: PendingOrder
    error: str | None
    warnings: tuple[str, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """All that is to be said of it."""
        return self.warnings if self.error is None else (self.error, *self.warnings)


@dataclass(frozen=True, slots=True)
class Look:
    """Counts of all that waits, and the first of it, odd ones first. ``odd``: by account and carrier code."""

    groups: tuple[PendingGroup, ...]
    odd: dict[tuple[str, str], int]
    held_back: dict[str, int]
    orders: tuple[Waiting, ...]

    @property
    def count(self) -> int:
        """How many orders wait."""
        return sum(one.orders for one in self.groups)


def look(db: psycopg.Connection[Any], account: str | None = None, limit: int = 20) -> Look:
    """Everything that waits, of one account or of all. Raises NotFound for an account that does not exist."""
    groups = tuple(pending_groups(db, account))
    if account is not None and not groups:
        organisation_of(db, account)
    odd: Counter[tuple[str, str]] = Counter()
    shown: list[Waiting] = []
    for name in dict.fromkeys(one.account for one in groups):
        for one in map(_waiting, each_pending(db, name)):
            odd[name, one.order.carrier_code] += bool(one.remarks)
            shown.append(one)
            if len(shown) > 2 * limit + 1_000:
                shown = nsmallest(limit, shown, key=_odd_first)
    return Look(groups, dict(odd), held_back(db, account), tuple(nsmallest(limit, shown, key=_odd_first)))


def _waiting(order: PendingOrder) -> Waiting:
    number = judge(order.tracking_number, family_of(order.carrier_name))
    return Waiting(order, number.error, number.warnings)


def _odd_first(one: Waiting) -> tuple[bool, int]:
    return not one.remarks, one.order.id
