"""The schedule table itself: the customer's columns and indexes, and the rows that it refuses by name."""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg
import pytest

from beat.planning import plan
from runtime.ids import SlotId
from runtime.settings import get_settings
from tests.support.edits import WAYS, Writer
from tests.support.ledger_time import SEOUL
from tests.support.ledger_world import World


@pytest.fixture(autouse=True)
def _room(world: World) -> None:
    world.room("방1")


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("title", {"title": "  "}),
    ("creator", {"created_by_type": "owner"}),
    ("room_type", {"target_room_type": "production"}),
    ("order", {"send_order": "text_last"}),
    ("interval", {"send_interval_seconds": -1}),
    ("interval", {"send_interval_seconds": 3601}),
    ("type", {"schedule_type": "hourly"}),
    ("once", {"schedule_type": "once", "schedule_time": "09:00"}),
    ("once", {"schedule_type": "once", "schedule_date": "2026-11-21"}),
    ("daily", {"schedule_type": "daily"}),
    ("weekly", {"schedule_type": "weekly", "schedule_time": "09:00"}),
    ("weekly", {"schedule_type": "weekly", "schedule_weekdays": "monday"}),
    ("weekdays", {"schedule_type": "weekly", "schedule_time": "09:00", "schedule_weekdays": "mon"}),
    (
        "weekdays",
        {"schedule_type": "weekly", "schedule_time": "09:00", "schedule_weekdays": "monday, friday"},
    ),
    ("weekdays", {"schedule_type": "weekly", "schedule_time": "09:00", "schedule_weekdays": ""}),
    ("peak", {"schedule_type": "peak"}),
    ("peak", {"schedule_type": "peak", "peak_hours": "24"}),
    ("peak", {"schedule_type": "peak", "peak_hours": "8-10"}),
    ("cron", {"schedule_type": "cron"}),
    ("union", {"schedule_type": "union"}),
    ("union", {"schedule_type": "union", "rules": "[]"}),
    ("union", {"schedule_type": "union", "rules": '{"kind": "regular"}'}),
    ("wheel", {"schedule_type": "regular", "schedule_time": "09:00"}),
    ("window", {"valid_from": "2026-11-21", "valid_until": "2026-11-20"}),
    ("misfire", {"misfire": "all"}),
    ("grace", {"grace_seconds": -1}),
    ("validity", {"validity_seconds": 0}),
    ("priority", {"priority": 10}),
    ("origin", {"origin": "robot"}),
    ("status", {"status": "paused"}),
]


@pytest.mark.parametrize(("name", "columns"), REFUSED)
def test_a_row_that_makes_no_sense_is_refused_by_name(
    world: World, name: str, columns: dict[str, Any]
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        world.schedule("방1", **columns)
    assert refused.value.diag.constraint_name == f"kb_schedule_{name}_check"


def test_every_check_of_the_table_is_tried_above(world: World) -> None:
    checks = world.rows(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'kb_schedule'::regclass AND contype = 'c'"
    )
    assert {check["conname"] for check in checks} == {f"kb_schedule_{name}_check" for name, _ in REFUSED}


def test_an_unknown_room_is_refused(world: World) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="target_room_id"):
        world.schedule("없는 방")


_FAR = "'2999-12-31 00:00:00+09'::timestamp with time zone"
CUSTOMERS: list[tuple[str, str, int | None, bool, str | None]] = [
    ("id", "bigint", None, False, "nextval('schedule_id_seq'::regclass)"),
    ("title", "character varying", 255, False, None),
    ("description", "text", None, True, None),
    ("created_by_type", "text", None, False, "'headquarters'::text"),
    ("created_by_id", "character varying", 50, False, "''::character varying"),
    ("created_by_mb_id", "character varying", 50, False, "''::character varying"),
    ("target_room_id", "character varying", 100, False, None),
    ("target_room_type", "text", None, False, "'live'::text"),
    ("message_text", "text", None, True, None),
    ("message_images", "jsonb", None, True, None),
    ("send_order", "text", None, False, "'text_first'::text"),
    ("send_interval_seconds", "integer", None, False, "1"),
    ("schedule_type", "text", None, False, None),
    ("schedule_date", "date", None, True, None),
    ("schedule_time", "time without time zone", None, True, None),
    ("schedule_weekdays", "text", None, True, None),
    ("valid_from", "timestamp with time zone", None, False, "now()"),
    ("valid_until", "timestamp with time zone", None, False, _FAR),
    ("status", "text", None, False, "'active'::text"),
    ("last_sent_at", "timestamp with time zone", None, True, None),
    ("next_send_at", "timestamp with time zone", None, True, None),
    ("send_count", "integer", None, False, "0"),
    ("created_at", "timestamp with time zone", None, False, "now()"),
    ("updated_at", "timestamp with time zone", None, False, "now()"),
]  # fmt: skip


