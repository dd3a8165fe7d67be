"""The accounts' daily runs: from a row of `tracking_upload_scheduler` to a slot (C06-C17, C48-C53, C91)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from models.ledger import beat, worker
from models.ledger.worker import Settle
from models.states import SlotState
from ops.audit.run import audit
from runtime.ids import SlotId
from tests.support import databases
from tests.support.ledger_time import SEOUL, this_tuesday
from tests.support.tracking import account, job
from tests.support.world import World

FIVE = this_tuesday(17)
DAY = dt.timedelta(days=1)


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    """16:50 of a Tuesday; the planner's horizon reaches over 17:00."""
    with databases.connect(ledger_url) as connection:
        yield World(connection, FIVE - dt.timedelta(minutes=10))


@pytest.fixture(autouse=True)
def _settings(ledger_env: dict[str, str]) -> None:
    """The planner reads its settings."""


def row(world: World, scheduler: int) -> dict[str, Any]:
    return world.row("SELECT * FROM tracking_upload_scheduler WHERE id = %s", scheduler)


def slots(world: World) -> list[tuple[dt.datetime, str, str | None]]:
    return [
        (one["slot_at"], one["state"], one["reason"])
        for one in world.rows("SELECT * FROM slots WHERE kind = 'tracking' ORDER BY slot_at")
    ]


def test_the_tables_have_the_customers_columns_and_defaults(world: World) -> None:
    """C06-C39."""
    fresh = row(world, account(world.db))
    wanted = {"enabled": False, "schedule_time": "17:00", "retry_count": 3, "notify_discord": False,
              "notify_slack": False, "discord_webhook": None, "slack_webhook": None, "last_run_at": None,
              "next_run_at": None}  # fmt: skip
    assert {name: fresh[name] for name in wanted} == wanted
    assert fresh["created_at"]
    assert fresh["updated_at"]
    columns = world.rows("SELECT table_name AS t, column_name AS c FROM information_schema.columns")
    held = {(one["t"], one["c"]) for one in columns}
    jobs = ("id job_type status total_count success_count failed_count progress_percent error_message"
            " started_at completed_at created_at")  # fmt: skip
    details = ("id job_id order_id order_no carrier_code tracking_number status retry_attempt error_message"
               " uploaded_at created_at")  # fmt: skip
    assert {("tracking_upload_jobs", name) for name in jobs.split()} <= held
    assert {("tracking_upload_details", name) for name in details.split()} <= held


def test_an_enabled_account_gets_its_slot_at_its_time_every_day(world: World) -> None:
    """C01, C51."""
    account(world.db, enabled=True)
    world.tick()
    assert slots(world) == [(FIVE, "planned", None)]
    world.go_to(FIVE + DAY - dt.timedelta(minutes=10))
    world.tick()
    assert [at for at, _, _ in slots(world)] == [FIVE, FIVE + DAY]


def test_an_account_that_is_off_gets_no_slot(world: World) -> None:
    """C07: off by default."""
    account(world.db)
    world.tick()
    assert slots(world) == []


def test_weekdays_narrow_the_days(world: World) -> None:
    account(world.db, enabled=True, weekdays="monday,wednesday")
    world.tick()
    assert slots(world) == []
    world.go_to(FIVE + DAY - dt.timedelta(minutes=10))
    world.tick()
    assert slots(world) == [(FIVE + DAY, "planned", None)]


def test_the_next_run_is_seen_at_once_and_follows_the_slots(world: World) -> None:
    """C15, C52, C63."""
    scheduler = account(world.db, enabled=True)
    assert row(world, scheduler)["next_run_at"] == FIVE
    world.tick()
    assert row(world, scheduler)["next_run_at"] == FIVE
    world.go_to(FIVE + dt.timedelta(minutes=1))
    finish(world, *world.tick())
    world.tick()
    assert row(world, scheduler)["next_run_at"] == FIVE + DAY
    assert row(world, scheduler)["version"] == 1


@pytest.mark.parametrize(
    ("columns", "due"),
    [
        ({"schedule_time": "16:49"}, FIVE + DAY - dt.timedelta(minutes=11)),
        ({"schedule_time": "16:51"}, FIVE - dt.timedelta(minutes=9)),
        ({"weekdays": "monday"}, FIVE + 6 * DAY),
        ({"weekdays": "tuesday", "schedule_time": "09:00"}, FIVE + 7 * DAY - dt.timedelta(hours=8)),
        ({"tz": "UTC"}, FIVE + dt.timedelta(hours=9)),
        ({"enabled": False}, None),
    ],
)
def test_what_is_seen_at_once_is_what_the_planner_finds(
    world: World, columns: dict[str, Any], due: dt.datetime | None
) -> None:
    scheduler = account(world.db, **({"enabled": True} | columns))
    assert row(world, scheduler)["next_run_at"] == due
    world.tick()
    assert row(world, scheduler)["next_run_at"] == due


