"""Why a slot went out, went out late, or did not: its gates in order, also when no slot exists."""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg

from ops.why.carried import carry_gates
from ops.why.facts import facts_of
from ops.why.gate import Gate, ahead, render, settle_verdicts
from ops.why.promised import promise_gates
from ops.why.sent import sent_gates
from runtime.ids import SlotId

__all__ = ["GATES", "Gate", "render", "why"]

#: The gates in their order.
GATES = (
    "schedule", "deleted", "readable", "enabled", "created", "rule", "validity", "edit",
    "scheduler", "laid_down", "coalesced", "cancelled", "dispatched", "worker", "content", "room",
    "device", "quota", "in_time", "point_of_no_return", "provider", "retries", "parts",
    "confirmed", "lateness",
)  # fmt: skip


def why(db: psycopg.Connection[Any], asked: SlotId | tuple[int, dt.datetime]) -> list[Gate]:
    """The gates of one instant of a schedule, in order, the one that decided marked `decisive`.

    ``asked``: a slot's id, or a schedule's number and an aware time, whether a slot exists or not. Times
    in the sentences are in the schedule's zone. Raises ValueError for a time without a zone.
    """
    facts = facts_of(db, SlotId(*asked))
    gates = list(promise_gates(facts))
    if facts.detail is not None:
        gates += carry_gates(db, facts, facts.detail.slot)
        gates += sent_gates(facts, facts.detail)
    gates += [ahead(name) for name in GATES[len(gates) :]]
    return settle_verdicts(gates, has_row=facts.detail is not None)
