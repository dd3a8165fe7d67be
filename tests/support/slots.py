"""Slot ids and leases out of nothing, for tests without a ledger."""

from __future__ import annotations

import datetime as dt
from typing import Any

from models.ledger.worker import Lease
from models.states import Phase
from runtime.ids import SlotId

NINE = dt.datetime(2026, 11, 21, 0, 0, tzinfo=dt.UTC)  # 09:00 in Seoul


def slot_at(number: int, schedule: int = 1) -> SlotId:
    """The slot ``number`` seconds after nine."""
    return SlotId(schedule, NINE + dt.timedelta(seconds=number))


def lease_of(**facts: Any) -> Lease:
    """A lease of a text in a room of the emulator; ``facts`` replace what is named."""
    known: dict[str, Any] = {
        "sid": 1, "sat": NINE, "verdict": "leased", "wait_ms": 0.0, "fence": 7, "phase": Phase.SEND,
        "content_version": 1, "exposed": 0, "finish_ms": 60_000.0, "age_ms": 5.0, "origin": "plan",
        "dup_risk": False, "reason": None, "provider_kind": None, "cancel_requested": False, "room_ref": 1,
        "room": "방", "room_name": "방", "channel": "emulator-key", "device": None, "gap_ms": 0,
        "title": "정각", "tz": "Asia/Seoul", "parts": None,
        "content": {"message_text": "안녕", "tz": "Asia/Seoul"},
    }  # fmt: skip
    return Lease(**{**known, **facts})


def part_row(ord_: int = 0, state: str = "pending", **facts: Any) -> dict[str, Any]:
    """A part as a lease shows it."""
    known = {
        "ord": ord_, "kind": "text", "body": f"글 {ord_}", "image_id": None, "state": state,
        "idem_key": f"key-{ord_}", "gap_ms": 0, "tries": 0, "misses": 0, "tainted": False, "reaped": False,
        "attempt_id": "00000000-0000-0000-0000-000000000001", "provider_msg_id": None,
        "since_sending_ms": 1000.0, "settling_ms": 1000.0, "since_done_ms": 500.0,
    }  # fmt: skip
    return {**known, **facts}
