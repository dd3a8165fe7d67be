"""What the room allows: the day's quota, the gap between slots, and room for a send between two of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from heapq import merge
from itertools import islice, pairwise

from beat.recurrence import Rules, Window, between, max_per_day, next_after, wall_times_on, zone_of
from beat.recurrence.rules import Cron, Daily, Peak, Regular, Weekly
from beat.schedule_form.content import part_count, whole
from beat.schedule_form.timing import Timing
from beat.schedule_form.values import MAX_INTERVAL_S, Planned, Problem, RoomFacts, ScheduleForm

QUOTA_ZONE = "Asia/Seoul"  # a room's day is the Korean day, whatever zone a schedule uses
_SCAN = timedelta(days=400)
_SCAN_WEEKLY = timedelta(days=15)
_SCAN_INSTANTS = 2_000
_DAYS_ALONE = 10_300  # 28 years: then the calendar repeats
_DAYS_ABROAD = 400
_DAYS_WITH_OTHERS = 62


def limit_findings(
    form: ScheduleForm, timing: Timing, room: RoomFacts | None
) -> tuple[list[Problem], list[Problem]]:
    """Problems and warnings; the room's own are left out when there is no such room."""
    pair = _closest(form.tz, timing)
    problems = list(_send_fits(form, pair))
    warnings: list[Problem] = []
    if room is not None:
        over = _over_quota(form, timing, room)
        if over is not None:
            (warnings if form.accept_limit else problems).append(over)
        warnings += _too_close(form, timing, room, pair)
    return problems, warnings


def _closest(tz: str, timing: Timing) -> tuple[datetime, datetime] | None:
    """The two neighbouring slots with the least time between, looking ahead 2,000 slots or 400 days."""
    return _closest_of(timing.rules, tz, timing.first, timing.window)


@lru_cache(maxsize=16_384)  # an import brings the same rule thousands of times
def _closest_of(rules: Rules, tz: str, first: datetime, window: Window) -> tuple[datetime, datetime] | None:
    # Korea changes no clocks, so what repeats every week has shown all its distances after two weeks.
    weekly = tz == QUOTA_ZONE and all(isinstance(rule, Daily | Weekly | Regular | Peak) for rule in rules)
    walk = between(rules, tz, first, first + (_SCAN_WEEKLY if weekly else _SCAN), window=window)
    return min(pairwise(islice(walk, _SCAN_INSTANTS)), key=lambda two: two[1] - two[0], default=None)


