"""The watch tells what operators should know, once, from the ledger alone (B133, E06, ruling 18)."""

from __future__ import annotations

import datetime as dt
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from models.ledger import beat, trouble
from models.states import AttemptOutcome, Phase, SlotState
from runtime import redis_keys
from runtime.clock import clock
from runtime.events import Event, captured
from runtime.ids import SlotId
from runtime.redis_client import lock_redis
from runtime.settings import get_settings
from tasks.notice_watch import Watch
from tasks.notice_words import words
from tests.integration.test_ledger_plans import full, no_scan  # noqa: F401 - a fixture
from tests.support import databases
from tests.support.cli import jeongsi
from tests.support.environment import clear_caches
from tests.support.ledger_world import World
from tests.support.noticing import Noticing
from tests.support.tracking import account

HOUR = dt.timedelta(hours=1)


class Watched(Noticing):
    """A ledger, a beat that ticks, and a watch that looks when it is told to."""

    def __init__(self, world: World) -> None:
        super().__init__(world.db)
        self.world = world
        self.watch = Watch(get_settings())
        world.room(gap_ms=0, quota=500)
        self.tick()
        self.look()

    def tick(self) -> None:
        beat.tick_done(self.db, "beat-1", self.world.time.now, 3600)

    def look(self, after_s: float = 0.0) -> None:
        """Let so much time pass and look, with a beat that lives."""
        self.world.time.advance(after_s)
        self.tick()
        assert self.watch.once(self.db)

    def end(self, schedule: int, state: SlotState, reason: str) -> SlotId:
        """One more slot of a schedule, sent and ended so, when its room is free for certain."""
        self.world.time.advance(100)
        passed = self.world.go(self.world.leased(schedule))
        outcome = AttemptOutcome.UNKNOWN if state is SlotState.UNRESOLVED else AttemptOutcome.REJECTED_FINAL
        if state is SlotState.DELIVERED:
            outcome = AttemptOutcome.ACCEPTED
        assert self.world.say(passed, outcome) == "ok"
        assert self.world.settle(passed, state, reason)
        return passed.slot

    def fail(self, schedule: int, times: int = 1) -> SlotId:
        """So many final failures in a row; answers the last one."""
        for _ in range(times):
            slot = self.end(schedule, SlotState.FAILED, "rejected: room_not_found")
        return slot


@pytest.fixture
def watched(world: World, ledger_env: dict[str, str]) -> Watched:
    heartbeat("send")
    heartbeat("confirm")
    return Watched(world)


def heartbeat(queue: str) -> None:
    word = {"at": clock().now().timestamp(), "threads": 16, "free": 16, "service_ms": {}}
    lock_redis().hset(redis_keys.workers(queue), "worker-1", json.dumps(word))


def test_a_streak_raises_exactly_one_notice_and_is_counted_on(watched: Watched) -> None:
    """B133: three failures in a row; the fourth only raises the counter."""
    schedule = watched.world.schedule(title="아침 공지")
    watched.fail(schedule, 2)
    watched.look(1)
    assert watched.all("schedule.failing") == []
    last = watched.fail(schedule)
    for _ in range(5):
        watched.look(10)
    (notice,) = watched.all("schedule.failing")
    assert notice["more"] == 0
    assert "아침 공지" in notice["title"]
    assert "3번" in notice["title"]
    assert f"jeongsi slot why {last}" in notice["body"]
    watched.fail(schedule)
    watched.look(1)
    assert [one["more"] for one in watched.all("schedule.failing")] == [1]


def test_a_success_between_breaks_the_streak(watched: Watched) -> None:
    schedule = watched.world.schedule()
    watched.fail(schedule, 2)
    watched.end(schedule, SlotState.DELIVERED, "accepted")
    watched.fail(schedule, 2)
    watched.look(1)
    assert watched.all("schedule.failing") == []


def test_a_schedule_that_keeps_failing_stops_and_is_resumed_by_one_command(watched: Watched) -> None:
    """B36, ruling 18: `error` after five final failures, its slots cancelled, an alert, and `resume`."""
    schedule = watched.world.schedule(
        title="아침 공지", schedule_type="daily", schedule_time="09:30", message_text="안녕하세요"
    )
    watched.fail(schedule, 4)
    watched.look(1)
    assert status(watched, schedule)[0] == "active"
    watched.fail(schedule)
    ahead = watched.world.plan(schedule, in_s=600)
    watched.look(1)
    assert status(watched, schedule) == (
        "error",
        "5 sends in a row failed for good, last: rejected: room_not_found",
    )
    assert watched.rows("SELECT 1 FROM slots WHERE ended_at IS NULL AND schedule_id = %s", schedule) == []
    assert ahead.slot_at > watched.world.time.now
    watched.look(10)
    (notice,) = watched.all("schedule.error")
    assert f"jeongsi schedule resume {schedule}" in notice["body"]
    history = watched.rows(
        "SELECT who FROM kb_schedule_history WHERE schedule_id = %s ORDER BY version DESC", schedule
    )
    assert history[0]["who"] == "jeongsi watch"

    answer = jeongsi("schedule", "resume", schedule)
    assert answer.code == 0, answer.said
    assert status(watched, schedule) == ("active", None)
    watched.look(10)
    watched.fail(schedule, 4)  # counting began anew
    watched.look(1)
    assert status(watched, schedule)[0] == "active"


