"""The gates between the row and the point of no return: dispatch, worker, content, limits, time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import psycopg

from models.queries import LogRow, SlotRow
from ops.why.facts import Facts
from ops.why.gate import Gate, ahead, passed, stopped, timed
from runtime.ids import SlotId

Connection = psycopg.Connection[Any]

_HELD = """
SELECT a.schedule_id, a.slot_at, max(coalesce(a.ended_at, a.sending_at)) AS over
  FROM attempts a JOIN slots s USING (schedule_id, slot_at)
 WHERE a.slot_at BETWEEN %(at)s - interval '1 day' AND %(until)s
   AND a.sending_at BETWEEN %(at)s - interval '1 day' AND %(until)s
   AND {holder} AND (a.schedule_id, a.slot_at) <> (%(sid)s, %(at)s)
 GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 1"""
_GATE = "SELECT free_at, holder_schedule, holder_slot FROM {table} WHERE {key} = %s"
_FULL = """
SELECT r.quota, q.used, f.full_at FROM rooms r
  CROSS JOIN LATERAL (
    SELECT count(*) AS used FROM slots s
     WHERE s.room_ref = r.id AND s.quota_day = %(day)s AND s.slot_at > %(at)s - interval '8 days') q
  CROSS JOIN LATERAL (
    SELECT max(x.sent) AS full_at FROM (
      SELECT min(a.sending_at) AS sent FROM slots s JOIN attempts a USING (schedule_id, slot_at)
       WHERE s.room_ref = r.id AND s.quota_day = %(day)s AND s.slot_at > %(at)s - interval '8 days'
       GROUP BY s.schedule_id, s.slot_at ORDER BY 1 LIMIT r.quota) x) f
 WHERE r.id = %(room)s"""

_BY_EDIT = {
    "paused": "the schedule was paused",
    "deleted": "the schedule was deleted",
    "room_changed": "the schedule was given another room",
    "schedule_error": "the schedule could not be read any more",
}


def waits(facts: Facts, *reasons: str) -> list[tuple[LogRow, float]]:
    """The waits of a slot for these reasons, each with its milliseconds until a worker had it again."""
    found, log = [], facts.log()
    for number, move in enumerate(log):
        if move.new == "waiting" and move.reason in reasons:
            over = next((later.at for later in log[number + 1 :] if later.new != "queued"), None)
            ended = None if facts.detail is None else facts.detail.slot.ended_at
            found.append((move, ((over or ended or facts.now) - move.at).total_seconds() * 1000))
    return found


def holds_now(facts: Facts, *reasons: str) -> bool:
    """Whether the slot is live and waits for one of these reasons."""
    slot = None if facts.detail is None else facts.detail.slot
    return (
        slot is not None and slot.ended_at is None and slot.state == "waiting" and slot.wait_reason in reasons
    )


def carry_gates(db: Connection, facts: Facts, slot: SlotRow) -> Iterator[Gate]:
    """From "not coalesced" to "in time"."""
    yield _coalesced(facts, slot)
    yield _cancelled(facts, slot)
    yield _dispatched(facts, slot)
    yield _worker(facts, slot)
    taken = slot.admitted_at is not None or slot.ended_at is not None
    for gate in (
        _content(facts, slot), _room(db, facts, slot), _device(db, facts, slot), _quota(db, facts, slot),
        _in_time(facts, slot),
    ):  # fmt: skip
        yield gate if taken or gate.verdict != "passed" else ahead(gate.name)


def _ended_by(facts: Facts, slot: SlotRow) -> str:
    move = next((m for m in reversed(facts.log()) if m.new == slot.state), None)
    at = slot.ended_at or facts.now
    return f"at {facts.clock(at)}" + (f" by {move.who}" if move is not None else "")


def _coalesced(facts: Facts, slot: SlotRow) -> Gate:
    if facts.ended("coalesced"):
        return stopped("coalesced", f"a newer slot of the schedule was due too, and only the latest goes out"
                       f" ({_ended_by(facts, slot)})", slot.ended_at)  # fmt: skip
    return passed("coalesced", "no newer slot took its place")


def _cancelled(facts: Facts, slot: SlotRow) -> Gate:
    if slot.state == "cancelled":
        why = _BY_EDIT.get(slot.reason or "", "cancelled")
        note = f": {slot.cleared_note}" if slot.cleared_note else ""
        return stopped("cancelled", f"{why} {_ended_by(facts, slot)}{note}", slot.ended_at)
    if slot.cancel_requested:
        return passed("cancelled", "to be cancelled, but it had passed the point of no return by then")
    return passed("cancelled", "nobody cancelled it")


def _dispatched(facts: Facts, slot: SlotRow) -> Gate:
    first = next((move for move in facts.log() if move.new == "queued"), None)
    if facts.ended("not_dispatched"):
        return stopped(
            "dispatched",
            f"no scheduler dispatched it before start_by {facts.clock(slot.start_by)}",
            slot.ended_at,
        )
    if slot.reason == "restored" and slot.ended_at is not None:
        return stopped(
            "dispatched",
            "the database had forgotten whether it was sent, and was released"
            f" {_ended_by(facts, slot)}: look into the room",
            slot.ended_at,
        )
    if first is None and facts.is_held:
        return ahead("dispatched", facts.held_told)
    if first is None:
        due = f"due at {facts.clock(slot.not_before)}" if slot.ended_at is None else "it was never dispatched"
        return ahead("dispatched", due)
    late_ms = (first.at - slot.slot_at).total_seconds() * 1000
    if late_ms <= 0:
        return passed("dispatched", f"prepared {-late_ms:.0f} ms ahead of its time", first.at)
    told = f"dispatched at {facts.clock(first.at, ms=True)}, {late_ms:.0f} ms after its time"
    saved_ms = (facts.versions[0].since - slot.slot_at).total_seconds() * 1000
    return timed("dispatched", told, late_ms, first.at, normal_ms=max(saved_ms, 0.0))


def _worker(facts: Facts, slot: SlotRow) -> Gate:
    log = facts.log()
    lost = [move for move in log if (move.reason or "").startswith("lease_expired") and move.old == "leased"]
    if facts.ended("poison"):
        times = ", ".join(facts.clock(move.at) for move in lost) or facts.clock(slot.ended_at or facts.now)
        return stopped(
            "worker", f"worker after worker took it and was lost before sending it ({times})", slot.ended_at
        )
    if facts.ended("no_worker"):
        return stopped(
            "worker", f"no worker took it before start_by {facts.clock(slot.start_by)}", slot.ended_at
        )
    if slot.admitted_at is None and facts.is_held and any(move.new == "queued" for move in log):
        return ahead("worker", facts.held_told)
    if slot.admitted_at is None:
        since = next((move.at for move in log if move.new == "queued"), None)
        return ahead(
            "worker",
            "not reached"
            if since is None or slot.ended_at
            else f"waits for a worker since {facts.clock(since)}",
        )
    ready = max([slot.slot_at, *(move.at for move in log if move.new == "queued")][:2])
    told = f"a worker took it at {facts.clock(slot.admitted_at, ms=True)}"
    late_ms = (slot.admitted_at - ready).total_seconds() * 1000
    for number, move in enumerate(log):
        if move in lost:
            taken = next((before.at for before in reversed(log[:number]) if before.new == "leased"), move.at)
            again = next((later.at for later in log[number + 1 :] if later.new == "leased"), facts.now)
            late_ms += (again - taken).total_seconds() * 1000
            told += f"; that one was lost, its lease ended at {facts.clock(move.at)}"
    return timed("worker", told, late_ms, slot.admitted_at)


def _content(facts: Facts, slot: SlotRow) -> Gate:
    if facts.ended("bad_content"):
        return stopped(
            "content",
            f"the content cannot be sent: {(slot.reason or '').partition(':')[2].strip()}",
            slot.ended_at,
        )
    return passed("content", "text and images could be prepared")


def _room(db: Connection, facts: Facts, slot: SlotRow) -> Gate:
    if facts.ended("no_gate"):
        return stopped("room", "the room or its channel is gone, so nobody keeps its limits", slot.ended_at)
    return _held(db, facts, slot, "room", "s.room_ref = %(what)s", slot.room_ref, "room_gate", "room_ref")


def _device(db: Connection, facts: Facts, slot: SlotRow) -> Gate:
    if slot.device is None:
        return passed("device", "the room needs no device")
    return _held(db, facts, slot, "device", "s.device = %(what)s", slot.device, "device_gate", "device")


def _held(
    db: Connection, facts: Facts, slot: SlotRow, name: str, holder: str, what: object, table: str, key: str
) -> Gate:
    held = waits(facts, f"{name}_busy")
    waited_ms = sum(ms for _, ms in held)
    if facts.ended(f"{name}_busy"):
        return stopped(name, f"the {name} was {_holder(db, facts, slot, holder, what)} until finish_by"
                       f" {facts.clock(slot.finish_by)}", slot.ended_at)  # fmt: skip
    if holds_now(facts, f"{name}_busy"):
        row = db.execute(_GATE.format(table=table, key=key).encode(), (what,)).fetchone()
        told = (
            "busy"
            if row is None or row[1] is None
            else f"held by slot {SlotId(row[1], row[2])} until {facts.clock(row[0])}"
        )
        return timed(name, f"the {name} is {told}", max(waited_ms, 500.0))
    if held:
        told = f"the {name} was {_holder(db, facts, slot, holder, what)} so it waited {waited_ms:.0f} ms"
        return timed(name, told, waited_ms, held[-1][0].at)
    return passed(name, f"the {name} was free")


def _holder(db: Connection, facts: Facts, slot: SlotRow, holder: str, what: object) -> str:
    """Who had the room or device last before our first byte."""
    until = slot.started_at or slot.ended_at or facts.now
    values = {"at": slot.slot_at, "until": until, "sid": slot.schedule_id, "what": what}
    row = db.execute(_HELD.format(holder=holder).encode(), values).fetchone()
    if row is None:
        return "held by another slot"
    return f"held by slot {SlotId(row[0], row[1])}, whose last attempt ended at {facts.clock(row[2])},"


def _quota(db: Connection, facts: Facts, slot: SlotRow) -> Gate:
    if slot.room_ref is None:
        return passed("quota", "no room, no quota")
    day = slot.quota_day or (slot.ended_at or facts.now).astimezone(dt.timezone(dt.timedelta(hours=9))).date()
    row = db.execute(_FULL.encode(), {"day": day, "at": slot.slot_at, "room": slot.room_ref}).fetchone()
    if row is None:
        return passed("quota", "the room is gone")
    limit, used, full_at = row
    if facts.ended("quota"):
        when = "" if full_at is None else f", full at {facts.clock(full_at)}"
        return stopped(
            "quota", f"the room's quota of {day} was full: used {used} of {limit}{when}", slot.ended_at
        )
    holds = "it holds one of them" if slot.quota_day is not None else "it holds none of them"
    return passed("quota", f"used {used} of {limit} on {day}, {holds}")


def _in_time(facts: Facts, slot: SlotRow) -> Gate:
    if facts.ended("superseded"):
        told = f"finish_by {facts.clock(slot.finish_by)} passed: the schedule's next slot was due"
        return stopped("in_time", told, slot.ended_at)
    if facts.ended("validity"):
        return stopped(
            "in_time", f"finish_by {facts.clock(slot.finish_by)} passed before it was done", slot.ended_at
        )
    return passed("in_time", f"within finish_by {facts.clock(slot.finish_by)}")
