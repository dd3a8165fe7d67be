"""A provider in its three kinds, as a set of requests under way and a count of what arrived."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from models.states import AttemptOutcome
from runtime.ids import SlotId

SETTLE = dt.timedelta(seconds=60)
GUARD = dt.timedelta(milliseconds=500)


@dataclass
class Flight:
    """One passage of the point of no return, as the outside sees it.

    passed: nothing was written yet. written: it may take effect. arrived: it did. over: it never will.
    """

    slot: SlotId
    ord: int
    attempt_id: UUID
    key: str
    kind: str
    sending_at: dt.datetime
    stage: Literal["passed", "written", "arrived", "over"] = "passed"
    outcome: AttemptOutcome | None = None


@dataclass
class Provider:
    """What arrived, by idempotency key."""

    receipts: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    def write(self, flight: Flight, now: dt.datetime) -> None:
        """The guard before the first byte (R6): too late means that nothing is written at all."""
        if now - flight.sending_at <= GUARD:
            flight.stage = "written"
        else:
            flight.stage, flight.outcome = "over", AttemptOutcome.NOT_SENT

    def take_effect(self, flight: Flight, now: dt.datetime) -> None:
        """A request takes effect before settle, or never: that is what settle means (R9)."""
        if now >= flight.sending_at + SETTLE:
            flight.stage = "over"
            return
        flight.stage, flight.outcome = "arrived", AttemptOutcome.ACCEPTED
        if flight.kind != "key" or not self.receipts[flight.key]:
            self.receipts[flight.key] += 1

    def refuse(self, flight: Flight) -> None:
        """A definite answer that nothing was taken: every third time for good."""
        self.refused += 1
        flight.stage = "over"
        flight.outcome = AttemptOutcome.REJECTED_RETRY if self.refused % 3 else AttemptOutcome.REJECTED_FINAL

    @staticmethod
    def known(flight: Flight) -> AttemptOutcome:
        """What a witness of this request can truthfully say now."""
        if flight.outcome is not None:
            return flight.outcome
        if flight.stage == "passed":
            flight.stage, flight.outcome = "over", AttemptOutcome.NOT_SENT
            return AttemptOutcome.NOT_SENT
        return AttemptOutcome.UNKNOWN
