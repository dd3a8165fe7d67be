"""What a verdict of the ledger, or an outcome of the provider, means for the slot."""

from __future__ import annotations

from dataclasses import replace

from gateways.outcomes import Accepted, NotSent, Outcome, RejectedFinal, RejectedRetry, Unknown
from models.ledger.worker import PonrAnswer, Settle
from models.states import PartState, Phase, SlotState
from runtime.events import Event, emit
from tasks.engine import Engine
from tasks.ladder import fast_delay_s, key_retry_s, lookup_delay_s, retry_delay_s
from tasks.prepare import Message, PartPlan
from tasks.under_way import Attempt, Sent, Step

#: A provider that is looked up cheaply is asked this soon after it accepted.
CHEAP_LOOKUP_S = 1.0
#: A database that nobody vouches for yet, mostly for the moment after its start, is asked again this soon.
HELD_S = 1.0
#: The database's clock against itself, through two roundings: not worth another round.
_ROUNDING_S = 0.05


def too_soon(rt: Engine, attempt: Attempt, part: PartPlan) -> Settle | None:
    """A worker that died between the provider's answer and settling set no delay: the ladder still holds."""
    if part.tries == 0 or part.since_done_s is None:
        return None
    first_with_key = part.tries == 1 and attempt.kind == "key"
    delays_s = rt.settings.retry_delays_s
    ladder_s = key_retry_s(delays_s) if first_with_key else retry_delay_s(delays_s, part.tries)
    left_s = ladder_s - part.since_done_s
    return attempt.end(SlotState.WAITING, "retry", delay_s=left_s) if left_s > _ROUNDING_S else None


def stopped(attempt: Attempt, answer: PonrAnswer) -> Settle | None:
    """A verdict other than `go`."""
    wait_s = answer.wait_ms / 1000
    match answer.verdict:
        case "room_busy" | "device_busy" | "early":
            return attempt.end(SlotState.WAITING, answer.verdict, delay_s=wait_s)
        case "held":
            return attempt.end(SlotState.WAITING, "held", delay_s=HELD_S)
        case "stale_content":
            return attempt.end(SlotState.QUEUED, "stale_content")
        case "quota":
            return attempt.end(SlotState.SKIPPED, "quota")
        case "cancelled":
            return attempt.close(SlotState.CANCELLED, "deleted")
        case "expired":
            held = attempt.lease.reason in ("room_busy", "device_busy")
            return attempt.close(SlotState.EXPIRED, str(attempt.lease.reason) if held else "validity")
        case "tries":
            return attempt.close(SlotState.FAILED, "tries")
        case "no_gate":
            return attempt.close(SlotState.FAILED, "no_gate")
        case _:  # fenced, bad_part: somebody else has it, or our picture is old
            emit(Event.LEASE_LOST, message_id=str(attempt.lease.slot))
            return None


def after(rt: Engine, attempt: Attempt, part: PartPlan, outcome: Outcome) -> Step:
    """What the provider's answer means. Its evidence is in the ledger, or goes there with the slot's end."""
    match outcome:
        case Accepted():
            emit(Event.SEND_SUCCEEDED, message_id=str(attempt.lease.slot), channel=attempt.address.channel)
            return Sent(_with_accepted(attempt, part))
        case NotSent():
            return not_sent(rt, attempt, part, outcome.reason)
        case RejectedRetry():
            return _try_again(rt, attempt, part, outcome)
        case RejectedFinal():
            return attempt.close(SlotState.FAILED, f"rejected: {outcome.reason}")
        case Unknown():
            # The same key may go again at once, and nobody can be asked where there is no look-up.
            looks_s = attempt.capabilities.lookup_delays_s or (rt.settings.first_lookup_s,)
            delay_s = looks_s[0] if attempt.kind == "lookup" else 0.0
            return attempt.end(SlotState.WAITING, "confirm", phase=Phase.CONFIRM, delay_s=delay_s)


def all_accepted(rt: Engine, attempt: Attempt) -> Settle:
    """Accepted is delivered, unless the provider can tell more: then it is asked first (A12, A16)."""
    if attempt.capabilities.confirmed_on_accept:
        return replace(attempt.end(SlotState.DELIVERED, "confirmed"), confirmed=True)
    if not attempt.capabilities.lookup_by_key:
        return attempt.end(SlotState.DELIVERED, "accepted")
    soon = max(min(CHEAP_LOOKUP_S, rt.settings.first_lookup_s), attempt.capabilities.lookup_lag_s)
    delay_s = min(soon, lookup_delay_s(rt.settings.first_lookup_s, rt.settings.settle_s, 0.0))
    return attempt.end(SlotState.WAITING, "confirm", phase=Phase.CONFIRM, delay_s=delay_s)


def not_sent(rt: Engine, attempt: Attempt, part: PartPlan, reason: str) -> Settle:
    """Nothing left this machine: the fast ladder, and no try is counted."""
    misses = max(part.misses + 1, rt.refusals.add(attempt.lease.slot))
    delay_s = fast_delay_s(rt.settings.fast_delays_s, misses)
    emit(Event.RETRY, message_id=str(attempt.lease.slot), delay_s=delay_s, reason=reason)
    return attempt.end(SlotState.WAITING, "not_sent", delay_s=delay_s)


def _try_again(rt: Engine, attempt: Attempt, part: PartPlan, outcome: RejectedRetry) -> Settle:
    tries = part.tries + 1
    if tries >= rt.settings.max_tries:
        return attempt.close(SlotState.FAILED, f"tries: {outcome.reason}")
    delay_s = max(retry_delay_s(rt.settings.retry_delays_s, tries), outcome.retry_after_s or 0.0)
    emit(Event.RETRY, message_id=str(attempt.lease.slot), delay_s=delay_s, reason=outcome.reason)
    return attempt.end(SlotState.WAITING, "retry", delay_s=delay_s)


def _with_accepted(attempt: Attempt, part: PartPlan) -> Attempt:
    parts = tuple(
        replace(one, state=PartState.ACCEPTED, since_done_s=0.0) if one.ord == part.ord else one
        for one in attempt.message.parts
    )
    return replace(attempt, message=Message(parts, fresh=False))
