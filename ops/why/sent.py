"""The gates from the point of no return on: provider, retries, parts, confirmation, lateness."""

from __future__ import annotations

from collections.abc import Iterator

from models.queries import AttemptRow, SlotDetail, SlotRow
from ops.why.carried import holds_now, waits
from ops.why.facts import Facts
from ops.why.gate import DELAY_MS, Gate, ahead, passed, stopped, timed

_ARRIVED = ("accepted", "delivered")
#: A provider may well take this long to answer; an image takes longer than a text.
_ANSWER_MS = 1500.0


def sent_gates(facts: Facts, detail: SlotDetail) -> Iterator[Gate]:
    """From the point of no return to lateness."""
    yield _point_of_no_return(facts, detail)
    yield _provider(facts, detail)
    yield _retries(facts, detail)
    yield _parts(facts, detail)
    yield _confirmed(facts, detail)
    yield _lateness(detail)


def _point_of_no_return(facts: Facts, detail: SlotDetail) -> Gate:
    if not detail.attempts:
        return ahead("point_of_no_return")
    first = detail.attempts[0]
    told = f"passed at {facts.clock(first.sending_at, ms=True)}, attempt {first.attempt_id}"
    return passed("point_of_no_return", told, first.sending_at)


def _told(facts: Facts, attempt: AttemptRow) -> str:
    end = attempt.ended_at
    took = "" if end is None else f" after {(end - attempt.sending_at).total_seconds() * 1000:.0f} ms"
    status = "" if attempt.http_status is None else f", HTTP {attempt.http_status}"
    why = "" if attempt.reason in (None, attempt.outcome) else f", {attempt.reason}"
    took += _seen(attempt)
    return (
        f"part {attempt.ord} at {facts.clock(attempt.sending_at, ms=True)}:"
        f" {attempt.outcome or 'no evidence yet'}{why}{status}{took}"
    )


def _seen(attempt: AttemptRow) -> str:
    """What reading the room back showed, where the provider is looked up so."""
    told = []
    back = (attempt.answer or {}).get("read_back")
    if isinstance(back, dict):
        what = f"found {back['found'][0][0]}" if back.get("found") else back.get("trouble", "not there")
        told.append(f"read back {back.get('looks')} times in {back.get('after_ms')} ms: {what}")
    seen = attempt.seen
    if seen is not None:
        facts = [f"{name} {seen[name]}" for name in ("reason", "pending", "observing") if name in seen]
        rows = seen.get("rows") or []
        told.append(f"last look: {seen.get('saw')}, messages since {rows or 'none'}, {', '.join(facts)}")
    return "".join(f"; {one}" for one in told)


def _provider(facts: Facts, detail: SlotDetail) -> Gate:
    if not detail.attempts:
        return ahead("provider")
    last = detail.attempts[-1]
    told = "; ".join(_told(facts, attempt) for attempt in detail.attempts)
    if facts.ended("rejected"):
        return stopped("provider", f"finally refused ({detail.slot.reason}): {told}", last.ended_at)
    if last.outcome is None:
        since_ms = (facts.now - last.sending_at).total_seconds() * 1000
        gate = timed("provider", told, since_ms, last.sending_at, normal_ms=_ANSWER_MS)
        return gate if gate.verdict == "delayed" else ahead("provider", told)
    slow_ms = max(
        ((a.ended_at or a.sending_at) - a.sending_at).total_seconds() * 1000 for a in detail.attempts
    )
    return timed("provider", told, slow_ms, last.ended_at or last.sending_at, normal_ms=_ANSWER_MS)


