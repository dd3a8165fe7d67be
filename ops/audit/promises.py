"""The oracle of I3: every instant that the history promises, computed anew and not by the planner.

A version is in force for the instants in (its own time, the next version's time]; the first one from
the schedule's creation, a one-off's from its grace before it, inclusive. Where it is cheap, a minute
scan finds the instants; it shares nothing with the planner but the parsed rules.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import psycopg
from psycopg.rows import class_row

from beat.recurrence import RuleError, Rules, Window, between, parse_rules, zone_of
from beat.recurrence.bruteforce import scan

Connection = psycopg.Connection[Any]

#: Minutes that the scan may walk, at about 3 µs each, before the fast path is taken instead.
SCAN_BUDGET_MINUTES = 200_000
_WARM_UP_MINUTES = 3_000
_MINUTE = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one schedule. ``once``: its instants are single ones.

    ``laid_to``: instants before it have rows by now (None: all have).
    """

    schedule_id: int
    version: int
    since: dt.datetime
    clock: dict[str, Any]
    once: bool
    laid_to: dt.datetime | None
    replan_from: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Reign:
    """The instants that one version is asked for: from ``start`` to ``end``, both ends as told."""

    of: Version
    rules: Rules
    start: dt.datetime
    include_start: bool
    end: dt.datetime


_VERSIONS = """
SELECT h.schedule_id, h.version, h.valid_from AS since, h.clock,
       NOT jsonb_path_exists(h.clock -> 'rules', '$[*] ? (@.kind != "once" && @.kind != "at")') AS once,
       c.planned_to AS laid_to, c.replan_from
  FROM kb_schedule_history h LEFT JOIN schedule_clock c USING (schedule_id)
 WHERE h.valid_from <= %s ORDER BY h.schedule_id, h.version"""


def load_promises(db: Connection, start: dt.datetime, tick: dt.datetime | None) -> tuple[int, str]:
    """Fill the temporary table ``audit_promised`` up to ``tick``; how many are due, and how it was done."""
    db.execute(
        "CREATE TEMP TABLE audit_promised (schedule_id bigint, slot_at timestamptz, version int, due boolean)"
        " ON COMMIT DROP"
    )
    if tick is None:
        return 0, "nothing to judge: no beat has completed a tick"
    reigns = list(_reigns(db, start, tick))
    scanned = _minutes(reigns) <= SCAN_BUDGET_MINUTES
    found = _by_scan(reigns) if scanned else _by_recurrence(reigns)
    due = 0
    with db.cursor().copy("COPY audit_promised FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int8", "timestamptz", "int4", "bool"])
        for reign, at in found:
            laid = _has_a_row(reign.of, at)
            due += laid
            copy.write_row((reign.of.schedule_id, at, reign.of.version, laid))
    db.execute("ANALYZE audit_promised")
    return due, "minute scan" if scanned else "recurrence"


def _reigns(db: Connection, start: dt.datetime, tick: dt.datetime) -> Iterator[Reign]:
    with db.cursor(row_factory=class_row(Version)) as cursor:
        versions = cursor.execute(_VERSIONS, (tick,)).fetchall()
    for _, group in groupby(versions, key=lambda version: version.schedule_id):
        own = list(group)
        ends = [later.since for _, later in pairwise(own)] + [tick]
        for number, (version, end) in enumerate(zip(own, ends, strict=True)):
            reign = _reign(version, number == 0, start, min(end, tick))
            if reign is not None:
                yield reign


def _reign(version: Version, first: bool, start: dt.datetime, end: dt.datetime) -> Reign | None:
    if not version.clock["enabled"]:
        return None
    since = version.since
    if first and version.once:
        since -= dt.timedelta(seconds=version.clock["grace_s"])
    began = max(since, start)
    if began > end:
        return None
    try:
        zone_of(version.clock["tz"])
        rules = parse_rules(version.clock["rules"])
    except RuleError:
        return None  # the planner marks it `error`: a rule that nobody can read promises nothing
    return Reign(version, rules, began, first or began > since, end)


def _has_a_row(version: Version, at: dt.datetime) -> bool:
    """Whether the planner has walked past an instant: an edit sends it back to the edit's time."""
    if version.replan_from is not None and at > version.replan_from:
        return False
    return version.laid_to is None or at < version.laid_to


def _minutes(reigns: Sequence[Reign]) -> float:
    return sum(
        _WARM_UP_MINUTES + (end - start) / _MINUTE for start, end in _spans(reigns).values()
    )  # a span is scanned once for all schedules of one rule


def _spans(reigns: Sequence[Reign]) -> dict[tuple[Rules, str], tuple[dt.datetime, dt.datetime]]:
    spans: dict[tuple[Rules, str], tuple[dt.datetime, dt.datetime]] = {}
    for reign in reigns:
        key = (reign.rules, reign.of.clock["tz"])
        start, end = spans.get(key, (reign.start, reign.end))
        spans[key] = (min(start, reign.start), max(end, reign.end))
    return spans


def _by_scan(reigns: Sequence[Reign]) -> Iterator[tuple[Reign, dt.datetime]]:
    known = {
        (rules, tz): list(scan(rules, zone_of(tz), _floor(start), _floor(end) + _MINUTE))
        for (rules, tz), (start, end) in _spans(reigns).items()
    }
    for reign in reigns:
        window = _window(reign)
        for at in known[reign.rules, reign.of.clock["tz"]]:
            after_start = at >= reign.start if reign.include_start else at > reign.start
            if after_start and at <= reign.end and _within(window, at):
                yield reign, at


def _by_recurrence(reigns: Sequence[Reign]) -> Iterator[tuple[Reign, dt.datetime]]:
    for reign in reigns:
        for at in between(
            reign.rules, reign.of.clock["tz"], reign.start, reign.end,
            include_start=reign.include_start, include_end=True, window=_window(reign),
        ):  # fmt: skip
            yield reign, at


def _window(reign: Reign) -> Window:
    clock = reign.of.clock
    return Window(_instant(clock.get("valid_from")), _instant(clock.get("valid_until")))


def _instant(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)


def _within(window: Window, at: dt.datetime) -> bool:
    from_, until = window.valid_from, window.valid_until
    return (from_ is None or at >= from_) and (until is None or at <= until)


def _floor(at: dt.datetime) -> dt.datetime:
    return at.astimezone(dt.UTC).replace(second=0, microsecond=0)
