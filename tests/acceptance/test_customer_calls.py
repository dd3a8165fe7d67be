"""The customer's calls, a test for each number of the acceptance list; one real stack for all of them."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from api.calls import KST, CallRefused, KakaoScheduler, ScheduleType
from models.ledger.beat import now as ledger_time
from models.store.tokens import kakao_token
from ops.emulator import Emulator, Rule
from runtime import database
from runtime.events import Event, captured
from runtime.ids import SlotId
from runtime.settings import get_settings
from tests.support import databases
from tests.support.environment import clear_caches
from tests.support.processes import Processes
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
ROOM = "장부방"


@pytest.fixture
def env(scaled_env: dict[str, str]) -> dict[str, str]:
    return scaled_env


@pytest.fixture
def db(env: dict[str, str]) -> Iterator[psycopg.Connection]:
    with databases.connect(env["DATABASE_URL"]) as connection:
        connection.execute(
            "INSERT INTO rooms (room_id, name, type, channel, gap_ms)"
            " VALUES (%s, %s, 'test', 'emulator-lookup', 0)",
            (ROOM, ROOM),
        )
        yield connection


@pytest.fixture
def calls(db: psycopg.Connection) -> KakaoScheduler:
    return KakaoScheduler(room=ROOM)


@pytest.fixture
def running(processes: Processes, calls: KakaoScheduler) -> KakaoScheduler:
    """The calls, with a real beat and a real worker at work."""
    processes.worker("send,confirm,enqueue", "--without-gossip", "--without-mingle")
    processes.beat()
    eventually(lambda: calls.is_running, timeout=20)
    return calls


def now() -> dt.datetime:
    return database.retrying(ledger_time)


def in_minutes(minutes: float) -> dt.datetime:
    return now() + dt.timedelta(minutes=minutes)


def sent_now(calls: KakaoScheduler, text: str) -> str:
    message = calls.schedule_message(text, now())
    assert message is not None
    return message


def test_a10_a_regular_message_goes_at_every_half_hour(calls: KakaoScheduler, db: psycopg.Connection) -> None:
    """A01, A10."""
    number = calls.schedule_regular_message("정기 알림")
    assert number is not None
    row = db.execute("SELECT schedule_type, tz FROM kb_schedule WHERE id = %s", (int(number),)).fetchone()
    assert row == ("regular", "Asia/Seoul")


def test_a11_a_peak_message_goes_every_15_minutes_of_the_peak_hours(
    calls: KakaoScheduler, db: psycopg.Connection
) -> None:
    """A02, A11, A37: the hours are the caller's."""
    calls.schedule_config["peak_hours"] = [19, 8]
    number = calls.schedule_peak_message("피크 알림")
    row = db.execute("SELECT schedule_type, peak_hours FROM kb_schedule WHERE id = %s", (number,)).fetchone()
    assert row == ("peak", "8,19")


def test_a12_a16_each_send_is_confirmed_by_itself_after_a_delay(running: KakaoScheduler) -> None:
    """A05, A09, A12, A16, A22: asked after the confirmation delay, and only then called confirmed."""
    message = sent_now(running, "확인 대상")
    eventually(lambda: running.get_message_status(message)["status"] == "confirmed", timeout=15)
    assert running.sent_messages[message]["confirmed_at"] is not None


def test_a13_a17_a23_a54_a_failure_is_retried_and_every_attempt_is_kept(
    running: KakaoScheduler, emulator: Emulator
) -> None:
    """A07, A13, A17, A23, A54: refused twice, then taken; retry_count and the attempts' results are seen."""
    emulator.faults.add(Rule("429", room=ROOM, count=2))
    message = sent_now(running, "재시도 대상")
    eventually(lambda: running.get_message_status(message)["status"] == "confirmed", timeout=20)
    status = running.get_message_status(message)
    assert status["retry_count"] == 2
    assert [one["outcome"] for one in status["attempts"]] == ["rejected_retry", "rejected_retry", "accepted"]