def _send_fits(form: ScheduleForm, pair: tuple[datetime, datetime] | None) -> Iterator[Problem]:
    """A send that is still going on when the next slot is due can never keep its time (ruling 18)."""
    if pair is None or not whole(form.interval, 0, MAX_INTERVAL_S):
        return
    parts = part_count(form)
    needed, free = (parts - 1) * form.interval, (pair[1] - pair[0]).total_seconds()
    if needed < free or parts < 2:
        return
    most = max(0, -(-int(free) // (parts - 1)) - 1)
    reason = (
        f"{parts} parts {form.interval} s apart take {needed} s, but the next slot comes after {free:g} s"
    )
    yield Problem("interval", reason, f"at most {most} s, or fewer images, or slots further apart")


def _over_quota(form: ScheduleForm, timing: Timing, room: RoomFacts) -> Problem | None:
    """The first slot of a Korean day that finds the quota used up (ruling 8)."""
    own = Planned(form.title, timing.rules, form.tz, timing.window)
    found = _first_over(timing.first, [own], room.quota, _busy_days(timing.first, own, room.quota))
    if room.others and _may_pass([own, *room.others], room.quota):
        days = islice(_days_used(timing.first, own), _DAYS_WITH_OTHERS)
        shared = _first_over(timing.first, [own, *room.others], room.quota, days)
        found = min((each for each in (found, shared) if each), default=None)
    if found is None:
        return None
    moment, slots = found
    local = moment.astimezone(zone_of(QUOTA_ZONE))
    clock = local.strftime("%H:%M:%S").removesuffix(":00")
    reason = f"limit {room.quota}: from {clock} on nothing is sent ({slots} slots on {local:%Y-%m-%d})"
    hint = "take fewer slots a day, set accept_limit, or ask headquarters to raise the room's limit"
    return Problem("accept_limit", reason, hint)


def _may_pass(schedules: list[Planned], quota: int) -> bool:
    """False if no day can have more slots than the quota, whichever days they fall on."""
    if any(isinstance(rule, Cron) for one in schedules for rule in one.rules):
        return True  # the most that a cron day can have takes longer to find than the walk over 62 days
    return sum(most_a_day(one.rules, one.tz) for one in schedules) > quota


@lru_cache(maxsize=16_384)
def most_a_day(rules: Rules, tz: str) -> int:
    """The most slots on one Korean day, which may take slots from two days of another zone."""
    return max_per_day(rules, tz) * (1 if tz == QUOTA_ZONE else 2)


def _first_over(
    first: datetime, schedules: list[Planned], quota: int, days: Iterable[date]
) -> tuple[datetime, int] | None:
    """The slot after the quota's last, and that day's number of slots."""
    for day in days:
        midnight = datetime.combine(day, time(), zone_of(QUOTA_ZONE))
        start, end = max(first, midnight), midnight + timedelta(days=1)
        slots = list(merge(*(between(s.rules, s.tz, start, end, window=s.window) for s in schedules)))
        if len(slots) > quota:
            return slots[quota], len(slots)
    return None


def _busy_days(first: datetime, own: Planned, quota: int) -> Iterator[date]:
    """The Korean days on which the schedule alone may pass the quota."""
    most = max_per_day(own.rules, own.tz)
    if own.tz != QUOTA_ZONE:  # a Korean day may take slots from two of the schedule's own days
        yield from islice(_days_used(first, own), _DAYS_ABROAD if 2 * most > quota else 0)
    elif most > quota:
        today = first.astimezone(zone_of(QUOTA_ZONE)).date()
        days = (today + timedelta(days=number) for number in range(_DAYS_ALONE))
        yield from (day for day in days if wall_times_on(own.rules, day) > quota)


def _days_used(first: datetime, own: Planned) -> Iterator[date]:
    """Every Korean day on which the schedule has a slot, from `first` on."""
    zone, moment = (
        zone_of(QUOTA_ZONE),
        next_after(own.rules, own.tz, first, inclusive=True, window=own.window),
    )
    while moment is not None:
        day = moment.astimezone(zone).date()
        yield day
        midnight = datetime.combine(day + timedelta(days=1), time(), zone)
        moment = next_after(own.rules, own.tz, midnight, inclusive=True, window=own.window)


def _too_close(
    form: ScheduleForm, timing: Timing, room: RoomFacts, pair: tuple[datetime, datetime] | None
) -> Iterator[Problem]:
    """Slots nearer than the room's gap: the later one will wait, which is allowed but seldom meant."""
    gap = timedelta(seconds=room.gap_s)
    if pair is not None and pair[1] - pair[0] < gap:
        yield _close(pair[0], pair[1], room, form.tz, "this schedule")
    week = Window(timing.first, timing.first + timedelta(days=8))
    for other in room.others:
        clash = _first_clash(form, timing, other, week, gap)
        if clash is not None:
            yield _close(*clash, room, form.tz, f"the schedule {other.title!r}")


def _first_clash(
    form: ScheduleForm, timing: Timing, other: Planned, week: Window, gap: timedelta
) -> tuple[datetime, datetime] | None:
    """The first of our slots, and a slot of the other schedule, that stand closer than the gap."""
    assert week.valid_from is not None
    assert week.valid_until is not None
    ours = between(timing.rules, form.tz, week.valid_from, week.valid_until, window=timing.window)
    for slot in ours:
        near = next_after(other.rules, other.tz, slot - gap, window=other.window)
        if near is not None and near < slot + gap:
            return slot, near
    return None


def _close(one: datetime, two: datetime, room: RoomFacts, tz: str, whose: str) -> Problem:
    zone = zone_of(tz)
    shown = f"{one.astimezone(zone):%Y-%m-%d %H:%M:%S} and {two.astimezone(zone):%H:%M:%S}"
    reason = f"{shown} ({whose}) are closer than the room's gap of {room.gap_s:g} s"
    return Problem("room", reason, "the later slot waits for its turn; move it if it must be on the dot")
