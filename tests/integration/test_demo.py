"""The demo fills an empty local database only, reaches nobody, and keeps every room's limits."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from models.queries.accounts import accounts
from ops.demo import NoDemo, demo_sends, demo_uploads, seed
from ops.emulator import Emulator
from tests.support.ledger_world import World
from tests.support.tracking import account


@pytest.fixture
def local(world: World, ledger_env: dict[str, str], home: Path) -> World:
    """The database of `world` as the local stack's own."""
    (home / "run.json").write_text(json.dumps({"database_url": ledger_env["DATABASE_URL"]}), encoding="utf-8")
    return world


def test_an_empty_local_database_gets_rooms_and_schedules_of_every_kind(local: World) -> None:
    made = seed(local.db)
    assert made >= 60
    rooms = local.rows("SELECT type, channel, count(*) AS n FROM rooms GROUP BY 1, 2")
    assert {row["type"] for row in rooms} == {"test"}
    bridges = {"emulator-key", "emulator-lookup", "emulator-none"}
    assert {row["channel"] for row in rooms} == bridges | {"emulator-iris"}
    kinds = local.rows("SELECT DISTINCT schedule_type FROM kb_schedule")
    assert {row["schedule_type"] for row in kinds} == {"regular", "peak", "daily", "weekly", "cron", "union"}
    assert local.rows("SELECT 1 FROM kb_schedule WHERE status <> 'active'") == []
    text = local.value("SELECT message_text FROM kb_schedule WHERE title = '장부 모니터링 정기 알림'")
    assert "{time}" in text
    assert "수락률: 93.8%" in text


def test_it_is_filled_once(local: World) -> None:
    seed(local.db)
    assert seed(local.db) == 0


def test_no_schedule_of_the_demo_passes_its_rooms_quota(local: World) -> None:
    from beat.recurrence import max_per_day, parse_rules

    seed(local.db)
    rows = local.rows(
        "SELECT r.room_id, r.quota, c.rules, c.tz FROM schedule_clock c JOIN rooms r ON r.id = c.room_ref"
    )
    for room, quota in {(row["room_id"], row["quota"]) for row in rows}:
        day = sum(max_per_day(parse_rules(row["rules"]), row["tz"]) for row in rows if row["room_id"] == room)
        assert day <= quota, room


def test_sends_come_every_five_seconds_over_many_rooms_and_all_three_kinds(local: World) -> None:
    seed(local.db)
    assert demo_sends(local.db) == 120
    sends = demo(local)
    assert all(after["at"] - before["at"] == timedelta(seconds=5) for before, after in pairwise(sends))
    assert timedelta(0) < sends[0]["at"] - local.time.now < timedelta(seconds=10)
    assert len({send["room"] for send in sends}) >= 60
    assert {send["channel"] for send in sends[:3]} == {"emulator-key", "emulator-lookup", "emulator-none"}
    with_images = [send for send in sends if send["images"]]
    assert 0.08 <= len(with_images) / len(sends) <= 0.2
    assert {send["type"] for send in sends} == {"test"}


def test_starting_again_fills_up_what_is_missing(local: World) -> None:
    seed(local.db)
    demo_sends(local.db)
    assert demo_sends(local.db) == 0
    local.time.advance(60)
    assert demo_sends(local.db) == 12


def test_no_room_breaks_its_limits_however_often_it_is_restarted(local: World) -> None:
    seed(local.db)
    for _ in range(40):
        demo_sends(local.db, minutes=10, every_s=5)
        local.db.execute("UPDATE kb_schedule SET status = 'inactive' WHERE origin = 'demo'")
        local.db.execute(  # all of them went out
            "INSERT INTO room_quota SELECT r.id, korean_day(ledger_now()), count(*) FROM kb_schedule k"
            " JOIN rooms r ON r.room_id = k.target_room_id WHERE k.origin = 'demo' GROUP BY 1"
            " ON CONFLICT (room_ref, day) DO UPDATE SET used = excluded.used"
        )
        local.time.advance(600)
    worst = local.value(
        "SELECT max(n) FROM (SELECT count(*) AS n FROM kb_schedule WHERE origin = 'demo'"
        " GROUP BY target_room_id, schedule_date) x"
    )
    assert worst <= 50
    by_room: dict[str, list[dict[str, Any]]] = {}
    for send in demo(local):
        by_room.setdefault(str(send["room"]), []).append(send)
    for sends in by_room.values():
        for before, after in pairwise(sends):
            assert after["at"] - before["at"] >= timedelta(seconds=30)
    assert local.value("SELECT count(*) FROM kb_schedule WHERE origin = 'demo'") == 40 * 120


def test_a_database_of_your_own_gets_nothing(world: World, ledger_env: dict[str, str], home: Path) -> None:
    with pytest.raises(NoDemo, match="No local stack"):
        seed(world.db)
    (home / "run.json").write_text(
        json.dumps({"database_url": "postgresql://127.0.0.1:1/jeongsi"}), encoding="utf-8"
    )
    for make in (seed, demo_sends):
        with pytest.raises(NoDemo, match="of your own"):
            make(world.db)
    assert world.value("SELECT count(*) FROM rooms") == 0


def test_rooms_that_reach_people_end_the_demo(local: World) -> None:
    seed(local.db)
    local.db.execute(
        "INSERT INTO rooms (room_id, name, type, channel) VALUES ('진짜', '진짜', 'live', 'iris')"
    )
    with pytest.raises(NoDemo, match="reach people"):
        demo_sends(local.db)


def test_rooms_of_others_keep_the_seed_away(local: World) -> None:
    local.room("강남")
    assert seed(local.db) == 0
    assert local.value("SELECT count(*) FROM rooms") == 1


def test_orders_of_an_emulated_playauto_wait_for_the_next_minute(local: World, emulator: Emulator) -> None:
    at = demo_uploads(local.db, emulator.url)
    assert at is not None
    assert timedelta(seconds=20) <= at - local.time.now <= timedelta(seconds=80)
    (row,) = accounts(local.db)
    assert (row.account, row.enabled, row.next_run_at) == ("demo", True, at)
    assert row.waiting >= 25
    assert row.without_code == 1
    known = {one["bundle_no"] for one in emulator.playauto().bundles()}
    assert {one["bundle_no"] for one in local.rows("SELECT bundle_no FROM orders")} == known


def test_each_start_has_orders_of_its_own_emulator(local: World, emulator: Emulator) -> None:
    demo_uploads(local.db, emulator.url)
    first = local.value("SELECT max(id) FROM orders")
    local.db.execute("UPDATE orders SET playauto_uploaded = 1 WHERE id = %s", (first,))
    emulator.playauto().reset()
    local.time.advance(3600)
    demo_uploads(local.db, emulator.url)
    assert local.value("SELECT count(*) FROM orders WHERE id <= %s", first) == 1
    assert accounts(local.db)[0].waiting >= 25


def test_an_account_of_a_person_ends_the_demos(local: World, emulator: Emulator) -> None:
    demo_uploads(local.db, emulator.url)
    account(local.db, "default")
    assert demo_uploads(local.db, emulator.url) is None
    assert [one.account for one in accounts(local.db)] == ["default"]


def demo(world: World) -> list[dict[str, Any]]:
    """The demo's sends in the order of their time."""
    return world.rows(
        "SELECT (k.schedule_date + k.schedule_time) AT TIME ZONE k.tz AS at, r.room_id AS room, r.channel,"
        " r.type, k.message_images IS NOT NULL AS images FROM kb_schedule k"
        " JOIN rooms r ON r.room_id = k.target_room_id WHERE k.origin = 'demo' ORDER BY 1"
    )