def test_a14_a18_a19_a_duplicate_is_refused_and_logged_with_its_first_50_characters(
    calls: KakaoScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    """A08, A14, A18, A19, ruling 2."""
    at, text = in_minutes(30), "가" * 80
    assert calls.schedule_message(text, at) is not None
    with captured() as heard, caplog.at_level(logging.WARNING):
        assert calls.schedule_message(text, at) is None
    ((event, fields),) = [one for one in heard if one[0] is Event.DUPLICATE_REFUSED]
    assert fields["content"] == "가" * 50
    assert event.value == "message.duplicate_refused"
    assert calls.schedule_message(text, at + dt.timedelta(minutes=1)) is not None
    assert calls.schedule_regular_message(text) is not None
    assert calls.schedule_regular_message(text) is None


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("12:00:00", "12:00"),
        ("12:00:01", "12:30"),
        ("12:29:59", "12:30"),
        ("12:30:00", "12:30"),
        ("23:31:00", "00:00"),
    ],
)
def test_a15_the_next_regular_time_counts_an_instant_that_is_one(
    calls: KakaoScheduler, asked: str, expected: str
) -> None:
    """A15, ruling 1."""
    start = dt.datetime.fromisoformat(f"2026-11-26T{asked}+09:00")
    found = calls.next_regular_time(start)
    assert found.strftime("%H:%M") == expected
    assert (found.second, found.microsecond, found.utcoffset()) == (0, 0, dt.timedelta(hours=9))


def test_a18_what_is_wrong_is_refused_with_field_and_reason(calls: KakaoScheduler) -> None:
    with pytest.raises(CallRefused, match=r"at: .* is past by more than the grace"):
        calls.schedule_message("늦음", in_minutes(-60))
    with pytest.raises(CallRefused, match="room: there is no room"):
        calls.schedule_message("방 없음", in_minutes(1), room="없는방")
    with pytest.raises(CallRefused, match="JEONGSI_DEFAULT_ROOM"):
        KakaoScheduler().schedule_regular_message("방 없음")
    with pytest.raises(CallRefused, match=r"metadata\.priority"):
        calls.schedule_regular_message("우선순위", {"priority": "urgent"})
    with pytest.raises(CallRefused, match="content: it is empty"):
        calls.schedule_regular_message("  ")


def test_a20_the_usage_example_runs(calls: KakaoScheduler, env: dict[str, str]) -> None:
    """A20: core, configuration, log and errors are modules of their own; the example is this file."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "examples" / "calls.py", ROOM],
        env={**env, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "every half hour: " in done.stdout
    shown = (ROOT / "docs" / "calls.md").read_text(encoding="utf-8")
    assert (ROOT / "docs" / "examples" / "calls.py").read_text(encoding="utf-8") in shown


def test_a21_a24_a56_a57_state_is_kept_by_id_and_survives_the_process(calls: KakaoScheduler) -> None:
    """A21, A24, A56, A57: another process sees the same; the window of hashes is counted and cleared."""
    at = in_minutes(20)
    message = calls.schedule_message("예약", at)
    assert message is not None
    other = KakaoScheduler(room=ROOM)
    assert other.get_message_status(message)["status"] == "scheduled"
    assert len(other.recent_message_hashes) == 1
    assert other.recent_message_hashes.clear() == 1
    assert len(calls.recent_message_hashes) == 0
    assert calls.schedule_message("예약", at) is not None


def test_a25_a27_a28_a40_a_script_starts_and_stops_the_scheduler(
    calls: KakaoScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A25, A27, A28, A40."""

    async def life() -> tuple[bool, bool, bool]:
        started = await calls.start_scheduler()
        try:
            again = await KakaoScheduler(room=ROOM).start_scheduler()
            return started, again, calls.get_schedule_status()["is_running"]
        finally:
            await calls.stop_scheduler()

    assert not calls.is_running
    assert asyncio.run(life()) == (True, False, True)
    eventually(lambda: not calls.is_running, timeout=10)


def test_a26_a_kakao_token_is_set_at_run_time(calls: KakaoScheduler) -> None:
    calls.set_kakao_token("a-token-of-the-account", expires_in=3600)
    facts = database.retrying(kakao_token)
    assert facts is not None
    assert facts.expires_at is not None
    assert facts.expires_at > now()


def test_a29_a30_a_message_at_a_time_with_metadata_and_priority(
    calls: KakaoScheduler, db: psycopg.Connection
) -> None:
    """A06, A29, A30: a naive time is Korean time."""
    at = in_minutes(5).astimezone(KST).replace(microsecond=0)
    message = calls.schedule_message(
        "특정 시간 알림", at.replace(tzinfo=None), ScheduleType.CUSTOM, {"priority": "high", "ticket": 7}
    )
    assert message is not None
    assert SlotId.parse(message).slot_at == at
    row = db.execute("SELECT priority, metadata FROM kb_schedule").fetchone()
    assert row == (2, {"priority": "high", "ticket": 7})


