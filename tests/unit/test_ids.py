from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.ids import SlotId, from_ms

LAST = datetime(9999, 12, 31, tzinfo=UTC)


def test_a_slot_id_is_schedule_and_unix_milliseconds() -> None:
    seoul = timezone(timedelta(hours=9))
    assert str(SlotId(812, datetime(2026, 11, 21, 9, 0, tzinfo=seoul))) == "812-1795219200000"


@given(st.integers(1, 10**17), st.integers(0, int(LAST.timestamp()) * 1000))
def test_a_slot_id_read_back_is_the_same_to_the_millisecond(schedule: int, ms: int) -> None:
    slot = SlotId(schedule, from_ms(ms))
    assert SlotId.parse(str(slot)) == slot


@pytest.mark.parametrize(
    "text",
    [
        "",
        "812",
        "812-",
        "-5",
        "0-5",
        "812-1.5",
        "a-b",
        "812-179522280000000000",
        "٣-٣",
        "812-999999999999999",
    ],
)
def test_what_is_no_slot_id_is_refused_with_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match="is no slot id"):
        SlotId.parse(text)


def test_a_naive_time_has_no_id() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        str(SlotId(1, datetime(2026, 1, 1)))  # noqa: DTZ001


def test_a_time_finer_than_a_millisecond_has_no_id() -> None:
    with pytest.raises(ValueError, match="whole milliseconds"):
        str(SlotId(1, datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)))
