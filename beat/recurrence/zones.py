"""Zones, and the one step from a wall clock to an instant."""

from __future__ import annotations

import difflib
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from beat.recurrence.errors import RuleError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - arithmetic on wall clocks only, never an instant
_DAY = timedelta(days=1)
_MS = timedelta(milliseconds=1)


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Every IANA zone name that a schedule may carry."""
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(listed.split())


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """The zone called `name`; RuleError on field `tz` when there is none.

    The rules come from the locked tzdata wheel and never from the host, so that two machines with
    different system packages compute the same slots.
    """
    if name not in zone_names():
        raise RuleError("tz", f"there is no time zone {name!r}", _hint(name))
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def _hint(name: str) -> str:
    """Near names first by spelling, then by the city alone ('Seoul' → 'Asia/Seoul')."""
    by_folded = {known.casefold(): known for known in sorted(zone_names())}
    folded = name.strip().casefold()
    near = ["Asia/Seoul"] if folded in ("kst", "korea", "utc+9", "+09:00") else []
    near += [known for key, known in by_folded.items() if key.rpartition("/")[2] == folded]
    near += [by_folded[key] for key in difflib.get_close_matches(folded, by_folded, n=3)]
    named = " or ".join(dict.fromkeys(near[:3])) or "Asia/Seoul"
    return f"did you mean {named}?" if near else f"write an IANA name such as {named}"


def instant_ms(day: date, ms: int, zone: ZoneInfo) -> int:
    """The instant (Unix ms) at which `zone` first shows `ms` milliseconds after midnight of `day`.

    A wall time that a clock change skips gives the first valid instant after the gap; one that occurs
    twice gives its first occurrence. So the result never falls as the wall time grows.
    """
    wall = datetime(day.year, day.month, day.day) + timedelta(milliseconds=ms)  # noqa: DTZ001
    offset = wall.replace(tzinfo=zone, fold=0).utcoffset() or timedelta()
    utc = wall - offset
    if _wall_at(utc, zone) != wall:
        utc = _end_of_gap(wall.replace(microsecond=0), utc.replace(microsecond=0), zone)
    return (utc - _NAIVE_EPOCH) // _MS


def _wall_at(utc: datetime, zone: ZoneInfo) -> datetime:
    return utc.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None, fold=0)


def _end_of_gap(wall: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first whole second at which the wall clock is past `wall`; bisection, 17 steps at most.

    In a gap the old offset, used by the caller, overshoots it, and the new one falls short of it.
    """
    before = wall - (wall.replace(tzinfo=zone, fold=1).utcoffset() or timedelta())
    low, high = 0, round((after - before).total_seconds())
    while low < high:
        middle = (low + high) // 2
        if _wall_at(before + timedelta(seconds=middle), zone) > wall:
            high = middle
        else:
            low = middle + 1
    return before + timedelta(seconds=high)


def local_date(ms: int, zone: ZoneInfo) -> date:
    """The calendar day that `zone` shows at an instant."""
    return to_datetime(ms).astimezone(zone).date()


def to_datetime(ms: int) -> datetime:
    """An aware UTC datetime from Unix milliseconds, exact."""
    return EPOCH + timedelta(milliseconds=ms)


def floor_ms(moment: datetime) -> int:
    """Unix milliseconds, rounded down; ValueError for a naive datetime."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no zone; pass an aware datetime")
    return (moment - EPOCH) // _MS


def ceil_ms(moment: datetime) -> int:
    """Unix milliseconds, rounded up; ValueError for a naive datetime."""
    down = floor_ms(moment)
    return down if to_datetime(down) == moment else down + 1