def test_a31_the_status_of_an_unknown_message_is_refused(calls: KakaoScheduler) -> None:
    """A31."""
    for wrong in ("812-1795222800000", "812", "soon"):
        with pytest.raises(CallRefused, match="there is no message"):
            calls.get_message_status(wrong)


def test_a32_a41_a42_counts_and_rates_tell_what_became_of_the_day(running: KakaoScheduler) -> None:
    """A32, A41, A42, ruling 19: safe when zero, future slots lower only the raw rate."""
    empty = running.get_schedule_status()
    assert (empty["success_rate"], empty["success_rate_raw"]) == (0.0, 0.0)
    running.schedule_message("나중", in_minutes(10))
    message = sent_now(running, "지금")
    eventually(lambda: running.get_message_status(message)["status"] == "confirmed", timeout=15)
    status = running.get_schedule_status()
    assert status["scheduled_count"] == 1
    assert status["stats"]["total_sent"] == status["stats"]["total_confirmed"] == 1
    assert status["stats"]["total_failed"] == 0
    assert status["success_rate"] == 100.0
    assert status["success_rate_raw"] in (50.0, 100.0)  # 100 where the other lies beyond this Korean day


def test_a33_a_multi_line_template_is_filled_in(running: KakaoScheduler, db: psycopg.Connection) -> None:
    """A33."""
    at = now()
    message = running.schedule_message("📊 장부 모니터링\n\n⏰ 현재 시간: {time}\n🎯 수락률: 93.8%", at)
    assert message is not None
    eventually(lambda: running.get_message_status(message)["status"] in ("sent", "confirmed"), timeout=15)
    shown = SlotId.parse(message).slot_at.astimezone(KST).strftime("%H:%M")
    assert f"현재 시간: {shown}\n" in running.get_message_status(message)["content"]


def test_a43_the_log_names_each_scheduled_message_and_its_time(
    calls: KakaoScheduler, processes: Processes
) -> None:
    """A43: one INFO line with id and time, by the beat that lays it down."""
    beat = processes.beat()
    message = calls.schedule_message("예약된 메시지", in_minutes(5))
    assert message is not None
    beat.wait_for_line(f"Message {message} is scheduled for ")


def test_a55_a_failed_message_is_sent_again_under_a_new_id(
    running: KakaoScheduler, emulator: Emulator
) -> None:
    """A55."""
    emulator.faults.add(Rule("4xx", room=ROOM, count=1))
    message = sent_now(running, "거절될 메시지")
    eventually(lambda: running.get_message_status(message)["status"] == "failed", timeout=15)
    assert message in list(running.failed_messages)
    again = running.retry_message(message)
    assert again != message
    eventually(lambda: running.get_message_status(again)["status"] == "confirmed", timeout=15)
    with pytest.raises(CallRefused, match="only what did not arrive"):
        running.retry_message(again)


def test_a58_the_seconds_until_the_next_regular_send(calls: KakaoScheduler) -> None:
    assert 0 <= calls.seconds_until_next_regular() <= 1800


def test_a59_the_window_keeps_as_many_hashes_as_the_setting_says(
    calls: KakaoScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get_settings().hash_limit == 100
    monkeypatch.setenv("JEONGSI_HASH_LIMIT", "3")
    clear_caches()
    for minute in range(6):
        assert calls.schedule_message("같은 글", in_minutes(20 + minute)) is not None
    assert len(calls.recent_message_hashes) == 3


def test_a60_finished_messages_leave_the_lists_after_7_korean_days(
    calls: KakaoScheduler, db: psycopg.Connection
) -> None:
    """A60: rows of the ledger stay."""
    kept, gone = (
        calls.schedule_message("새 것", in_minutes(5)),
        calls.schedule_message("옛 것", in_minutes(6)),
    )
    assert kept is not None
    assert gone is not None
    for message, days in ((kept, 6), (gone, 8)):
        db.execute(
            "UPDATE kb_schedule SET status = 'completed', schedule_date = korean_day(ledger_now()) - %s"
            " WHERE id = %s",
            (days, SlotId.parse(message).schedule_id),
        )
    assert calls.cleanup_old_messages() == 1
    listed = [row[0] for row in db.execute("SELECT id FROM kb_schedule WHERE deleted_at IS NULL")]
    assert listed == [SlotId.parse(kept).schedule_id]
    versions = "SELECT count(*) > 1 FROM kb_schedule_history WHERE schedule_id = %s"
    assert db.execute(versions, (SlotId.parse(gone).schedule_id,)).fetchone() == (True,)
    assert calls.cleanup_old_messages() == 0
