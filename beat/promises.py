"""Which slots a schedule promises, as a pure function of its clock, its history and the time.

Design: section 6, "No instant without a row". A walk starts at the cursor, never at now; each instant is
decided by the version in force then: its rules, zone, window and limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import NamedTuple

from beat.recurrence import RuleError, Rules, Window, between, next_after, parse_rules_text, zone_of
from models.ledger.beat import ClockRow, Promise, Version
from runtime.ids import SlotId

_MS = timedelta(milliseconds=1)
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class View:
    """When the planner looks, how far ahead, and its limits (design: numbers). Times are the ledger's.

    ``oldest``: where retention ends; no row is laid down before it.
    """

    now: datetime
    until: datetime
    oldest: datetime
    validity_max_s: int = 1800
    validity_min_s: int = 30
    catch_up_max: int = 10_000


@dataclass(frozen=True, slots=True)
class Gap:
    """Promised instants, too many or too old for rows of their own; both ends inclusive."""

    start: datetime
    end: datetime
    why: str


@dataclass(slots=True)
class Walk:
    """What one walk found. ``cursor``: the next instant without a row, None if there is none.

    ``never``: why the schedule fires at no time that is left, said only of one that promised nothing.
    """

    promises: list[Promise] = field(default_factory=list)
    cursor: datetime | None = None
    gaps: list[Gap] = field(default_factory=list)
    never: str | None = None


def promises_of(clock: ClockRow, history: Sequence[Version], view: View) -> Walk:
    """Walk one schedule from its cursor to ``view.until``.

    ``history``: every version, oldest first; empty will do when the walk starts after the newest began.
    Raises RuleError if the newest version cannot be read.
    """
    rules = parse_rules_text(clock.rules) if clock.enabled else None
    if len(history) < 2 and rules is not None:
        first = next_after(rules, clock.tz, clock.due_at, inclusive=True, window=_window(clock))
        if first is None or first > view.now:
            return _ahead(clock, rules, first, view)
    return _caught_up(clock, history, rules, view)


def _ahead(clock: ClockRow, rules: Rules, first: datetime | None, view: View) -> Walk:
    """The quick way, taken by nearly all: nothing is late and one version decides."""
    walk = Walk(cursor=first)
    if first is None:
        walk.never = _why_never(clock, rules)
    elif first <= view.until:
        allowed = _Allowed(clock.validity_s, clock.grace_s, view.validity_max_s, view.validity_min_s)
        moments, walk.cursor = _run(rules, clock.tz, first, view.until, clock.valid_until, allowed)
        number, version, now, room = clock.schedule_id, clock.version, view.now, clock.room_ref
        priority, latest, kind = clock.priority, clock.misfire == "latest", clock.kind
        walk.promises = [
            Promise(
                SlotId(number, at), version, start_by, finish_by, superseded, start_by < now,
                room, priority, latest, kind,
            )
            for at, start_by, finish_by, superseded in moments
        ]  # fmt: skip
    return walk


class _Allowed(NamedTuple):
    """How late a slot may be, in seconds; ``validity_s`` None: until shortly before the next slot."""

    validity_s: int | None
    grace_s: int
    validity_max_s: int
    validity_min_s: int


@lru_cache(maxsize=4096)
def _run(
    rules: Rules, tz: str, first: datetime, until: datetime, valid_until: datetime, allowed: _Allowed
) -> tuple[tuple[tuple[datetime, datetime, datetime, bool], ...], datetime | None]:
    """The instants from ``first`` to ``until`` with their limits, and the next instant. A burst of
    schedules shares the answer."""
    window = Window(None, valid_until)
    moments = list(between(rules, tz, first, until, include_end=True, window=window))
    cursor = next_after(rules, tz, until, window=window)
    following = (*moments[1:], cursor)
    return tuple(
        (at, *_limits(at, next_at, allowed)) for at, next_at in zip(moments, following, strict=True)
    ), cursor


def _limits(at: datetime, next_at: datetime | None, allowed: _Allowed) -> tuple[datetime, datetime, bool]:
    """``start_by``, ``finish_by``, and whether the next slot is what ends this one (design: "Late"): an old
    text never arrives after a newer one."""
    validity, superseded = allowed.validity_s, False
    if validity is None:
        validity = allowed.validity_max_s
        if next_at is not None:
            room = int((next_at - at).total_seconds()) - allowed.validity_min_s
            superseded = room < validity
            validity = max(allowed.validity_min_s, min(validity, room))
    finish_by = at + timedelta(seconds=validity)
    return min(at + timedelta(seconds=allowed.grace_s), finish_by), finish_by, superseded


def _promise(
    clock: ClockRow,
    terms: ClockRow | Version,
    at: datetime,
    next_at: datetime | None,
    view: View,
    version: int,
) -> Promise:
    """One instant as the version in force then allows it."""
    allowed = _Allowed(terms.validity_s, terms.grace_s, view.validity_max_s, view.validity_min_s)
    start_by, finish_by, superseded = _limits(at, next_at, allowed)
    return Promise(
        SlotId(clock.schedule_id, at), version, start_by, finish_by, superseded, start_by < view.now,
        terms.room_ref, terms.priority, terms.misfire == "latest", clock.kind,
    )  # fmt: skip


def _window(terms: ClockRow | Version) -> Window:
    return Window(terms.valid_from, terms.valid_until)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """When version number ``place`` is in force: ``first`` (inclusive or not) to ``last`` (inclusive)."""

    place: int
    version: Version
    rules: Rules
    first: datetime
    inclusive: bool
    last: datetime

    def instants(self, first: datetime, last: datetime, *, inclusive: bool) -> Iterator[datetime]:
        """The instants between two moments, cut to the stretch."""
        if first < self.first or (first == self.first and not self.inclusive):
            first, inclusive = self.first, self.inclusive
        last = min(last, self.last)
        if last < first or not self.rules:
            return iter(())
        return between(
            self.rules, self.version.tz, first, last,
            include_start=inclusive, include_end=True, window=_window(self.version),
        )  # fmt: skip


def _caught_up(clock: ClockRow, history: Sequence[Version], rules: Rules | None, view: View) -> Walk:
    """The way through outages and edits."""
    versions = [*history[:-1], _newest(clock, history)]
    walk = Walk()
    stretches = _stretches(versions, rules or (), clock.due_at, view.until)
    found = list(_instants(stretches, view, walk.gaps))
    if rules is not None:
        walk.cursor = next_after(rules, clock.tz, view.until, window=_window(clock))
        if walk.cursor is None and not found and not walk.gaps:
            walk.never = _why_never(clock, rules)
    following = [*(at for at, _ in found[1:]), walk.cursor]
    for (at, place), next_at in zip(found, following, strict=False):  # none found: one following too many
        promise = _promise(clock, versions[place], at, next_at, view, clock.version)
        walk.promises.append(_with_edits(promise, versions, place))
    return walk


def _newest(clock: ClockRow, history: Sequence[Version]) -> Version:
    return Version(
        schedule_id=clock.schedule_id, version=clock.version, since=clock.version_from,
        off=history[-1].off if history else "paused", rules=clock.rules, tz=clock.tz, enabled=clock.enabled,
        valid_from=clock.valid_from, valid_until=clock.valid_until, grace_s=clock.grace_s,
        validity_s=clock.validity_s, misfire=clock.misfire, priority=clock.priority, room_ref=clock.room_ref,
    )  # fmt: skip


def _stretches(versions: Sequence[Version], rules: Rules, start: datetime, until: datetime) -> list[_Stretch]:
    """Version v is in force for instants in (its since, the next one's since]; the first one from ever."""
    found = []
    ends = [*(after.since for _, after in pairwise(versions)), until]
    for place, (version, end) in enumerate(zip(versions, ends, strict=True)):
        since = _EVER if place == 0 else version.since
        last, inclusive = min(end, until), start > since
        first = start if inclusive else since
        if last >= first:
            its = rules if place == len(versions) - 1 else _readable(version)
            found.append(_Stretch(place, version, its, first, inclusive, last))
    return found


def _readable(version: Version) -> Rules:
    """An old version's rules; none if it was off, or if nobody could read it: then it promised nothing."""
    try:
        zone_of(version.tz)
        return parse_rules_text(version.rules) if version.enabled else ()
    except RuleError:
        return ()


def _instants(stretches: Sequence[_Stretch], view: View, gaps: list[Gap]) -> Iterator[tuple[datetime, int]]:
    """Every instant with its version's place; of the late ones those too old or too many go into a gap."""
    forgotten, many = _Missed("older than retention"), _Missed("more late slots than catch_up_max")
    left = view.catch_up_max
    for stretch in stretches:
        old = min(stretch.last, view.oldest - _MS)
        # A slot may still start at its start_by: only before that instant is it surely late.
        late = min(stretch.last, view.now - timedelta(seconds=stretch.version.grace_s) - _MS)
        for at in islice(stretch.instants(stretch.first, old, inclusive=stretch.inclusive), 1):
            forgotten.add(at, old)
        for at in islice(stretch.instants(max(stretch.first, view.oldest), late, inclusive=True), left + 1):
            if left:
                left -= 1
                yield at, stretch.place
            else:
                many.add(at, late)
        for at in stretch.instants(max(late, view.oldest), stretch.last, inclusive=False):
            yield at, stretch.place
    gaps += [missed.gap for missed in (forgotten, many) if missed.gap is not None]


class _Missed:
    """A range of instants that grows."""

    def __init__(self, why: str) -> None:
        self._why = why
        self.gap: Gap | None = None

    def add(self, start: datetime, end: datetime) -> None:
        self.gap = Gap(start if self.gap is None else self.gap.start, end, self._why)


def _with_edits(promise: Promise, versions: Sequence[Version], place: int) -> Promise:
    """What an edit after the slot's time, and before its row, would have done to the row (design: rule 3)."""
    mine = versions[place]
    for later in versions[place + 1 :]:
        why = later.off if not later.enabled else "room_changed" if later.room_ref != mine.room_ref else None
        if why is not None and later.since <= promise.start_by:
            return promise._replace(cancelled=why, expired=False)
    return promise


def _why_never(clock: ClockRow, rules: Rules) -> str:
    if next_after(rules, clock.tz, _EVER, inclusive=True) is None:
        return "never fires: no day or time matches the rule"
    known = next_after(rules, clock.tz, _EVER, inclusive=True, window=_window(clock))
    if known is None:
        return "never fires: no time of the rule lies between valid_from and valid_until"
    told = known.astimezone(zone_of(clock.tz)).strftime("%Y-%m-%d %H:%M:%S")
    return f"never fires: its times, the first of them {told} ({clock.tz}), were all past when it was saved"
