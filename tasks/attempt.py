"""Carry one leased slot through its parts: point of no return, guard, write, evidence, settle.

Outcomes come back as values. An exception means that our side failed; the slot then keeps its lease
until it ends, and the reaper decides: again at once before the point of no return, to be confirmed
after it (exactly-once.md sections 3 and 6).
"""

from __future__ import annotations

import uuid
from dataclasses import replace

import psycopg

from gateways.adapter import Line
from gateways.errors import GatewayError
from gateways.message import PartToSend, RoomAddress
from gateways.outcomes import Accepted, NotSent, Outcome, RejectedFinal
from gateways.registry import adapter_for
from models.ledger import devices
from models.ledger.worker import Evidence, Lease, Ponr, Settle
from models.states import AttemptOutcome, PartState, SlotState
from runtime import database
from runtime.events import Event, emit
from runtime.failpoints import hit
from tasks import told
from tasks.claims import claimed
from tasks.committer import CommitterStopped, may_be_said_again
from tasks.devices import before_asking
from tasks.engine import Engine
from tasks.ladder import fast_delay_s
from tasks.prepare import BadContent, PartPlan, image_bytes, message_of
from tasks.rulings import after, all_accepted, not_sent, stopped, too_soon
from tasks.under_way import Attempt, Sent, Settled, Step, truthful_of


def send_slot(rt: Engine, lease: Lease) -> Settle | None:
    """Send what is left of a leased slot and settle it; None if the slot is not ours any more."""
    begun = _begin(rt, lease)
    end = begun if isinstance(begun, Settle) else _send_parts(rt, begun)
    if isinstance(end, Settled):
        end = end.end
    elif end is None or not rt.settle(end):
        return None
    hit("send.settled")
    told.settled(end)
    return end


def _begin(rt: Engine, lease: Lease) -> Attempt | Settle:
    """Everything slow that is still revocable: capabilities, texts, room address."""
    failed = Settle(lease.slot, lease.fence, truthful_of(lease, SlotState.FAILED), "no_gate")
    if lease.room is None or lease.channel is None:
        return failed
    if any(row["state"] == PartState.FAILED for row in lease.parts or []):
        return replace(failed, reason="rejected")  # whoever heard so died before it could settle
    try:
        adapter = adapter_for(lease.channel)
        capabilities = adapter.capabilities()
        message = message_of(lease, capabilities)
    except BadContent as bad:
        return replace(failed, reason=f"bad_content: {bad.why}")
    except GatewayError as error:
        delay_s = fast_delay_s(rt.settings.fast_delays_s, rt.refusals.add(lease.slot))
        emit(Event.RETRY, message_id=str(lease.slot), delay_s=delay_s, reason=str(error))
        return replace(failed, state=SlotState.WAITING, reason="not_sent", delay_ms=delay_s * 1000)
    address = RoomAddress(lease.channel, lease.room, lease.device)
    return Attempt(lease, lease.fence, message, adapter, capabilities, address)


def _send_parts(rt: Engine, attempt: Attempt) -> Settle | Settled | None:
    for part in attempt.message.open_parts:
        wait = too_soon(rt, attempt, part) or _pause_before(rt, attempt, part)
        step = wait or _send_part(rt, attempt, part)
        if not isinstance(step, Sent):
            return step
        attempt = step.attempt
    end = all_accepted(rt, attempt)
    if end.confirmed:
        _confirm_parts(attempt)
    return end


def _pause_before(rt: Engine, attempt: Attempt, part: PartPlan) -> Settle | None:
    """Keep the gap to the part before: a short one here if a thread can be spared, else `waiting` (R11)."""
    if part.ord == 0:
        return None
    before = attempt.message.parts[part.ord - 1]
    left_s = part.gap_ms / 1000 - (before.since_done_s or 0.0)
    if left_s <= rt.settings.part_gap_wait_s and rt.pause(left_s):
        return None
    return attempt.end(SlotState.WAITING, "part_gap", delay_s=left_s)


def _send_part(rt: Engine, attempt: Attempt, part: PartPlan) -> Step:
    if rt.stopping.is_set():
        return attempt.end(SlotState.QUEUED, "stopping")
    try:
        parcel = _parcel(part)
    except BadContent as bad:
        return attempt.close(SlotState.FAILED, f"bad_content: {bad.why}")
    with rt.devices.turn(attempt.device if attempt.capabilities.exclusive else None) as ours:
        if (busy := before_asking(rt, attempt, ours=ours)) is not None:
            return busy
        line = attempt.adapter.open(attempt.address)
        if isinstance(line, NotSent):
            return not_sent(rt, attempt, part, line.reason)
        if isinstance(line, RejectedFinal):
            return attempt.close(SlotState.FAILED, f"rejected: {line.reason}")
        hit("send.prepared")
        began = rt.clock.monotonic()
        try:
            return _over_the_point(rt, attempt, part, parcel, line)
        finally:
            rt.service_times.add(attempt.address.channel, rt.clock.monotonic() - began)
            line.close()