def status(watched: Watched, schedule: int) -> tuple[str, str | None]:
    (row,) = watched.rows("SELECT status, error_reason FROM kb_schedule WHERE id = %s", schedule)
    return row["status"], row["error_reason"]


def test_what_is_never_stopped_stays_active(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """JEONGSI_ERROR_AFTER=0; and a bot that is down (expired) stops no schedule at all."""
    down = watched.world.schedule()
    for _ in range(6):
        watched.end(down, SlotState.EXPIRED, "validity")
    watched.look(1)
    assert status(watched, down)[0] == "active"
    monkeypatch.setenv("JEONGSI_ERROR_AFTER", "0")
    clear_caches()
    watched.watch = Watch(get_settings())
    refused = watched.world.schedule()
    watched.fail(refused, 6)
    watched.look(1)
    assert status(watched, refused)[0] == "active"


def test_many_streaks_at_one_look_are_one_notice(watched: Watched) -> None:
    schedules = [watched.world.schedule(title=f"스케줄 {n}") for n in range(7)]
    for _ in range(3):
        for schedule in schedules:
            watched.fail(schedule)
    watched.look(1)
    assert watched.all("schedule.failing") == []
    (notice,) = watched.all("schedules.failing")
    assert "7" in notice["title"]
    assert "스케줄 6" in notice["body"]


def test_unresolved_slots_are_told_together_once_in_ten_minutes(watched: Watched) -> None:
    schedule = watched.world.schedule()
    slots = [watched.end(schedule, SlotState.UNRESOLVED, "unproven") for _ in range(3)]
    watched.look(7)
    watched.look(10)
    (notice,) = watched.all("slots.unresolved")
    assert (notice["told"], notice["more"]) == (3, 0)
    assert all(str(slot) in notice["body"] for slot in slots)
    assert f"jeongsi slot resolve {slots[-1]} --arrived" in notice["body"]
    watched.end(schedule, SlotState.UNRESOLVED, "unproven")
    watched.look(7)
    assert [one["more"] for one in watched.all("slots.unresolved")] == [1]
    watched.look(600)
    assert [one["told"] for one in watched.all("slots.unresolved")] == [3, 1]


def test_what_ended_before_the_first_look_is_old_news(world: World, ledger_env: dict[str, str]) -> None:
    world.room(gap_ms=0)
    world.time.advance(60)
    world.unresolved(world.schedule())
    world.time.advance(7)
    noticing = Noticing(world.db)
    for _ in range(3):
        Watch(get_settings()).once(world.db)
        world.time.advance(10)
    assert noticing.all("slots.unresolved") == []


def test_beats_that_stand_still_are_told_and_so_is_their_return(watched: Watched) -> None:
    watched.world.time.advance(9)
    watched.watch.once(watched.db)
    assert watched.kinds() == []
    for _ in range(3):
        watched.world.time.advance(10)
        watched.watch.once(watched.db)
    (notice,) = watched.all("beat.silent")
    assert notice["severity"] == "critical"
    for _ in range(5):
        watched.look(10)
    assert watched.kinds() == ["beat.silent", "beat.silent.over"]


def test_a_beat_that_ticks_but_queues_nothing_is_told(watched: Watched) -> None:
    watched.world.plan(watched.world.schedule())
    watched.look(11)
    assert watched.kinds() == ["beat.late"]


def test_queued_slots_that_nobody_takes_are_told_with_the_living_workers(watched: Watched) -> None:
    watched.world.queued(watched.world.schedule())
    watched.look(9)
    assert watched.kinds() == []
    lock_redis().delete(redis_keys.workers("send"))
    watched.look(2)
    (notice,) = watched.all("workers.stuck")
    assert notice["key"] == "send"
    assert "celery -A workers worker -Q send" in notice["body"]
    assert "0" in notice["body"]


def test_an_upload_that_nobody_takes_is_no_sign_of_dead_senders(watched: Watched) -> None:
    """C91: told as what it is, a minute after its time."""
    upload(watched, "queued")
    watched.look(50)
    assert watched.kinds() == []
    watched.look(20)
    (notice,) = watched.all("workers.stuck")
    assert (notice["key"], notice["severity"]) == ("tracking", "error")
    assert "celery -A workers worker -Q tracking" in notice["body"]


def test_an_upload_that_did_not_begin_in_time_is_no_message_that_failed(watched: Watched) -> None:
    watched.world.time.advance(1)
    upload(watched, "expired", reason="late", ended_at=watched.world.time.now)
    watched.look(10)
    (notice,) = watched.all()
    assert (notice["kind"], notice["told"]) == ("uploads.expired", 1)
    upload(watched, "failed", reason="all_failed", ended_at=watched.world.time.now)
    watched.look(10)
    assert watched.kinds() == ["uploads.expired"]  # a run tells its own end


def upload(watched: Watched, state: str, **columns: Any) -> None:
    """A slot of an account's run, past every guard."""
    at = watched.world.time.now
    row = {
        "schedule_id": account(watched.db, f"brand-{state}"), "slot_at": at, "kind": "tracking", "fence": 1,
        "content_version": 1, "state": state, "not_before": at, "start_by": at + HOUR,
        "finish_by": at + HOUR, "republish_at": at + HOUR, **columns,
    }  # fmt: skip
    marks = ", ".join(["%s"] * len(row))
    watched.db.execute("SET session_replication_role = replica")
    watched.db.execute(f"INSERT INTO slots ({', '.join(row)}) VALUES ({marks})".encode(), list(row.values()))
    watched.db.execute("RESET session_replication_role")


def test_a_slot_that_waits_for_its_room_is_no_sign_of_dead_workers(watched: Watched) -> None:
    lease = watched.world.leased(watched.world.schedule())
    watched.db.execute("UPDATE room_gate SET free_at = ledger_now() + interval '60 s'")
    watched.world.settle(lease, SlotState.WAITING, "room_busy", delay_s=60)
    watched.look(50)
    assert watched.kinds() == []


def test_a_channel_to_which_nothing_can_be_written_is_told(watched: Watched) -> None:
    lease = watched.world.leased(watched.world.schedule())
    watched.world.settle(lease, SlotState.WAITING, "not_sent", delay_s=40)
    watched.look(29)
    assert watched.kinds() == []
    watched.look(3)
    (notice,) = watched.all("channel.silent")
    assert notice["key"] == "emulator-key"


def test_a_silent_redis_is_told(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    clear_caches()
    watched.look(1)
    assert watched.kinds() == ["redis.gone"]


def test_a_schedule_that_cannot_be_read_is_told(watched: Watched) -> None:
    schedule = watched.world.schedule()
    watched.world.edit(schedule, tz="Asia/Nowhere")
    watched.look(1)
    watched.look(10)
    (notice,) = watched.all("schedule.error")
    assert "Asia/Nowhere" in notice["body"]


def test_incidents_are_told_and_a_silence_that_was_told_already_is_not_told_twice(watched: Watched) -> None:
    start = watched.world.time.advance(1)
    beat.record_gap(watched.db, 812, start - dt.timedelta(days=9), start, "too many")
    watched.world.time.advance(30)
    watched.watch.once(watched.db)
    beat.tick_done(watched.db, "beat-1", start, 5)
    assert "scheduler_down" in watched.world.incidents()
    watched.look(7)
    watched.look(7)
    assert sorted(set(watched.kinds())) == ["beat.silent", "incident.slots_not_laid_down"]


def test_a_restart_is_no_news_and_a_long_silence_is(watched: Watched) -> None:
    for silent_s, kinds in ((20.0, []), (90.0, ["incident.scheduler_down"])):
        watched.world.time.advance(silent_s)
        beat.tick_done(watched.db, "beat-1", watched.world.time.now, 5)
        watched.look(7)
        assert watched.kinds() == kinds


def test_a_process_that_just_started_calls_nobody_dead_and_nothing_over(watched: Watched) -> None:
    for _ in range(2):
        watched.world.time.advance(20)
        watched.watch.once(watched.db)
    assert watched.kinds() == ["beat.silent"]
    watched.world.time.advance(600)
    watched.watch.once(watched.db, calm=True)
    watched.watch.once(watched.db)
    assert watched.kinds() == ["beat.silent"]


def test_a_look_that_fails_silences_no_other_and_is_made_up_for(watched: Watched) -> None:
    """A broken question to one table: what it would have told is told later, the rest at once and once."""
    schedule = watched.world.schedule()
    watched.end(schedule, SlotState.UNRESOLVED, "unproven")
    watched.db.execute("ALTER TABLE incidents RENAME TO incidents_away")
    with captured() as heard:
        watched.look(7)
        watched.look(7)
    watched.db.execute("ALTER TABLE incidents_away RENAME TO incidents")
    assert [event for event, _ in heard if event is Event.NOTICE_WATCH_FAILED] != []
    beat.record_gap(watched.db, schedule, watched.world.time.now, watched.world.time.now, "x")
    watched.look(7)
    assert [one["told"] + one["more"] for one in watched.all("slots.unresolved")] == [1]
    assert len(watched.all("incident.slots_not_laid_down")) == 1


def test_one_process_watches_at_a_time(watched: Watched, ledger_url: str) -> None:
    with databases.connect(ledger_url) as other, other.transaction():
        assert trouble.my_turn(other)
        assert not watched.watch.once(watched.db)
    assert watched.watch.once(watched.db)


def test_ten_watches_at_once_tell_a_streak_once(watched: Watched, ledger_url: str) -> None:
    watched.fail(watched.world.schedule(), 3)
    watched.world.time.advance(1)
    watched.tick()

    def look(_: int) -> bool:
        with databases.connect(ledger_url) as db:
            return Watch(get_settings()).once(db)

    with ThreadPoolExecutor(10) as threads:
        assert any(threads.map(look, range(20)))
    assert [one["more"] for one in watched.all("schedule.failing")] == [0]


def test_words_exist_in_both_languages_with_the_same_facts() -> None:
    for kind, by_language in words().items():
        facts = {
            language: set(re.findall(r"\{(\w+)\}", json.dumps(said, ensure_ascii=False)))
            for language, said in by_language.items()
        }
        assert facts["ko"] == facts["en"], kind


def test_the_guide_names_every_kind_that_is_told() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "notices.md").read_text(encoding="utf-8")
    kinds = {kind for kind in words() if not kind.startswith("incident")} - {"again", "over", "notice.test"}
    # Whichever way a run ended, it is told as `tracking.run.ACCOUNT`.
    kinds = {kind for kind in kinds if not kind.startswith("tracking.run_")} | {"tracking.run.ACCOUNT"}
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in guide] == []


