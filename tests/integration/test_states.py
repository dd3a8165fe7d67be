"""The database refuses every move that the state machine does not name, whoever asks and however."""

from __future__ import annotations

import itertools
import re
import uuid
from enum import StrEnum
from pathlib import Path
from typing import Any

import psycopg
import pytest

from models import states
from models.states import BIRTH, EDGES, LIVE, AttemptOutcome, PartState, Phase, SlotState, allowed
from tests.support.ledger_world import World

PAIRS = list(itertools.product(SlotState, SlotState))
COLUMNS = (
    "schedule_id, slot_at, content_version, fence, not_before, start_by, finish_by, state, reason, ended_at,"
    " owner, lease_until"
)


@pytest.fixture
def schedule(world: World) -> int:
    world.room()
    return world.schedule()


def put(world: World, schedule: int, state: SlotState) -> None:
    """A slot in any state, past every guard."""
    live, leased = state in LIVE, state is SlotState.LEASED
    world.db.execute("SET session_replication_role = replica")
    world.db.execute("DELETE FROM slots")
    at = world.time.now
    values = (
        schedule, at, 1, 7, at, at, at, state, None if live else "test", None if live else at,
        uuid.uuid4() if leased else None, at if leased else None,
    )  # fmt: skip
    marks = ", ".join(["%s"] * len(values))
    world.db.execute(f"INSERT INTO slots ({COLUMNS}) VALUES ({marks})".encode(), values)
    world.db.execute("RESET session_replication_role")


def move(world: World, new: SlotState, table: str = "slots") -> None:
    live, leased = new in LIVE, new is SlotState.LEASED
    world.db.execute(
        f"UPDATE {table} SET state = %s, reason = %s, ended_at = %s, owner = %s, lease_until = %s".encode(),
        (
            new, None if live else "test", None if live else world.time.now,
            uuid.uuid4() if leased else None, world.time.now if leased else None,
        ),
    )  # fmt: skip


def partition(world: World) -> str:
    return str(world.value("SELECT tableoid::regclass::text FROM slots"))


def test_every_forbidden_move_is_refused_and_every_allowed_one_is_possible(
    world: World, schedule: int
) -> None:
    for old, new in PAIRS:
        put(world, schedule, old)
        if allowed(old, new):
            move(world, new)
            assert world.value("SELECT state FROM slots") == new
        else:
            with pytest.raises(psycopg.errors.CheckViolation, match=f"illegal move {old} -> {new}"):
                move(world, new)
            assert world.value("SELECT state FROM slots") == old


def test_writing_to_a_partition_directly_is_guarded_as_well(world: World, schedule: int) -> None:
    for old, new in PAIRS:
        if not allowed(old, new):
            put(world, schedule, old)
            with pytest.raises(psycopg.errors.CheckViolation, match="illegal move"):
                move(world, new, partition(world))
    put(world, schedule, SlotState.PLANNED)
    table = partition(world)
    with pytest.raises(psycopg.errors.CheckViolation, match="fence went back"):
        world.db.execute(f"UPDATE {table} SET fence = 6".encode())
    put(world, schedule, SlotState.DELIVERED)
    with pytest.raises(psycopg.errors.CheckViolation, match="never deleted"):
        world.db.execute(f"DELETE FROM {table}".encode())


def test_every_week_carries_the_guards(world: World) -> None:
    bare = world.rows(
        "SELECT i.inhrelid::regclass::text AS week FROM pg_inherits i WHERE i.inhparent = 'slots'::regclass"
        " AND (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = i.inhrelid"
        " AND t.tgname LIKE 'slots_guard_%%') <> 3"
    )
    assert bare == []


def test_the_fence_never_goes_back(world: World, schedule: int) -> None:
    put(world, schedule, SlotState.QUEUED)
    world.db.execute("UPDATE slots SET fence = 8")
    with pytest.raises(psycopg.errors.CheckViolation, match="fence went back from 8 to 7"):
        world.db.execute("UPDATE slots SET fence = 7")


def test_a_slot_never_changes_its_time_or_schedule(world: World, schedule: int) -> None:
    put(world, schedule, SlotState.PLANNED)
    for change in (
        "slot_at = slot_at + interval '1 ms'",
        "slot_at = slot_at + interval '7 days'",
        "schedule_id = 99",
    ):
        with pytest.raises(psycopg.errors.CheckViolation, match="its identity"):
            world.db.execute(f"UPDATE slots SET {change}".encode())


