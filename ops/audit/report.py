"""What an audit found."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from models.queries import Spread
from models.states import SlotState


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken invariant. ``detail`` is a sentence that names the slot and the evidence."""

    invariant: str
    detail: str


@dataclass(frozen=True, slots=True)
class Receipts:
    """What the provider's log says. Duplicates are receipts beyond the first of one key, by provider kind."""

    read: int
    matched: int
    duplicates: dict[str, int]
    flagged_duplicates: int


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one audit. ``judged_at``: the last completed tick; None: no beat has ever ticked.

    ``promised``: instants that the schedules' history promises up to then. ``oracle``: how they were
    recomputed, by a minute scan or, where that would take long, by the planner's own recurrence.
    """

    slots: dict[SlotState, int]
    violations: list[Violation]
    lateness: Spread
    waited: Spread
    promised: int
    oracle: str
    judged_at: dt.datetime | None
    receipts: Receipts | None = None
    took_s: float = field(default=0.0, compare=False)

    @property
    def ok(self) -> bool:
        """Whether no invariant is broken."""
        return not self.violations

    def as_json(self) -> dict[str, Any]:
        """The report as `jeongsi audit --json` prints it."""
        shown: dict[str, Any] = {
            "ok": self.ok,
            "slots": {state.value: count for state, count in self.slots.items()},
            "violations": [{"invariant": v.invariant, "detail": v.detail} for v in self.violations],
            "lateness_ms": self.lateness.as_json(),
            "waited_ms": self.waited.as_json(),
            "promised": self.promised,
            "oracle": self.oracle,
            "judged_at": None if self.judged_at is None else self.judged_at.isoformat(),
        }
        if self.receipts is not None:
            shown["receipts"] = {
                "read": self.receipts.read,
                "matched": self.receipts.matched,
                "duplicates": self.receipts.duplicates,
                "flagged_duplicates": self.receipts.flagged_duplicates,
            }
        return shown