def test_the_customers_columns_stand_with_their_names_and_defaults(world: World) -> None:
    columns = {
        one["column_name"]: (one["data_type"], one["len"], one["is_nullable"] == "YES", one["column_default"])
        for one in world.rows(
            "SELECT column_name, data_type, character_maximum_length AS len, is_nullable, column_default"
            " FROM information_schema.columns WHERE table_name = 'kb_schedule'"
        )
    }
    assert {name: columns.get(name) for name, *_ in CUSTOMERS} == {name: tuple(r) for name, *r in CUSTOMERS}


def test_the_customers_indexes_stand(world: World) -> None:
    indexes = {
        one["indexname"]
        for one in world.rows("SELECT indexname FROM pg_indexes WHERE tablename = 'kb_schedule'")
    }
    assert {"idx_schedule_polling", "idx_created_by", "idx_target_room"} <= indexes


@pytest.mark.parametrize("way", WAYS)
def test_korean_and_emoji_come_back_as_they_were_written(
    world: World, ledger_env: dict[str, str], way: str
) -> None:
    text = "장부 마감 📒 11월 — 확인해 주세요 👩‍👩‍👧"
    schedule = Writer(world, way).add(title=text, message_text=text)
    assert world.row("SELECT title AS a, message_text AS b FROM kb_schedule WHERE id = %s", schedule) == {
        "a": text,
        "b": text,
    }


def test_a_schedule_keeps_its_id(world: World) -> None:
    schedule = world.schedule("방1")
    with pytest.raises(psycopg.errors.CheckViolation, match="keeps its id"):
        world.edit(schedule, id=schedule + 1)


@pytest.mark.parametrize("seconds_ago", [0, 299])
def test_a_one_off_of_this_moment_is_promised_though_valid_from_was_left_out(
    world: World, ledger_env: dict[str, str], seconds_ago: int
) -> None:
    """The column's default is the writer's now(), a moment after the instant that it asks for."""
    now = world.time.set(world.value("SELECT date_trunc('second', clock_timestamp())"))
    wall = (now - dt.timedelta(seconds=seconds_ago)).astimezone(SEOUL)
    schedule = world.value(
        "INSERT INTO kb_schedule (title, target_room_id, target_room_type, message_text, send_order,"
        " schedule_type, schedule_date, schedule_time) VALUES ('지금', '방1', 'test', '글', 'text_only',"
        " 'once', %s, %s) RETURNING id", wall.date(), wall.time(),
    )  # fmt: skip
    assert plan(world.db, get_settings(), world.time.now).planned == [SlotId(schedule, wall)]


def test_a_user_with_rights_on_the_schedule_table_alone_can_write_it(world: World) -> None:
    """The customer's admin pages: what follows from their write is done with the owner's rights."""
    db, role = world.db, f"admin_pages_{world.db.info.backend_pid}"
    db.execute(f"CREATE ROLE {role}")
    try:
        db.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON kb_schedule TO {role}")
        db.execute(f"GRANT USAGE ON SEQUENCE schedule_id_seq TO {role}")
        with db.transaction():
            db.execute(f"SET LOCAL ROLE {role}")
            added = db.execute(
                "INSERT INTO kb_schedule (title, target_room_id, target_room_type, message_text, send_order,"
                " schedule_type) VALUES ('공지', '방1', 'test', '안녕', 'text_only', 'regular') RETURNING id"
            ).fetchone()
            assert added is not None
            db.execute("UPDATE kb_schedule SET message_text = '반가워요' WHERE id = %s", added)
            db.execute("DELETE FROM kb_schedule WHERE id = %s", added)
            with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
                db.execute("UPDATE slots SET state = 'delivered'")
        versions = db.execute(
            "SELECT op FROM kb_schedule_history WHERE schedule_id = %s ORDER BY version", added
        )
        assert [op for (op,) in versions.fetchall()] == ["insert", "update", "delete"]
    finally:
        db.execute(f"DROP OWNED BY {role}")
        db.execute(f"DROP ROLE {role}")