def _retries(facts: Facts, detail: SlotDetail) -> Gate:
    if not detail.attempts:
        return ahead("retries")
    tries = sum(attempt.outcome != "not_sent" for attempt in detail.attempts)
    missed = len(detail.attempts) - tries
    parts = len({attempt.ord for attempt in detail.attempts})
    told = "1 try" if tries == 1 else f"{tries} tries"
    told += (
        (f" for {parts} parts" if parts > 1 else "")
        + " reached the provider"
        + (f", {missed} never left" if missed else "")
    )
    if facts.ended("tries"):
        return stopped("retries", f"{told}; no more are allowed", detail.slot.ended_at)
    waited = waits(facts, "retry", "not_sent")
    if holds_now(facts, "retry", "not_sent"):
        return timed("retries", f"{told}; the next one is due at {facts.clock(detail.slot.not_before)}",
                     max(DELAY_MS, sum(ms for _, ms in waited)))  # fmt: skip
    if waited:
        delay_ms = sum(ms for _, ms in waited)
        return timed("retries", f"{told}; waited {delay_ms:.0f} ms between them", delay_ms, waited[-1][0].at)
    return passed("retries", told, detail.attempts[-1].sending_at)


def _parts(facts: Facts, detail: SlotDetail) -> Gate:
    if not detail.parts:
        return ahead("parts")
    arrived = sum(part.state in _ARRIVED for part in detail.parts)
    told = f"{arrived} of {len(detail.parts)} parts accepted"
    if detail.slot.state == "partial":
        rest = ", ".join(
            f"part {part.ord} is {part.state}" for part in detail.parts if part.state not in _ARRIVED
        )
        return stopped("parts", f"{told}; {rest} ({detail.slot.reason})", detail.slot.ended_at)
    done = max((part.done_at for part in detail.parts if part.done_at is not None), default=None)
    paused_ms = sum(ms for _, ms in waits(facts, "part_gap"))
    if paused_ms:
        told += f"; waited {paused_ms:.0f} ms between parts, as its schedule asks"
        return timed("parts", told, paused_ms, done, normal_ms=sum(part.gap_ms for part in detail.parts))
    return passed("parts", told, done)


def _confirmed(facts: Facts, detail: SlotDetail) -> Gate:
    slot = detail.slot
    if slot.state == "unresolved":
        end = f"may have arrived, and nobody can tell ({slot.reason})"
        if slot.cleared_at is not None:
            end += f"; cleared at {facts.clock(slot.cleared_at)} by {slot.cleared_by}: {slot.cleared_note}"
        return stopped("confirmed", end, slot.ended_at)
    if facts.ended("person_not_arrived", "person_arrived"):
        word = "did not arrive" if slot.reason == "person_not_arrived" else "arrived"
        told = f"{slot.cleared_by} said at {facts.clock(slot.cleared_at or facts.now)} that it {word}"
        return (stopped if word != "arrived" else passed)("confirmed", told, slot.cleared_at)
    normal_ms = _normal_ms(facts, slot)
    asked_ms = sum(ms for _, ms in waits(facts, "confirm", "lookup_unavailable", "lease_expired_after_ponr"))
    if slot.ended_at is None and slot.phase == "confirm":
        told = f"it is being found out whether it arrived; next look at {facts.clock(slot.not_before)}"
        if all(part.state in _ARRIVED for part in detail.parts) and asked_ms < normal_ms + DELAY_MS:
            return ahead("confirmed", told)
        return timed("confirmed", told, max(DELAY_MS, asked_ms))
    if slot.confirmed_at is not None:
        told = f"the provider confirmed it at {facts.clock(slot.confirmed_at)}"
        return timed("confirmed", told, asked_ms, slot.confirmed_at, normal_ms=normal_ms)
    if slot.state == "delivered":
        how = "late evidence said so" if slot.reason == "late_evidence" else "this provider does not confirm"
        return timed("confirmed", f"accepted; {how}", asked_ms, slot.ended_at, normal_ms=normal_ms)
    return ahead("confirmed")


def _normal_ms(facts: Facts, slot: SlotRow) -> float:
    """How long finding out takes when nothing is wrong: to the first look-up, or where none is, to settle."""
    known = facts.settings
    return 1000 * (known.settle_s if slot.provider_kind == "none" else known.first_lookup_s)


def _lateness(detail: SlotDetail) -> Gate:
    slot = detail.slot
    if slot.lateness_ms is None or slot.waited_ms is None:
        return ahead("lateness")
    told = f"first byte {slot.lateness_ms:.0f} ms late"
    if slot.waited_ms >= 1:
        told += f", after {slot.waited_ms:.0f} ms of waiting for room or device"
    return timed("lateness", told, slot.lateness_ms, slot.started_at)
