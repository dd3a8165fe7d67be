"""Invariants of the ledger beside a provider's receipts, to be asked after every step (exactly-once.md 9)."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from models.states import EDGES
from runtime.ids import SlotId
from tests.support.ledger_world import World

ARRIVED = ("accepted", "delivered")
NOTHING_ARRIVED = ("failed", "expired", "skipped", "cancelled")
_MOVES = {(old.value, new.value) for old, new in EDGES}


class Snapshot:
    """All rows of a small ledger at one moment."""

    def __init__(self, world: World) -> None:
        self.slots = {_key(row): row for row in world.rows("SELECT * FROM slots")}
        self.parts: dict[SlotId, list[dict[str, Any]]] = defaultdict(list)
        for row in world.rows("SELECT * FROM parts ORDER BY ord"):
            self.parts[_key(row)].append(row)
        self.attempts: dict[SlotId, list[dict[str, Any]]] = defaultdict(list)
        for row in world.rows("SELECT * FROM attempts ORDER BY sending_at, fence"):
            self.attempts[_key(row)].append(row)
        self.log = world.rows("SELECT * FROM slot_log ORDER BY at, xmin::text::bigint")
        self.quota = {(r["room_ref"], r["day"]): r["used"] for r in world.rows("SELECT * FROM room_quota")}


def violations(now: Snapshot, receipts: Mapping[str, int], settle: dt.timedelta) -> Iterable[str]:
    """Every invariant that does not hold, a sentence each."""
    for slot, row in now.slots.items():
        yield from (f"{slot}: {wrong}" for wrong in _truth(row, now.parts[slot], receipts))
        yield from (f"{slot}: {wrong}" for wrong in _counts(row, now.parts[slot], now.attempts[slot]))
        yield from (f"{slot}: {wrong}" for wrong in _no_overlap(row, now.attempts[slot], settle))
    yield from _sent_twice(now, receipts)
    yield from _moves(now)
    yield from _quota(now)


def _truth(row: dict[str, Any], parts: list[dict[str, Any]], receipts: Mapping[str, int]) -> Iterable[str]:
    """I4: a terminal state tells what the provider saw."""
    said_by_person = row["reason"] in ("person_arrived", "person_not_arrived")
    for part in parts:
        arrived, got = part["state"] in ARRIVED, receipts.get(part["idem_key"], 0)
        if arrived and not got:
            yield f"I4 part {part['ord']} is {part['state']} without a receipt"
        if row["state"] == "delivered" and not got:
            yield f"I4 delivered, but part {part['ord']} never arrived"
        if row["state"] in NOTHING_ARRIVED and got and not said_by_person and not row["resend_of"]:
            yield f"I4 {row['state']} ({row['reason']}), but part {part['ord']} arrived"
        if row["state"] == "partial" and bool(got) != arrived and not row["resend_of"]:
            yield f"I4 partial, but part {part['ord']} is {part['state']} with {got} receipts"
    if row["state"] == "delivered" and not parts:
        yield "I4 delivered without parts"


def _counts(
    row: dict[str, Any], parts: list[dict[str, Any]], attempts: list[dict[str, Any]]
) -> Iterable[str]:
    exposed = sum(attempt["exposed"] for attempt in attempts)
    if row["exposed"] != exposed:
        yield f"exposed is {row['exposed']}, but {exposed} attempts may have reached the room"
    if (row["quota_day"] is not None) != (exposed > 0):
        yield f"exposed {exposed}, but quota day {row['quota_day']}"
    if row["state"] == "cancelled" and exposed:
        yield "I16 cancelled after it was exposed"
    if row["state"] != "leased" and any(attempt["outcome"] is None for attempt in attempts):
        yield f"an attempt is open though the slot is {row['state']}"
    for part in parts:
        doubts = [
            a for a in attempts if a["ord"] == part["ord"] and a["exposed"] and a["outcome"] == "unknown"
        ]
        if part["tainted"] and part["state"] == "pending" and not doubts:
            yield f"part {part['ord']} is tainted, but no try of it is in doubt"


def _no_overlap(row: dict[str, Any], attempts: list[dict[str, Any]], settle: dt.timedelta) -> Iterable[str]:
    """I11: the next try of a part starts when the one before is known to be over, or settle has passed."""
    last: dict[int, dict[str, Any]] = {}
    for attempt in attempts:
        before = last.get(attempt["ord"])
        if before is not None:
            if attempt["fence"] <= before["fence"]:
                yield f"I11 fence of part {attempt['ord']} did not rise"
            known = before["outcome"] not in (None, "unknown") or not before["exposed"]
            settled = attempt["sending_at"] >= before["sending_at"] + settle
            if not known and not settled and row["provider_kind"] != "key":
                yield f"I11 part {attempt['ord']} was tried again while it was in doubt"
        last[attempt["ord"]] = attempt


def _sent_twice(now: Snapshot, receipts: Mapping[str, int]) -> Iterable[str]:
    risky = {
        part["idem_key"]
        for slot, parts in now.parts.items()
        for part in parts
        if any(attempt["dup_risk"] for attempt in now.attempts[slot])
    }
    for key, count in receipts.items():
        if count > 1 and key not in risky:
            yield f"I2 {key} arrived {count} times"


def _moves(now: Snapshot) -> Iterable[str]:
    """I14: the log holds moves of the edge table only, each from where the one before ended."""
    at: dict[SlotId, str] = {}
    for row in now.log:
        slot, old, new = _key(row), row["old"], row["new"]
        if (old, new) not in _MOVES and new != "deleted":
            yield f"I14 {slot} moved {old} -> {new}"
        if at.get(slot, "planned") != old:
            yield f"I14 {slot} moved from {old}, but stood at {at.get(slot)}"
        at[slot] = "planned" if new == "deleted" else new
    for slot, row in now.slots.items():
        if at.get(slot, row["state"]) != row["state"]:
            yield f"I14 {slot} is {row['state']}, but its log ends with {at[slot]}"


def _quota(now: Snapshot) -> Iterable[str]:
    """I17: what rooms have spent is what slots hold."""
    held = Counter((row["room_ref"], row["quota_day"]) for row in now.slots.values() if row["quota_day"])
    for room_day in held.keys() | now.quota.keys():
        if held[room_day] != now.quota.get(room_day, 0):
            yield f"I17 room {room_day} has spent {now.quota.get(room_day, 0)}, slots hold {held[room_day]}"


def _key(row: Mapping[str, Any]) -> SlotId:
    return SlotId(row["schedule_id"], row["slot_at"])
