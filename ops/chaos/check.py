"""The checker: `ops.audit` over ledger and receipts, and what only the run itself can know.

Each function takes plain facts and answers violations, so that a test can feed it a broken world.
"""

from __future__ import annotations

import bisect
import datetime as dt
import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ops.audit.report import Violation
from ops.chaos.book import Book
from ops.chaos.facts import Attempt, Facts, Receipt, Slot
from runtime.ids import SlotId

#: Invariant -> what this run did to judge it. `ops.audit` is the SQL of ops/audit/sql.
CHECKED = {
    "I1": "ops.audit: one slot per schedule and instant",
    "I2": "ops.audit, and receipts counted by key without asking the ledger",
    "I3": "ops.audit, and the run's own book of instants and edits",
    "I4": "ops.audit: states against receipts",
    "I5": "ops.audit, and the times that the book knows",
    "I6": "the stretch before the storm: p99 of first receipt − max(slot time, room free) < 2 s",
    "I7": "ops.audit: receipts a gap apart",
    "I8": "ops.audit: receipts within the quota",
    "I9": "ops.audit: parts in order",
    "I10": "ops.audit: no receipt without its attempt",
    "I11": "ops.audit: attempts never overlap, fences rise",
    "I12": "ops.audit: the ladder is kept",
    "I13": "after every fault some slot moved within 30 s",
    "I14": "ops.audit: only moves of the table",
    "I15": "looked at every second of the run, against the last completed tick",
    "I16": "ops.audit: cancelled means unsent",
    "I17": "ops.audit: quota is counted",
    "I18": "everything killed and started anew, old hints pushed again: no ended row changed",
}
PROGRESS_S = 30.0
MEMO = "kakao-memo"
LATE_MS = 2000.0
_TOLD = 20


def doubled(receipts: Iterable[Receipt], risked: Collection[str]) -> list[Violation]:
    """I2: at most one receipt of one key at one channel, unless an attempt said that it may be the second."""
    counts = Counter((r.channel, str(r.key)) for r in receipts if r.key is not None)
    return [
        Violation("I2", f"{channel} received key {key[:16]} {n} times")
        for (channel, key), n in counts.items()
        if n > 1 and key not in risked
    ]


def memos(book: Book, facts: Facts) -> list[Violation]:
    """I2 and I4 of Kakao's memos, whose receipts bear no key: a schedule's texts arrived as often as it sent.

    Most schedules have one slot. One that an edit moved has another with the same text, just after the
    first has gone out.
    """
    found = []
    for told, n, slots in _memos_of_schedules(book, facts):
        sure = sum(slot.state == "delivered" for slot in slots)
        most = sure + sum(slot.state == "unresolved" for slot in slots)
        if n > max(most, 1):
            found.append(Violation("I2", f"{told}: the memo arrived {n} times"))
        elif not sure <= n <= most:
            found.append(Violation("I4", f"{told}: {sure} delivered, and the memo arrived {n} times"))
    return found


def _memos_of_schedules(book: Book, facts: Facts) -> Iterator[tuple[str, int, list[Slot]]]:
    """Of each schedule of memos: its slots by name, how often one of its texts arrived, and its slots."""
    arrived = Counter(r.sha256 for r in facts.receipts if r.channel == MEMO)
    schedules: dict[int, list[Slot]] = defaultdict(list)
    for slot in facts.slots.values():
        if slot.channel == MEMO:
            schedules[slot.id.schedule_id].append(slot)
    for schedule, slots in schedules.items():
        texts = {_sha256(version.spec.text) for version in book.entries[schedule].versions}
        told = f"slot {' and '.join(str(slot.id) for slot in slots)}"
        yield told, sum(arrived[digest] for digest in texts), slots


def doubled_memos(book: Book, facts: Facts) -> int:
    """Memos that arrived beyond the slots that may have sent them."""
    return sum(
        max(0, n - sum(slot.state in ("delivered", "unresolved") for slot in slots))
        for _, n, slots in _memos_of_schedules(book, facts)
    )


def duplicates(facts: Facts, memos: int = 0) -> dict[str, dict[str, int]]:
    """Receipts beyond the first of a key, by channel: flagged as a risk beforehand, or not. Memos, which bear
    no key, are counted by `doubled_memos`."""
    risked = {a.key for a in facts.attempts if a.dup_risk}
    found: dict[str, dict[str, int]] = {r.channel: {"unflagged": 0, "flagged": 0} for r in facts.receipts}
    for (channel, key), n in Counter((r.channel, r.key) for r in facts.receipts if r.key is not None).items():
        found[channel]["flagged" if key in risked else "unflagged"] += n - 1
    if MEMO in found:
        found[MEMO]["unflagged"] += memos
    return found


def lost(promised: Collection[SlotId], slots: Mapping[SlotId, Slot]) -> list[Violation]:
    """I3: what the book says was promised has a slot, and that slot has ended."""
    missing = [
        Violation("I3", f"slot {slot}: promised by the book, and there is no row")
        for slot in sorted(promised)
        if slot not in slots
    ]
    living = [
        Violation("I3", f"slot {slot.id}: still {slot.state}")
        for slot in slots.values()
        if slot.ended_at is None
    ]
    return _told(missing) + _told(living)


def unasked(allowed: Collection[SlotId], slots: Mapping[SlotId, Slot]) -> list[Violation]:
    """I3, the other way: a slot that nobody asked for. Cancelled ones may outlive their edit."""
    return _told(
        [
            Violation("I3", f"slot {slot.id}: {slot.state}, and the book knows of no such instant")
            for slot in slots.values()
            if slot.id not in allowed and slot.state != "cancelled" and slot.origin == "plan"
        ]
    )


