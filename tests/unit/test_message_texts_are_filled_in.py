"""Placeholders of a message text (A33)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tasks.rendering import render

SLOT = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)  # Saturday 09:00 in Seoul

LEDGER = """📊 [장부 모니터링] {time}
━━━━━━━━━━━━
🏆 총점: 95점
✅ 수락률: 93.8%
📦 총완료: 75건
{"원본": {"수락률": 0.938}, "시각": "{datetime}"}"""


def filled(text: str, tz: str = "Asia/Seoul") -> str:
    return render(text, slot_at=SLOT, tz=tz)


def test_the_ledger_monitoring_template_shows_its_slots_time_and_keeps_the_rest() -> None:
    lines = filled(LEDGER).splitlines()
    assert lines[0] == "📊 [장부 모니터링] 09:00"
    assert lines[1:5] == LEDGER.splitlines()[1:5]
    assert lines[5] == '{"원본": {"수락률": 0.938}, "시각": "2026-11-21 09:00"}'


def test_the_four_placeholders_are_filled_in_korean() -> None:
    assert filled("{date} {weekday} {time} = {datetime}") == "2026-11-21 토요일 09:00 = 2026-11-21 09:00"


def test_the_schedules_zone_decides() -> None:
    assert filled("{datetime} {weekday}", "America/New_York") == "2026-11-20 19:00 금요일"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{0}",
        "{Time}",
        "{ time }",
        "{time!r}",
        "{time.__class__}",
        "{name}",
        "}{",
        "{{}}",
        "100%s %(a)s \\1",
    ],
)
def test_every_other_brace_stays_as_it_is(text: str) -> None:
    assert filled(text) == text


def test_a_placeholder_in_doubled_braces_keeps_the_outer_ones() -> None:
    assert filled("{{time}}") == "{09:00}"


def test_a_naive_slot_time_is_refused() -> None:
    with pytest.raises(ValueError, match="no zone"):
        render("{time}", slot_at=datetime(2026, 11, 21), tz="Asia/Seoul")  # noqa: DTZ001
