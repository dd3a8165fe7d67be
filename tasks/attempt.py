"""Carry one leased slot through its parts: point of no return, guard, write, evidence, settle.

Outcomes come back as values. An exception means that our side failed; the slot then keeps its lease
until it ends, and the reaper decides: again at once before the point of no return, to be confirmed
after it (exactly-once.md sections 3 and 6).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from gateways.adapter import Adapter, Line
from gateways.capabilities import Capabilities
from gateways.errors import GatewayError
from gateways.message import PartToSend, RoomAddress
from gateways.outcomes import Accepted, NotSent, Outcome, RejectedFinal, RejectedRetry, Unknown
from gateways.registry import adapter_for
from models.ledger.worker import Evidence, Lease, Ponr, PonrAnswer, Settle
from models.states import AttemptOutcome, Phase, SlotState
from runtime import database
from runtime.events import Event, emit
from runtime.failpoints import hit
from tasks import told
from tasks.engine import Engine
from tasks.ladder import fast_delay_s, lookup_delay_s, retry_delay_s
from tasks.prepare import DONE, BadContent, Message, PartPlan, image_bytes, message_of

#: A provider that is looked up cheaply is asked this soon after it accepted.
CHEAP_LOOKUP_S = 1.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One slot on its way. ``fence`` is the newest the ledger gave us; every command carries it."""

    lease: Lease
    fence: int
    message: Message
    adapter: Adapter
    capabilities: Capabilities
    address: RoomAddress

    def end(
        self, state: SlotState, reason: str | None, *, phase: Phase = Phase.SEND, delay_s: float = 0.0
    ) -> Settle:
        """How this slot is given up."""
        return Settle(self.lease.slot, self.fence, state, reason, phase, delay_s * 1000)


@dataclass(frozen=True, slots=True)
class Sent:
    """A part went out and was accepted; go on with the next."""

    attempt: Attempt


#: After a part: on with the next, give the slot up, or (None) leave it: it is not ours to settle.
Step = Sent | Settle | None


def send_slot(rt: Engine, lease: Lease) -> Settle | None:
    """Send what is left of a leased slot and settle it; None if the slot is not ours any more."""
    begun = _begin(rt, lease)
    settled = begun if isinstance(begun, Settle) else _send_parts(rt, begun)
    if settled is not None:
        rt.settle(settled)
        hit("send.settled")
        told.settled(settled)
    return settled


def _begin(rt: Engine, lease: Lease) -> Attempt | Settle:
    """Everything slow that is still revocable: capabilities, texts, room address."""
    attempt = Settle(lease.slot, lease.fence, SlotState.FAILED, "no_gate")
    if lease.room is None or lease.channel is None:
        return attempt
    try:
        adapter = adapter_for(lease.channel)
        capabilities = adapter.capabilities()
        message = message_of(lease, capabilities)
    except BadContent as bad:
        return replace(attempt, reason=f"bad_content: {bad.why}")
    except GatewayError as error:
        delay_s = fast_delay_s(rt.settings.fast_delays_s, _misses(lease))
        emit(Event.RETRY, message_id=str(lease.slot), delay_s=delay_s, reason=str(error))
        return replace(attempt, state=SlotState.WAITING, reason="not_sent", delay_ms=delay_s * 1000)
    return Attempt(
        lease,
        lease.fence,
        message,
        adapter,
        capabilities,
        RoomAddress(lease.channel, lease.room, lease.device),
    )


def _send_parts(rt: Engine, attempt: Attempt) -> Settle | None:
    for part in attempt.message.open_parts:
        pause = _pause_before(rt, attempt, part)
        step = pause if pause is not None else _send_part(rt, attempt, part)
        if not isinstance(step, Sent):
            return step
        attempt = step.attempt
    return _all_accepted(rt, attempt)


def _pause_before(rt: Engine, attempt: Attempt, part: PartPlan) -> Settle | None:
    """Keep the gap to the part before: a short one here, a long one as `waiting` (R11)."""
    if part.ord == 0:
        return None
    before = attempt.message.parts[part.ord - 1]
    left_s = part.gap_ms / 1000 - (before.since_done_s or 0.0)
    if left_s > rt.settings.part_gap_wait_s:
        return attempt.end(SlotState.WAITING, "part_gap", delay_s=left_s)
    rt.clock.wait(left_s, rt.stopping)
    return None


