"""Figures of a run: how fast what was hurt went on, and why what is unresolved is so."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.states import TERMINAL
from ops.audit.report import Violation
from ops.chaos.check import MEMO
from ops.chaos.crew import Life
from ops.chaos.facts import Attempt, Facts, Move, Slot
from ops.chaos.plan import LEASE_S
from ops.chaos.storm import Struck
from runtime.ids import SlotId

Request = Mapping[str, Any]
_NOT_REACHED = "provider: its look-up was not reached in time"
_ENDED = frozenset(state.value for state in TERMINAL)
#: From a fault on the ledger's side until its traces are over.
_AFTER_S = 3.0


@dataclass(frozen=True)
class Recovery:
    """Seconds.

    given_back   a killed worker's slots until the reaper had them
    taken_up     of those before the point of no return, until another worker had them or they had ended
    redis        from a Redis that had forgotten everything until the next slot was taken up
    """

    given_back: list[float]
    taken_up: list[float]
    redis: list[float]


def recovery(facts: Facts, lives: Iterable[Life], struck: Iterable[Struck]) -> Recovery:
    """How long it took after each death and each emptied Redis."""
    deaths = {life.name: life.died for life in lives if life.killed and life.died is not None}
    given_back, taken_up = [], []
    leases = []
    for moves in facts.moves.values():
        for place, move in enumerate(moves):
            if move.new != "leased":
                continue
            leases.append(move.at)
            died = deaths.get(move.who)
            later = moves[place + 1 :]
            if died is None or not later or later[0].at < died or move.at > died:
                continue
            given_back.append(_s(later[0].at - died))
            if later[0].new == "queued":
                again = next((m for m in later if m.new == "leased" or m.new in _ENDED), None)
                if again is not None:
                    taken_up.append(_s(again.at - died))
    leases.sort()
    emptied = [one.ended for one in struck if one.fault in ("flushall", "redis-killed")]
    redis = [_s(leases[place] - at) for at in emptied if (place := bisect_left(leases, at)) < len(leases)]
    return Recovery(given_back, taken_up, redis)


def faults_met(requests: Sequence[Request], to_kakao: Sequence[Request], facts: Facts) -> dict[str, str]:
    """Attempt -> the provider fault it met, from the emulator's logs; Kakao's know no attempts, but when."""
    met = {str(r["attempt"]): str(r["fault"]) for r in requests if r.get("fault") and r.get("attempt")}
    for request in to_kakao:
        if not request.get("fault"):
            continue
        at = dt.datetime.fromtimestamp(float(request["at"]), dt.UTC)
        for attempt in facts.attempts:
            slot = facts.slots.get(attempt.slot)
            until = attempt.ended_at or attempt.sending_at + dt.timedelta(seconds=_AFTER_S)
            if slot is not None and slot.channel == MEMO and attempt.sending_at <= at <= until:
                met.setdefault(attempt.id, str(request["fault"]))
    return met


@dataclass(frozen=True)
class Unresolved:
    """What nobody could prove, why, and how much of it there may be at most."""

    by_kind: dict[str, int]
    by_cause: dict[str, int]
    bound: int
    unexplained: list[str]

    def violations(self) -> list[Violation]:
        """More than the bound, or a case without a cause."""
        found = [Violation("bound", f"unresolved without a cause: {one}") for one in self.unexplained[:20]]
        if (n := sum(self.by_kind.values())) > self.bound:
            found.append(Violation("bound", f"{n} unresolved, and only {self.bound} can be accounted for"))
        return found


def unresolved(
    facts: Facts, lives: Sequence[Life], struck: Sequence[Struck], met: Mapping[str, str]
) -> Unresolved:
    """``met``: attempt -> the provider fault that it met."""
    by_slot: dict[SlotId, list[Attempt]] = {}
    for attempt in facts.attempts:
        by_slot.setdefault(attempt.slot, []).append(attempt)
    named = {life.name: life for life in lives}
    open_ends = [slot for slot in facts.slots.values() if slot.state == "unresolved"]
    kinds: Counter[str] = Counter(slot.channel or "-" for slot in open_ends)
    causes: Counter[str] = Counter()
    unexplained = []
    for slot in open_ends:
        cause = _cause(slot, by_slot.get(slot.id, []), facts, named, struck, met)
        causes[cause or "no cause found"] += 1
        if cause is None:
            last = by_slot.get(slot.id, [])[-1:]
            unexplained.append(f"{slot.id} ({slot.channel}, {slot.reason}, {[a.reason for a in last]})")
    doubtful = sum(
        attempt.outcome in (None, "unknown")
        and _explained(attempt, facts.moves.get(attempt.slot, []), named, struck, met) is not None
        for attempt in facts.attempts
    )
    bound = doubtful + causes[_NOT_REACHED]
    return Unresolved(dict(kinds), dict(causes), bound, unexplained)


def _cause(
    slot: Slot, attempts: Sequence[Attempt], facts: Facts, lives: Mapping[str, Life],
    struck: Sequence[Struck], met: Mapping[str, str],
) -> str | None:  # fmt: skip
    if slot.reason == "lookup_unavailable":
        return _NOT_REACHED
    for attempt in reversed(attempts):
        if attempt.outcome in (None, "unknown"):
            cause = _explained(attempt, facts.moves.get(slot.id, []), lives, struck, met)
            if cause is not None:
                return cause
    if any(attempt.id in met for attempt in attempts):
        return "provider: said accepted, and a look-up could not confirm it"
    return None


def _explained(
    attempt: Attempt, moves: Sequence[Move], lives: Mapping[str, Life], struck: Sequence[Struck],
    met: Mapping[str, str],
) -> str | None:  # fmt: skip
    """Why nobody knows what became of an attempt; None: nothing that we did to it explains it."""
    if (fault := met.get(attempt.id)) is not None:
        return f"provider: {fault}"
    holder = next((m.who for m in reversed(moves) if m.new == "leased" and m.at <= attempt.sending_at), None)
    life = lives.get(holder or "")
    until = attempt.ended_at or attempt.sending_at + dt.timedelta(seconds=_AFTER_S)
    if (
        life is not None
        and life.killed
        and life.died is not None
        and attempt.sending_at <= life.died <= until
    ):
        return "killed in flight"
    if life is not None and any(
        began <= until and (ended is None or ended >= attempt.sending_at - dt.timedelta(seconds=LEASE_S))
        for began, ended in life.stops
    ):
        return "stopped in flight"
    for one in struck:
        after = one.ended + dt.timedelta(seconds=_AFTER_S)
        if one.fault.startswith("postgres") and one.began <= until and after >= attempt.sending_at:
            return "the ledger's answer was lost"
    return None


def spread(values: Iterable[float]) -> dict[str, Any]:
    """n, p50, p95 and max, rounded to milliseconds of the unit; None where nothing was measured."""
    ordered = sorted(values)
    if not ordered:
        return {"n": 0, "p50": None, "p95": None, "max": None}

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3)

    return {"n": len(ordered), "p50": at(0.5), "p95": at(0.95), "max": round(ordered[-1], 3)}


def _s(span: dt.timedelta) -> float:
    return max(0.0, span.total_seconds())