def early(receipts: Iterable[Receipt], attempts: Iterable[Attempt]) -> list[Violation]:
    """I5 by the slot's name alone: nothing arrives before the instant that its id says."""
    slots = {a.key: a.slot for a in attempts}
    return [
        Violation("I5", f"slot {slot}: received {(slot.slot_at - r.at).total_seconds() * 1000:.0f} ms early")
        for r in receipts
        if r.key is not None
        and (slot := slots.get(r.key)) is not None
        and r.at < slot.slot_at - dt.timedelta(milliseconds=2)
    ]


def wrong_texts(book: Book, receipts: Iterable[Receipt], attempts: Iterable[Attempt]) -> list[Violation]:
    """I3: what arrived is a text that was in force when its parts were laid down."""
    laid = _laid_at(attempts)
    found = []
    for receipt in receipts:
        if receipt.kind != "text" or receipt.key not in laid:
            continue
        slot, moments = laid[receipt.key]
        texts = {text for at in moments for text in book.texts(slot.schedule_id, at)}
        if receipt.sha256 not in {_sha256(text) for text in texts}:
            when = " or ".join(f"{at:%H:%M:%S.%f}" for at in moments)
            found.append(Violation("I3", f"slot {slot}: received a text that was not in force at {when}"))
    return _told(found)


def _laid_at(attempts: Iterable[Attempt]) -> dict[str, tuple[SlotId, list[dt.datetime]]]:
    """By key of a part: its slot, and when its content may have been laid down.

    At the first attempt; and anew at each later one before which nothing was at risk: an edit after a try
    that provably did not go out still counts.
    """
    moments: dict[SlotId, list[dt.datetime]] = {}
    at_risk: set[SlotId] = set()
    found: dict[str, tuple[SlotId, list[dt.datetime]]] = {}
    for attempt in attempts:  # oldest first
        if attempt.slot not in at_risk:
            moments.setdefault(attempt.slot, []).append(attempt.sending_at)
        if attempt.exposed:
            at_risk.add(attempt.slot)
        found[attempt.key] = (attempt.slot, moments[attempt.slot])
    return found


def lied_to(met: Mapping[str, str], facts: Facts) -> set[str]:
    """Attempts that the provider said it had accepted and never delivered, and whose part ended unconfirmed.

    The ledger repeats what it was told and says that nobody confirmed it; I4 of those is the provider's lie.
    """
    return {
        attempt.id
        for attempt in facts.attempts
        if met.get(attempt.id) in ("lost", "undelivered") and not attempt.confirmed
    }


def lateness_ms(facts: Facts, start: dt.datetime, end: dt.datetime) -> list[float]:
    """First receipt − max(slot time, room and device free) of slots with a time in [start, end)."""
    slots = {a.key: a.slot for a in facts.attempts}
    arrived: dict[SlotId, dt.datetime] = {}
    for receipt in facts.receipts:
        if receipt.key is not None and (slot := slots.get(receipt.key)) is not None:
            arrived[slot] = min(receipt.at, arrived.get(slot, receipt.at))
    return sorted(
        (at - max(slot.slot_at, facts.slots[slot].free_from or slot.slot_at)).total_seconds() * 1000
        for slot, at in arrived.items()
        if start <= slot.slot_at < end and slot in facts.slots
    )


def late(spans_ms: Sequence[float]) -> list[Violation]:
    """I6, of a stretch without faults."""
    if not spans_ms:
        return [Violation("I6", "nothing was received in the stretch without faults, so nothing is proven")]
    p99 = spans_ms[min(len(spans_ms) - 1, int(len(spans_ms) * 0.99))]
    return [Violation("I6", f"p99 is {p99:.0f} ms without any fault")] if p99 >= LATE_MS else []


def stuck(
    faults: Iterable[tuple[str, dt.datetime]], facts: Facts, within_s: float = PROGRESS_S
) -> list[Violation]:
    """I13: after each fault, while anything was due, something moved within 30 s."""
    moved = sorted(move.at for moves in facts.moves.values() for move in moves)
    found = []
    for name, at in faults:
        place = bisect.bisect_right(moved, at)
        then = moved[place] if place < len(moved) else None
        pause_s = PROGRESS_S + 1 if then is None else (then - at).total_seconds()
        if pause_s > within_s and any(
            slot.id.slot_at <= at and (slot.ended_at is None or slot.ended_at > at)
            for slot in facts.slots.values()
        ):
            found.append(
                Violation("I13", f"nothing moved for {pause_s:.1f} s after {name} at {at:%H:%M:%S.%f}")
            )
    return _told(found)


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[Violation]:
    """I18: what had ended is, to the letter, as it was."""
    return _told(
        [
            Violation("I18", f"slot {slot} changed after it had ended")
            for slot, row in before.items()
            if after.get(slot) != row
        ]
    )


def by_invariant(violations: Iterable[Violation]) -> dict[str, int]:
    """Every invariant and how often it was broken."""
    counts: dict[str, int] = defaultdict(int)
    for violation in violations:
        counts[violation.invariant] += 1
    return {name: counts[name] for name in CHECKED}


def _told(violations: list[Violation]) -> list[Violation]:
    if len(violations) <= _TOLD:
        return violations
    more = Violation(violations[0].invariant, f"and {len(violations) - _TOLD} more of the same kind")
    return [*violations[:_TOLD], more]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