@pytest.mark.parametrize("state", SlotState)
def test_a_slot_is_born_planned_or_as_expired_only(world: World, schedule: int, state: SlotState) -> None:
    put(world, schedule, state)
    other = COLUMNS.replace("schedule_id", "schedule_id + 1", 1)
    copy = f"INSERT INTO slots ({COLUMNS}) SELECT {other} FROM slots"
    if state in BIRTH:
        world.db.execute(copy.encode())
    else:
        with pytest.raises(psycopg.errors.CheckViolation, match=f"no slot is born {state}"):
            world.db.execute(copy.encode())


@pytest.mark.parametrize("state", SlotState)
def test_only_a_slot_that_neither_ended_nor_began_may_be_deleted(
    world: World, schedule: int, state: SlotState
) -> None:
    put(world, schedule, state)
    if state in LIVE:
        world.db.execute("DELETE FROM slots")
        assert world.row("SELECT old, new FROM slot_log") == {"old": state, "new": "deleted"}
        put(world, schedule, state)
        world.db.execute("UPDATE slots SET exposed = 1")
    with pytest.raises(psycopg.errors.CheckViolation, match="never deleted"):
        world.db.execute("DELETE FROM slots")


def test_every_move_is_written_down_with_who_and_why(world: World, schedule: int) -> None:
    put(world, schedule, SlotState.QUEUED)
    with world.db.transaction():
        world.db.execute("SET LOCAL jeongsi.who = '홍길동'")
        world.db.execute(
            "UPDATE slots SET state = 'cancelled', reason = '취소', ended_at = ledger_now(), fence = 8"
        )
    row = world.row("SELECT at, old, new, fence, reason, who FROM slot_log")
    assert tuple(row.values()) == (world.time.now, "queued", "cancelled", 8, "취소", "홍길동")


def test_a_set_with_one_forbidden_move_moves_nothing(world: World, schedule: int) -> None:
    other = world.schedule()
    first, second = world.queued(schedule), world.plan(other)
    with pytest.raises(psycopg.errors.CheckViolation, match="planned -> waiting"):
        world.db.execute("UPDATE slots SET state = 'waiting'")
    assert (world.state(first)[0], world.state(second)[0]) == ("queued", "planned")


def test_the_edge_table_equals_the_state_machine(world: World) -> None:
    rows = world.rows("SELECT old, new FROM slot_edge")
    assert {(row["old"], row["new"]) for row in rows} == {(old.value, new.value) for old, new in EDGES}


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("slots_state_check", SlotState),
        ("slots_phase_check", Phase),
        ("parts_state_check", PartState),
        ("attempts_outcome_check", AttemptOutcome),
        ("slots_ended_check", LIVE),
    ],
)
def test_the_checks_of_the_database_name_the_states_of_the_code(
    world: World, constraint: str, values: type[StrEnum] | tuple[SlotState, ...]
) -> None:
    text: Any = world.value(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s AND conrelid = %s::regclass",
        constraint,
        constraint.split("_", maxsplit=1)[0],
    )
    assert set(re.findall(r"'(\w+)'", text)) == {value.value for value in values}


def test_the_page_of_states_shows_the_machine_that_runs() -> None:
    page = Path(__file__).parents[2] / "docs" / "states.md"
    assert page.read_text(encoding="utf-8") == states.page(), "run `python -m models.states > docs/states.md`"


def test_every_state_can_be_reached_and_only_unresolved_can_be_left_once_ended() -> None:
    reached, todo = set(BIRTH), list(BIRTH)
    while todo:
        here = todo.pop()
        further = {new for old, new in EDGES if old == here} - reached
        reached |= further
        todo += further
    assert reached == set(SlotState)
    assert {old for old, _ in EDGES if old not in LIVE} == {SlotState.UNRESOLVED}


def test_the_guard_never_compares_each_row_with_each_other(world: World) -> None:
    """The commands that fire it switch hash and merge joins off; with all three off it is quadratic."""
    settings = world.value("SELECT proconfig FROM pg_proc WHERE proname = 'slots_guard_update'")
    assert set(settings) == {"enable_nestloop=off", "enable_hashjoin=on", "enable_mergejoin=on"}
