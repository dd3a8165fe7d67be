"""Judgement: everything that a run left behind, against everything that must hold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ops.audit import audit
from ops.audit.report import Violation
from ops.chaos import check, facts, figures
from ops.chaos.book import Book
from ops.chaos.crew import Life
from ops.chaos.report import Outcome
from ops.chaos.storm import Struck
from ops.chaos.world import World
from runtime.ids import SlotId


@dataclass(frozen=True)
class Course:
    """How a run went. ``violations``: what was seen while it went."""

    size: str
    seed: int
    world: World
    book: Book
    lives: Sequence[Life]
    struck: Sequence[Struck]
    hits: dict[tuple[str, str], int]
    start: dt.datetime
    calm_until: dt.datetime
    storm_ended: dt.datetime
    drained: dt.datetime
    last_slot: dt.datetime
    ended_before: Mapping[str, str]
    """Every ended row before everything was started anew."""
    violations: Sequence[Violation]


def judge(course: Course) -> Outcome:
    """Read ledger, receipts and the provider's log once, and say what is right and what is not."""
    requests = course.world.read("requests")["requests"]
    to_kakao = course.world.read("kakao")["requests"]
    receipts = course.world.read_receipts()
    with course.world.connect() as db:
        ended_after = facts.terminal_rows(db)
        known = facts.read(db, receipts)
        report = audit(db, receipts=course.world.receipts)
    met = figures.faults_met(requests, to_kakao, known)
    lied = check.lied_to(met, known)
    calm_ms = check.lateness_ms(known, course.start, course.calm_until)
    open_ends = figures.unresolved(known, course.lives, course.struck, met)
    promised = course.book.promised(course.drained)
    violations = [
        *course.violations,
        *(v for v in report.violations if not any(attempt in v.detail for attempt in lied)),
        *check.doubled(known.receipts, {a.key for a in known.attempts if a.dup_risk}),
        *check.memos(course.book, known),
        *check.lost(promised, known.slots),
        *check.unasked(course.book.allowed(course.last_slot + dt.timedelta(hours=2)), known.slots),
        *check.early(known.receipts, known.attempts),
        *check.wrong_texts(course.book, known.receipts, known.attempts),
        *check.late(calm_ms),
        *check.stuck(_faults(course), known),
        *check.changed(course.ended_before, ended_after),
        *open_ends.violations(),
    ]
    proxies = (course.world.ledger_proxy, course.world.redis_proxy)
    return Outcome(
        size=course.size, seed=course.seed, facts=known, audit=report, violations=violations, calm_ms=calm_ms,
        unresolved=open_ends, recovery=figures.recovery(known, course.lives, course.struck),
        kills=_kills(course), lost=_lost(promised, known),
        promised=len(promised), struck=course.struck, hits=course.hits, lives=course.lives,
        drain_s=round((course.drained - course.storm_ended).total_seconds(), 1), provider_faults=len(met),
        swallowed=sum(proxy.swallowed for proxy in proxies), lied=len(lied),
        doubled_memos=check.doubled_memos(course.book, known),
    )  # fmt: skip


def _lost(promised: Collection[SlotId], known: facts.Facts) -> int:
    living = sum(slot.ended_at is None for slot in known.slots.values())
    return living + sum(slot not in known.slots for slot in promised)


def _kills(course: Course) -> int:
    """Deaths by signal 9 while anything lived, the restart of everything at the end left out."""
    return sum(life.killed and life.died is not None and life.died < course.drained for life in course.lives)


def _faults(course: Course) -> list[tuple[str, dt.datetime]]:
    deaths = [("a kill", life.died) for life in course.lives if life.killed and life.died is not None]
    return [(one.fault, one.ended) for one in course.struck] + deaths