def _send_part(rt: Engine, attempt: Attempt, part: PartPlan) -> Step:
    if rt.stopping.is_set():
        return attempt.end(SlotState.QUEUED, "stopping")
    try:
        parcel = _parcel(part)
    except BadContent as bad:
        return _refused(attempt, part, f"bad_content: {bad.why}")
    line = attempt.adapter.open(attempt.address)
    if isinstance(line, NotSent):
        return _not_sent(rt, attempt, part, line.reason)
    hit("send.prepared")
    try:
        return _over_the_point(rt, attempt, part, parcel, line)
    finally:
        line.close()


def _over_the_point(rt: Engine, attempt: Attempt, part: PartPlan, parcel: PartToSend, line: Line) -> Step:
    """The point of no return, the guard, the write, the evidence."""
    began = rt.clock.monotonic()
    try:
        answer = rt.committer.ponr(_question(rt, attempt, part, parcel))
    except Exception as error:
        if not database.is_transient(error):
            raise
        return _unclear(rt, attempt, part, parcel)
    if answer.verdict != "go":
        return _stopped(rt, attempt, part, answer)
    attempt = _passed(attempt, answer)
    hit("send.committed")
    emit(
        Event.SEND_STARTED,
        message_id=str(attempt.lease.slot),
        room=attempt.address.room,
        attempt=part.tries + 1,
    )
    hit("send.guarded")
    passed = rt.clock.monotonic()
    outcome = attempt.adapter.send(
        line, attempt.address, parcel, write_by=began + rt.settings.guard_ms / 1000
    )
    hit("send.replied")
    rt.service_times.add(attempt.address.channel, rt.clock.monotonic() - passed)
    wrote_ms = None if outcome.wrote_after_ms is None else outcome.wrote_after_ms + (passed - began) * 1000
    if not rt.evidence(_evidence(attempt, part, parcel, outcome, wrote_ms)):
        return None
    hit("send.evidenced")
    return _after(rt, attempt, part, outcome)


def _question(rt: Engine, attempt: Attempt, part: PartPlan, parcel: PartToSend) -> Ponr:
    fresh = attempt.message.fresh and part.ord == 0
    return Ponr(
        slot=attempt.lease.slot,
        ord=part.ord,
        fence=attempt.fence,
        attempt_id=parcel.attempt_id,
        content_version=attempt.lease.content_version,
        hold_s=rt.settings.settle_s + (attempt.lease.gap_ms or 0) / 1000,
        provider_kind=attempt.capabilities.kind,
        parts=[p.as_row() for p in attempt.message.parts] if fresh else None,
    )


def _passed(attempt: Attempt, answer: PonrAnswer) -> Attempt:
    assert answer.fence is not None
    return replace(attempt, fence=answer.fence)


def _parcel(part: PartPlan) -> PartToSend:
    image = image_bytes(part.image_id) if part.image_id is not None else None
    if image is not None:
        return PartToSend("image", None, image, part.idem_key, uuid.uuid4())
    return PartToSend("text", part.body, None, part.idem_key, uuid.uuid4())


def _evidence(
    attempt: Attempt, part: PartPlan, parcel: PartToSend, outcome: Outcome, wrote_ms: float | None
) -> Evidence:
    return Evidence(
        attempt.lease.slot, part.ord, parcel.attempt_id, AttemptOutcome(outcome.kind), outcome.reason,
        outcome.provider_msg_id, outcome.http_status, outcome.answer, wrote_ms,
    )  # fmt: skip


def _unclear(rt: Engine, attempt: Attempt, part: PartPlan, parcel: PartToSend) -> Settle | None:
    """The commit's fate is unclear, so nothing was written: say so (a no-op if it failed). R5."""
    proof = Evidence(
        attempt.lease.slot, part.ord, parcel.attempt_id, AttemptOutcome.NOT_SENT, "commit_unclear"
    )
    rt.evidence(proof)
    return None  # our fence may be old or new; the lease ends by itself