def _over_the_point(rt: Engine, attempt: Attempt, part: PartPlan, parcel: PartToSend, line: Line) -> Step:
    """The point of no return, the guard, the write, the evidence."""
    began = rt.clock.monotonic()
    try:
        answer = rt.committer.ponr(_question(rt, attempt, part, parcel, line))
    except CommitterStopped:
        return None
    except psycopg.Error as error:
        if not may_be_said_again(error):
            raise
        return _unclear(rt, attempt, part, parcel)
    if answer.verdict != "go":
        return stopped(attempt, answer)
    assert answer.fence is not None, "`go` comes with the new fence"
    attempt = replace(attempt, fence=answer.fence)
    hit("send.committed")
    passed = rt.clock.monotonic()
    _tell_started(attempt, part)
    outcome = attempt.adapter.send(
        line, attempt.address, parcel, write_by=began + rt.settings.guard_ms / 1000
    )
    hit("send.replied")
    if isinstance(outcome, Accepted) and outcome.candidates:
        outcome = claimed(attempt.device, attempt.lease.slot, parcel.attempt_id, outcome)
    fact = _evidence(attempt, part, parcel, outcome, (passed - answer.said_at) * 1000)
    if isinstance(outcome, Accepted) and part is attempt.message.open_parts[-1]:
        return _finish(rt, attempt, part, outcome, fact)
    if rt.evidence.store(fact) is None:
        return None
    hit("send.evidenced")
    return after(rt, attempt, part, outcome)


def _finish(rt: Engine, attempt: Attempt, part: PartPlan, outcome: Accepted, fact: Evidence) -> Step:
    """The last part is out: its evidence and the slot's end are one transaction, if that end is known."""
    sent = after(rt, attempt, part, outcome)
    assert isinstance(sent, Sent), "an accepted part is followed by the next one, or by the slot's end"
    end = all_accepted(rt, sent.attempt)
    if end.confirmed:
        return sent if rt.evidence.store(fact) is not None else None
    settled = rt.evidence.store_and_settle(fact, end)
    if settled is False:
        emit(Event.LEASE_LOST, message_id=str(end.slot))
    rt.refusals.forget(end.slot)
    return Settled(end) if settled else None


def _question(rt: Engine, attempt: Attempt, part: PartPlan, parcel: PartToSend, line: Line) -> Ponr:
    fresh = attempt.message.fresh and part.ord == 0
    hold_s = rt.settings.settle_s * attempt.capabilities.absence_factor
    return Ponr(
        slot=attempt.lease.slot,
        ord=part.ord,
        fence=attempt.fence,
        attempt_id=parcel.attempt_id,
        content_version=attempt.lease.content_version,
        hold_s=hold_s + (attempt.lease.gap_ms or 0) / 1000,
        provider_kind=attempt.kind,
        parts=[p.as_row() for p in attempt.message.parts] if fresh else None,
        device=attempt.device if attempt.capabilities.exclusive else None,
        device_hold_s=hold_s if attempt.capabilities.exclusive else None,
        before=line.before,
    )


def _parcel(part: PartPlan) -> PartToSend:
    images = tuple(image_bytes(image) for image in part.images)
    if images:
        return PartToSend("image", None, images[0], part.idem_key, uuid.uuid4(), images[1:])
    return PartToSend("text", part.body, None, part.idem_key, uuid.uuid4())


def _evidence(
    attempt: Attempt, part: PartPlan, parcel: PartToSend, outcome: Outcome, point_ms: float
) -> Evidence:
    wrote_ms = None if outcome.wrote_after_ms is None else outcome.wrote_after_ms + point_ms
    return Evidence(
        attempt.lease.slot, part.ord, parcel.attempt_id, AttemptOutcome(outcome.kind), outcome.reason,
        outcome.provider_msg_id, outcome.http_status, outcome.answer, wrote_ms,
    )  # fmt: skip


def _unclear(rt: Engine, attempt: Attempt, part: PartPlan, parcel: PartToSend) -> Settle | None:
    """The commit's fate is unclear, so nothing was written: say so (a no-op if it failed). R5."""
    proof = Evidence(
        attempt.lease.slot, part.ord, parcel.attempt_id, AttemptOutcome.NOT_SENT, "commit_unclear"
    )
    verdict = rt.evidence.store(proof)
    if verdict is None:
        return None  # the ledger is away; the lease ends by itself
    if verdict != "no_attempt":
        attempt = replace(attempt, fence=attempt.fence + 1)  # it was committed
    return not_sent(rt, attempt, part, "commit_unclear")


def _confirm_parts(attempt: Attempt) -> None:
    """Every part was seen in the room when it was sent."""
    database.retrying(lambda db: devices.confirm_accepted(db, attempt.lease.slot))


def _tell_started(attempt: Attempt, part: PartPlan) -> None:
    emit(
        Event.SEND_STARTED,
        message_id=str(attempt.lease.slot),
        room=attempt.address.room,
        attempt=part.tries + 1,
    )