def test_a_new_time_by_raw_sql_takes_effect_at_once(world: World) -> None:
    """C50."""
    scheduler = account(world.db, enabled=True)
    world.tick()
    world.db.execute("UPDATE tracking_upload_scheduler SET schedule_time = '16:55'")
    assert row(world, scheduler)["next_run_at"] == FIVE - dt.timedelta(minutes=5)
    world.tick()
    assert slots(world) == [(FIVE - dt.timedelta(minutes=5), "planned", None)]
    assert row(world, scheduler)["version"] == 2


def test_switching_off_takes_the_slots_back_and_calls_off_a_due_one(world: World) -> None:
    """C49."""
    scheduler = account(world.db, enabled=True)
    world.tick()
    world.db.execute("UPDATE tracking_upload_scheduler SET enabled = false")
    assert slots(world) == []
    assert row(world, scheduler)["next_run_at"] is None
    world.db.execute("UPDATE tracking_upload_scheduler SET enabled = true")
    world.tick()
    world.go_to(FIVE)
    world.tick()
    world.db.execute("UPDATE tracking_upload_scheduler SET enabled = false")
    assert slots(world) == [(FIVE, "cancelled", "paused")]


def test_deleting_keeps_the_record_and_frees_the_account(world: World) -> None:
    scheduler = account(world.db, enabled=True)
    world.tick()
    world.db.execute("DELETE FROM tracking_upload_scheduler")
    kept = row(world, scheduler)
    assert (kept["enabled"], kept["deleted_at"] is not None) == (False, True)
    assert slots(world) == []
    assert account(world.db) != scheduler


def test_what_changes_by_itself_is_no_edit_and_no_secret_is_in_the_history(world: World) -> None:
    scheduler = account(
        world.db, credentials=b"sealed", discord_webhook="https://discord.com/api/webhooks/1/secret"
    )
    world.db.execute("UPDATE tracking_upload_scheduler SET last_run_at = ledger_now(), next_run_at = NULL")
    assert row(world, scheduler)["version"] == 1
    world.db.execute("UPDATE tracking_upload_scheduler SET retry_count = 5")
    history = world.rows("SELECT * FROM kb_schedule_history WHERE schedule_id = %s", scheduler)
    assert [one["version"] for one in history] == [1, 2]
    assert not any("secret" in json.dumps(one["row"]) or "credentials" in one["row"] for one in history)
    assert history[0]["row"]["title"] == "송장 업로드 · default"


@pytest.mark.parametrize(
    ("what", "columns"),
    [
        ("time", {"schedule_time": "25:00"}),
        ("time", {"schedule_time": "9:00"}),
        ("retry", {"retry_count": 11}),
        ("retry", {"retry_count": -1}),
        ("account", {"name": " "}),
        ("weekdays", {"weekdays": "mon"}),
        ("unknown time zone", {"tz": "Seoul"}),
        ("number", {"number_policy": "guess"}),
        ("batch", {"batch_size": 3001}),
        ("account_key", {"name": "default"}),
    ],
)
def test_a_row_that_means_nothing_is_refused_by_name(
    world: World, what: str, columns: dict[str, Any]
) -> None:
    """C89."""
    account(world.db)
    with pytest.raises(psycopg.errors.IntegrityError, match=what):
        account(world.db, **({"name": "other"} | columns))


def test_an_id_that_a_schedule_has_is_refused(world: World) -> None:
    world.room()
    with pytest.raises(psycopg.errors.CheckViolation, match="leave id out"):
        account(world.db, id=world.schedule())


def test_a_zone_that_only_the_database_knows_switches_the_account_off_with_the_reason(world: World) -> None:
    scheduler = account(world.db, enabled=True, tz="KST")
    world.tick()
    found = row(world, scheduler)
    assert found["enabled"] is False
    assert "KST" in found["error_reason"]
    world.db.execute("UPDATE tracking_upload_scheduler SET enabled = true, tz = 'Asia/Seoul'")
    assert row(world, scheduler)["error_reason"] is None


def test_a_late_run_still_runs_within_its_grace_and_expires_past_it(world: World) -> None:
    account(world.db, enabled=True)
    world.tick()
    world.go_to(FIVE + dt.timedelta(hours=5, minutes=59))
    assert len(world.tick()) == 1
    world.go_to(FIVE + DAY - dt.timedelta(minutes=10))
    world.tick()
    assert slots(world) == [(FIVE, "expired", "no_worker"), (FIVE + DAY, "planned", None)]