def test_notices_are_english_where_that_is_set(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEONGSI_NOTICE_LANGUAGE", "en")
    clear_caches()
    watched.world.plan(watched.world.schedule())
    watched.look(11)
    assert watched.all()[0]["title"] == "The beat makes no progress"


@pytest.mark.parametrize("known", [False, True], ids=["before the first analyze", "analyzed"])
def test_no_look_reads_a_week_from_end_to_end(full: World, known: bool) -> None:  # noqa: F811
    """20,000 slots of 200 schedules: the watch's questions touch what is new."""
    world, db = full, full.db
    if known:
        db.execute("ANALYZE")
    since = world.time.now - dt.timedelta(seconds=60)
    schedule = world.schedule()
    for _ in range(3):
        world.time.advance(60)
        passed = world.go(world.leased(schedule))
        world.say(passed, AttemptOutcome.REJECTED_FINAL)
        world.settle(passed, SlotState.FAILED, "rejected: x")
    questions: dict[str, Any] = {
        "failing": lambda: trouble.failing(db, since, 3),
        "stop_failing": lambda: trouble.stop_failing(db, since, 3),
        "ended": lambda: trouble.ended(db, since, world.time.now),
        "progress": lambda: trouble.progress(db, 10),
        "uploads that expired": lambda: trouble.uploads_expired(db, since, world.time.now),
        "uploads that wait": lambda: trouble.uploads_waiting(db, 60),
        "silent channels": lambda: trouble.silent_channels(db, 30),
        "broken": lambda: trouble.broken(db, since),
        "happened": lambda: trouble.happened(db, since, world.time.now),
    }
    for _ in range(2):
        for what, question in questions.items():
            with no_scan(world, what):
                question()
    assert world.value("SELECT status FROM kb_schedule WHERE id = %s", schedule) == "error"


def test_the_phase_of_a_backlog_is_told_apart(watched: Watched) -> None:
    passed = watched.world.in_doubt(watched.world.schedule())
    watched.world.dispatch(120)
    assert watched.world.slot(passed.slot)["phase"] == Phase.CONFIRM
    watched.look(11)
    assert [one["key"] for one in watched.all("workers.stuck")] == ["confirm"]


def test_a_clock_that_went_back_is_told_and_does_not_blind_the_watch(watched: Watched) -> None:
    watched.look(3600)
    watched.world.time.advance(-3500)
    watched.tick()
    beat.record_jump(watched.db, -3500.0)
    watched.look(7)
    watched.look(1)
    assert "-3500" in watched.all("incident.clock_jumped")[0]["title"]
    watched.end(watched.world.schedule(), SlotState.UNRESOLVED, "unproven")
    watched.look(7)
    assert len(watched.all("slots.unresolved")) == 1
