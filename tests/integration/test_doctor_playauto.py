"""The doctor looks after PlayAuto's accounts, and uploads are counted apart from messages."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from api.ledger_views import Messages
from models.queries import lateness, slots, state_counts
from models.queries.health import health
from models.states import SlotState
from models.store.carriers import save_carriers
from ops.emulator import Emulator
from ops.emulator.playauto import PlayAuto
from runtime import redis_keys
from runtime.clock import clock
from runtime.redis_client import lock_redis
from tests.support.cli import jeongsi
from tests.support.environment import clear_caches
from tests.support.ledger_world import World
from tests.support.tracking import account, order


@pytest.fixture(autouse=True)
def playauto(ledger_env: dict[str, str], emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> PlayAuto:
    """The settings' account at the emulator."""
    for name, value in {
        "PLAYAUTO_API_URL": f"{emulator.url}/playauto", "PLAYAUTO_API_KEY": "key",
        "PLAYAUTO_AUTHENTICATION_KEY": "auth", "JEONGSI_PLAYAUTO_TIMEOUT_S": "2",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    clear_caches()
    return emulator.playauto()


def checks() -> dict[str, tuple[str, str, str]]:
    found = jeongsi("doctor", "--json").json["checks"]
    return {one["check"]: (one["level"], one["found"], one["todo"]) for one in found}


def test_nothing_is_said_of_playauto_where_it_is_not_used() -> None:
    assert not [name for name in checks() if "playauto" in name or "tracking" in name]


def test_an_account_that_works_is_well(world: World, playauto: PlayAuto) -> None:
    """C91, C92."""
    account(world.db, enabled=True)
    save_carriers(world.db, "default", [("4", "CJ대한통운")])
    order(world.db, "A-1")
    beat = {"at": clock().now().timestamp(), "threads": 16}
    lock_redis().hset(redis_keys.workers("tracking"), "worker-1", json.dumps(beat))
    found = checks()
    assert found["playauto default"] == ("ok", "lets us in, lists 6 carriers", "")
    assert found["orders default"] == ("ok", "1 wait", "")
    assert found["queue tracking"][0] == "ok"


def test_what_keeps_an_account_from_uploading_is_said_with_what_to_do(
    world: World, playauto: PlayAuto
) -> None:
    """C91, C92."""
    account(world.db, enabled=True)
    account(world.db, "brand")
    order(world.db, "A-1", account="brand")
    order(world.db, "A-2", account="lost")
    playauto.rules.authentication_key = "another"
    found = checks()
    assert found["playauto default"][0] == "fail"
    assert "e1002" in found["playauto default"][1]
    assert "no list of carriers" in found["orders default"][1]
    assert found["playauto brand"] == (
        "warn", "1 orders wait, and it is off", "switch it on: `jeongsi tracking account resume brand`",
    )  # fmt: skip
    assert "does not exist" in found["playauto lost"][1]
    assert found["queue tracking"][0] == "fail"
    assert "celery -A workers worker -Q tracking" in found["queue tracking"][2]


def test_an_order_without_its_carriers_code_is_told_of(world: World) -> None:
    """C92."""
    account(world.db, enabled=True)
    save_carriers(world.db, "default", [("4", "CJ대한통운")])
    order(world.db, "A-1", carrier_code=None, carrier_name="새택배")
    level, said, _ = checks()["orders default"]
    assert (level, said) == ("warn", "1 orders have a number and no carrier that PlayAuto lists")


def test_uploads_are_no_messages_in_any_count(world: World) -> None:
    """C94: a run counts once, as an upload; the rates of the messages stay theirs."""
    account(world.db, enabled=True)
    ended(world, 1, "delivered")
    ended(world, 2, "failed")
    found = health(world.db, world.time.now - dt.timedelta(hours=1))
    assert (found.total_scheduled, found.past, found.scheduled_count) == (0, 0, 0)
    assert found.as_json()["uploads"] == {"accounts": 1, "past": 2, "done": 1, "failed": 1}
    assert sum(state_counts(world.db, kind="message").values()) == 0
    assert state_counts(world.db, kind="tracking")[SlotState.DELIVERED] == 1
    assert lateness(world.db).p50 is None
    assert [one.kind for one in slots(world.db, kind="tracking")] == ["tracking"] * 2
    for which in (Messages("sent"), Messages("failed")):  # the customer's calls for scripts
        assert list(which) == []
        for one in slots(world.db):
            assert str(one.id) not in which


def ended(world: World, minutes_ago: int, state: str) -> None:
    """A run's slot as its end left it, past every guard."""
    world.db.execute("SET session_replication_role = replica")
    world.db.execute(
        "INSERT INTO slots (schedule_id, slot_at, kind, content_version, state, reason, fence, not_before,"
        " start_by, finish_by, free_from, started_at, ended_at)"
        " SELECT 1, t, 'tracking', 1, %s, 'test', 1, t, t, t, t, t, t"
        "   FROM (SELECT date_trunc('second', ledger_now()) - make_interval(mins => %s) AS t) x",
        (state, minutes_ago),
    )
    world.db.execute("RESET session_replication_role")