def test_the_upload_is_told_to_the_workers_of_its_own_queue_alone(world: World) -> None:
    scheduler = account(world.db, "brand", enabled=True)
    world.room()
    message = world.schedule()
    world.tick()
    world.go_to(FIVE)
    until = world.now
    due = {one.sid: one.queue for one in beat.dispatch(world.db, until, 100, 5.0, 1.0)}
    assert due == {scheduler: "tracking", message: "send"}
    assert beat.told(world.db, list(due))[scheduler] == ("송장 업로드", "brand")
    assert [slot.schedule_id for slot in worker.poll(world.db, "send", 10)] == [message]
    assert [slot.schedule_id for slot in worker.poll(world.db, "tracking", 10)] == [scheduler]


def test_a_lost_hint_of_an_upload_is_told_again_on_its_queue(world: World) -> None:
    scheduler = account(world.db, enabled=True)
    world.tick()
    world.go_to(FIVE)
    world.tick()
    asked = beat.agenda(world.db)
    assert asked.send_again_at is None
    assert asked.tracking_again_at == FIVE + dt.timedelta(seconds=5)
    world.go_to(FIVE + dt.timedelta(seconds=6))
    assert beat.republish(world.db, "send", 10, 5.0, True) == []
    assert [one.sid for one in beat.republish(world.db, "tracking", 10, 5.0, True)] == [scheduler]


def test_an_upload_that_is_taken_and_ended_satisfies_the_audit(world: World) -> None:
    account(world.db, enabled=True)
    world.tick()
    world.go_to(FIVE)
    finish(world, *world.tick())
    world.tick()
    assert slots(world) == [(FIVE, "delivered", "job")]
    assert audit(world.db).ok


def test_a_run_that_began_is_the_last_one_and_a_dry_run_is_none(world: World) -> None:
    """C14, C62."""
    scheduler = account(world.db)
    job(world.db, scheduler, dry_run=True, started_at=FIVE)
    world.tick()
    assert row(world, scheduler)["last_run_at"] is None
    began = job(world.db, scheduler, status="pending", started_at=None)
    world.tick()
    assert row(world, scheduler)["last_run_at"] is None
    world.db.execute(
        "UPDATE tracking_upload_jobs SET status = 'running', started_at = %s WHERE id = %s", (FIVE, began)
    )
    world.tick()
    assert row(world, scheduler)["last_run_at"] == FIVE


def test_an_account_has_one_active_job_at_most(world: World) -> None:
    """Ruling 9."""
    first, other = account(world.db), account(world.db, "other")
    job(world.db, first)
    job(world.db, other)
    job(world.db, first, dry_run=True)
    with pytest.raises(psycopg.errors.UniqueViolation, match="active"):
        job(world.db, first, status="pending")
    world.db.execute("UPDATE tracking_upload_jobs SET status = 'completed', completed_at = ledger_now()")
    job(world.db, first)


def test_a_slot_and_a_key_make_one_job_each(world: World) -> None:
    scheduler = account(world.db)
    done = {"status": "failed", "completed_at": FIVE}
    job(world.db, scheduler, slot_id="1-2", idem_key="k", **done)
    with pytest.raises(psycopg.errors.UniqueViolation, match="slot"):
        job(world.db, scheduler, slot_id="1-2", **done)
    with pytest.raises(psycopg.errors.UniqueViolation, match="idem"):
        job(world.db, scheduler, idem_key="k", **done)


@pytest.mark.parametrize(
    ("state", "status"),
    [("succeeded", "success"), ("failed", "failed"), ("unresolved", "failed"), ("skipped", None)],
)
def test_a_details_status_follows_its_state(world: World, state: str, status: str | None) -> None:
    """C35."""
    number = job(world.db, account(world.db))
    world.db.execute(
        "INSERT INTO tracking_upload_details (job_id, order_id, state, ended_at)"
        " VALUES (%s, 1, %s, ledger_now())",
        (number, state),
    )
    assert world.value("SELECT status FROM tracking_upload_details") == status


def finish(world: World, *due: SlotId) -> None:
    """A worker takes the slots and ends them, as one does that has made their jobs."""
    ends = [Settle(lease.slot, lease.fence, SlotState.DELIVERED, "job") for lease in map(world.take, due)]
    assert len(worker.settle(world.db, ends, world.owner)) == len(due)


def test_the_hour_is_a_korean_one(world: World) -> None:
    account(world.db, enabled=True)
    world.tick()
    assert slots(world)[0][0].astimezone(SEOUL).hour == 17