def _stopped(rt: Engine, attempt: Attempt, part: PartPlan, answer: PonrAnswer) -> Settle | None:
    """What a verdict other than `go` means for the slot."""
    end = attempt.end
    wait_s = answer.wait_ms / 1000
    match answer.verdict:
        case "room_busy" | "device_busy":
            return end(SlotState.WAITING, answer.verdict, delay_s=wait_s)
        case "early":
            return end(SlotState.WAITING, "early", delay_s=wait_s)
        case "stale_content":
            return end(SlotState.QUEUED, "stale_content")
        case "quota":
            return end(SlotState.SKIPPED, "quota")
        case "cancelled":
            return _closed_early(attempt, SlotState.CANCELLED, "deleted")
        case "expired":
            return _closed_early(attempt, SlotState.EXPIRED, attempt.lease.reason or "validity")
        case "tries":
            return _closed_early(attempt, SlotState.FAILED, "tries")
        case "no_gate":
            return end(SlotState.FAILED, "no_gate")
        case _:  # fenced, bad_part: somebody else has it, or our picture is old
            emit(Event.LEASE_LOST, message_id=str(attempt.lease.slot))
            return None


def _after(rt: Engine, attempt: Attempt, part: PartPlan, outcome: Outcome) -> Step:
    match outcome:
        case Accepted():
            emit(Event.SEND_SUCCEEDED, message_id=str(attempt.lease.slot), channel=attempt.address.channel)
            parts = tuple(
                replace(p, state=DONE[0], since_done_s=0.0) if p.ord == part.ord else p
                for p in attempt.message.parts
            )
            return Sent(replace(attempt, message=Message(parts, fresh=False)))
        case NotSent():
            return _not_sent(rt, attempt, part, outcome.reason)
        case RejectedRetry():
            return _try_again(rt, attempt, part, outcome)
        case RejectedFinal():
            return _refused(attempt, part, f"rejected: {outcome.reason}")
        case Unknown():
            delay_s = 1.0 if attempt.capabilities.kind == "key" else rt.settings.first_lookup_s
            if attempt.capabilities.kind == "none":
                delay_s = 0.0
            return attempt.end(SlotState.WAITING, "confirm", phase=Phase.CONFIRM, delay_s=delay_s)


def _all_accepted(rt: Engine, attempt: Attempt) -> Settle:
    """Accepted is delivered, unless the provider can tell more: then it is asked first (A12, A16)."""
    if not attempt.capabilities.lookup_by_key:
        return attempt.end(SlotState.DELIVERED, "accepted")
    soon = max(min(CHEAP_LOOKUP_S, rt.settings.first_lookup_s), attempt.capabilities.lookup_lag_s)
    delay_s = min(soon, lookup_delay_s(rt.settings.first_lookup_s, rt.settings.settle_s, 0.0))
    return attempt.end(SlotState.WAITING, "confirm", phase=Phase.CONFIRM, delay_s=delay_s)


def _not_sent(rt: Engine, attempt: Attempt, part: PartPlan, reason: str) -> Settle:
    delay_s = fast_delay_s(rt.settings.fast_delays_s, part.misses + 1)
    emit(Event.RETRY, message_id=str(attempt.lease.slot), delay_s=delay_s, reason=reason)
    return attempt.end(SlotState.WAITING, "not_sent", delay_s=delay_s)


def _try_again(rt: Engine, attempt: Attempt, part: PartPlan, outcome: RejectedRetry) -> Settle:
    tries = part.tries + 1
    if tries >= rt.settings.max_tries:
        return _closed_early(attempt, SlotState.FAILED, f"tries: {outcome.reason}")
    delay_s = max(retry_delay_s(rt.settings.retry_delays_s, tries), outcome.retry_after_s or 0.0)
    emit(Event.RETRY, message_id=str(attempt.lease.slot), delay_s=delay_s, reason=outcome.reason)
    return attempt.end(SlotState.WAITING, "retry", delay_s=delay_s)


def _refused(attempt: Attempt, part: PartPlan, reason: str) -> Settle:
    """One part can never go out: what went before it makes the slot partial, nothing makes it failed."""
    return _closed_early(attempt, SlotState.FAILED, reason)


def _closed_early(attempt: Attempt, state: SlotState, reason: str) -> Settle:
    """End a slot whose remaining parts do not go out, truthfully about those that did or may have."""
    tainted = any(
        row.get("tainted") and row["state"] in ("pending", "failed") for row in attempt.lease.parts or []
    )
    some = any(part.state in DONE for part in attempt.message.parts)
    if tainted:
        return attempt.end(SlotState.UNRESOLVED, reason)
    return attempt.end(SlotState.PARTIAL if some else state, reason)


def _misses(lease: Lease) -> int:
    return max((int(row["misses"]) for row in lease.parts or []), default=0) + 1
