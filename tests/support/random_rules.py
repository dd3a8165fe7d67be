"""Random rules near days on which clocks are changed, for property tests."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from beat.recurrence import WEEKDAYS

# Each zone with days on which its clock was changed, and one plain day.
CHANGES: Final = {
    "Asia/Seoul": ["1988-05-07", "1988-10-08", "2026-11-20"],
    "America/New_York": ["2026-03-07", "2026-10-31", "2026-07-01"],
    "Australia/Lord_Howe": ["2026-04-03", "2026-10-02", "1985-10-25"],
    "Pacific/Kiritimati": ["1994-12-30", "2026-11-20"],
    "Europe/London": ["2026-03-28", "2026-10-24", "1972-03-18"],
    "Asia/Beirut": ["2026-03-28", "2026-10-24"],
    "Pacific/Apia": ["2011-12-29", "2011-04-01"],
    "America/St_Johns": ["2006-10-28", "2006-04-01"],
    "Africa/Casablanca": ["2026-02-14", "2026-03-21"],
}
# A busy machine is no failure.
PATIENT: Final = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

times = st.builds(
    "{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 1, 14, 15, 30, 45, 59])
).flatmap(lambda text: st.sampled_from([text, f"{text}:00", f"{text}:30"]))
weekdays = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=7, unique=True)


def cron_field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.integers(1, high)
    term = st.one_of(
        st.just("*"),
        number.map(str),
        span,
        st.builds("*/{}".format, step),
        st.builds("{}/{}".format, span, step),
        st.builds("{}/{}".format, number, step),
    )
    return st.one_of(term, st.lists(number.map(str), min_size=2, max_size=4).map(",".join))


crons = st.builds(
    "{} {} {} {} {}".format,
    cron_field(0, 59),
    cron_field(0, 23),
    st.one_of(st.just("*"), cron_field(1, 31), st.sampled_from(["L", "LW", "1,L"])),
    st.one_of(st.just("*"), cron_field(1, 12), st.sampled_from(["MAR-NOV", "dec"])),
    st.one_of(st.just("*"), cron_field(0, 7), st.sampled_from(["MON-FRI", "sat", "SUN#1", "5L", "0,6"])),
)


#: A one-off may be due within a second; what repeats may not.
exact_times = st.one_of(
    times, st.builds("{}.{:03}".format, times.filter(lambda text: len(text) == 8), st.integers(0, 999))
)


def rules_near(day: date) -> st.SearchStrategy[list[dict[str, Any]]]:
    days = st.integers(-1, 3).map(lambda more: (day + timedelta(days=more)).isoformat())
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    ms = st.integers(0, 259_200_000).map(lambda more: round(midnight.timestamp() * 1000) + more)
    rule = st.one_of(
        st.fixed_dictionaries({"kind": st.just("once"), "date": days, "time": exact_times}),
        st.fixed_dictionaries({"kind": st.just("daily"), "time": times}),
        st.fixed_dictionaries({"kind": st.just("weekly"), "time": times, "weekdays": weekdays}),
        st.just({"kind": "regular"}),
        st.fixed_dictionaries(
            {
                "kind": st.just("peak"),
                "hours": st.lists(st.integers(0, 23), min_size=1, max_size=5, unique=True),
            }
        ),
        st.fixed_dictionaries({"kind": st.just("cron"), "expr": crons}),
        st.fixed_dictionaries({"kind": st.just("at"), "ms": ms}),
    )
    return st.lists(rule, min_size=1, max_size=4)


@st.composite
def situations(draw: st.DrawFn) -> tuple[str, datetime, list[dict[str, Any]]]:
    tz = draw(st.sampled_from(sorted(CHANGES)))
    day = date.fromisoformat(draw(st.sampled_from(CHANGES[tz])))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(
        minutes=draw(st.integers(-900, 900))
    )
    return tz, start, draw(rules_near(day))
