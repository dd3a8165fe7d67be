"""A slot as a worker of the ledger machine sees it, and what such a worker would decide."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from models.ledger.worker import Lease
from models.states import Phase, SlotState
from runtime.ids import SlotId
from tests.support.ledger_invariants import ARRIVED
from tests.support.provider_model import Flight


@dataclass
class Hold:
    """A slot as one worker sees it. It may be a ghost and not know."""

    lease: Lease
    owner: uuid.UUID
    fence: int
    parts: list[dict[str, Any]]
    laid: bool
    flight: Flight | None = None
    verdict: str = ""
    stop: bool = False
    over: bool = False


def by_slot(lease: Lease) -> SlotId:
    return lease.slot


def choose(options: Any, which: int) -> Any:
    return options[which % len(options)]


def picture(lease: Lease, laid: int) -> tuple[list[dict[str, Any]], bool]:
    """The parts as the worker sees them, and whether they are laid down for good."""
    if lease.parts and (lease.exposed > 0 or lease.origin == "resend" or lease.phase == Phase.CONFIRM):
        return [dict(part) for part in lease.parts], True
    fresh = [
        {"ord": n, "kind": "text", "body": "글", "image_id": None, "idem_key": f"{lease.slot}/{n}",
         "gap_ms": 0, "state": "pending"}
        for n in range(laid)
    ]  # fmt: skip
    return fresh, False


def decision(hold: Hold, kind: str) -> tuple[SlotState, Phase]:
    """What a worker makes of its picture; the ledger may know better."""
    by_verdict = {
        "stale_content": SlotState.QUEUED,
        "quota": SlotState.SKIPPED,
        "cancelled": SlotState.CANCELLED,
        "expired": SlotState.EXPIRED,
        "tries": SlotState.FAILED,
    }
    states = [part["state"] for part in hold.parts]
    if hold.verdict in by_verdict:
        return by_verdict[hold.verdict], Phase.SEND
    if all(state in ARRIVED for state in states):
        confirm = kind == "lookup" and hold.lease.phase == Phase.SEND
        return (SlotState.WAITING, Phase.CONFIRM) if confirm else (SlotState.DELIVERED, Phase.SEND)
    if "unknown" in states or "sending" in states:
        unknowable = kind == "none" and hold.lease.phase == Phase.CONFIRM
        return SlotState.UNRESOLVED if unknowable else SlotState.WAITING, Phase.CONFIRM
    return (SlotState.FAILED if "failed" in states else SlotState.WAITING), Phase.SEND
