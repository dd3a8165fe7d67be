"""The window of content hashes: inspected, limited, cleared; used by recurring schedules, too."""

from __future__ import annotations

from typing import Any

import pytest

from models.ledger import messages
from models.store import delete_schedule, transaction
from models.store import messages as store
from runtime.settings import get_settings
from tests.support.cli import jeongsi
from tests.support.ledger_world import World


@pytest.fixture(autouse=True)
def _rooms(world: World, ledger_env: dict[str, str]) -> None:
    world.room("hq-alerts")
    world.room("강남")


def ask(world: World, number: int, room: str = "hq-alerts") -> str:
    at = f"2998-12-24T18:00:{number % 60:02}+09:00"
    return messages.enqueue(world.db, {"room": room, "text": f"{number}", "at": at}).status


def test_the_newest_are_kept_per_room_and_what_left_the_window_is_accepted_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A59 (the example's 50)."""
    assert get_settings().hash_limit == 100
    monkeypatch.setenv("JEONGSI_HASH_LIMIT", "50")
    get_settings.cache_clear()
    assert ask(world, 0, "강남") == "accepted"
    assert [ask(world, number) for number in range(51)] == ["accepted"] * 51
    assert store.hash_count(world.db, "hq-alerts") == 50
    assert store.hash_count(world.db) == 51
    assert (ask(world, 50), ask(world, 1)) == ("refused", "refused")
    assert ask(world, 0) == "accepted"


def test_plain_sql_takes_the_limit_from_the_database(world: World) -> None:
    world.db.execute("SET jeongsi.hash_limit = 2")
    for number in range(4):
        world.db.execute("SELECT jeongsi_enqueue(room => 'hq-alerts', text => %s)", (f"{number}",))
    world.db.execute("RESET jeongsi.hash_limit")
    assert store.hash_count(world.db) == 2


def test_the_command_counts_and_clears_one_room_or_all(world: World) -> None:
    """A56, A57."""
    for number in range(3):
        ask(world, number)
    ask(world, 0, "강남")
    assert jeongsi("message", "hashes", "--json").json == {
        "hashes": 4, "limit": 100, "rooms": {"hq-alerts": 3, "강남": 1},
    }  # fmt: skip
    assert "3" in jeongsi("message", "hashes", "--room", "hq-alerts").out
    assert jeongsi("message", "hashes", "--room", "hq-alerts", "--clear").out.startswith("3 hashes")
    assert (ask(world, 0), ask(world, 0, "강남")) == ("accepted", "refused")
    assert jeongsi("message", "hashes", "--clear", "--json").json == {"cleared": 2}
    assert "No content" in jeongsi("message", "hashes").out
    assert jeongsi("message", "hashes", "--room", "nowhere").code != 0


def remember(world: World, schedule: int, **changed: Any) -> str | None:
    content = {"room": "hq-alerts", "text": "정각", "when": "regular", **changed}
    return store.remember_content(world.db, schedule_id=schedule, **content)


def test_a_recurring_schedules_content_is_remembered_with_its_rules(world: World) -> None:
    """A14 for the calls that make regular and peak messages."""
    first, second = world.schedule("hq-alerts"), world.schedule("hq-alerts")
    assert remember(world, first) is None
    assert remember(world, second) == str(first)
    assert remember(world, second, when="peak") is None
    assert remember(world, second, room="강남") is None
    assert remember(world, second, images=[3]) is None
    with transaction("김본사") as session:
        delete_schedule(session, first)
    assert remember(world, second) is None


def test_a_room_that_is_gone_takes_its_hashes_along(world: World) -> None:
    ask(world, 1)
    world.db.execute("DELETE FROM kb_schedule")
    world.db.execute("SET session_replication_role = replica")
    world.db.execute("DELETE FROM kb_schedule")
    world.db.execute("RESET session_replication_role")
    world.db.execute("DELETE FROM rooms WHERE room_id = 'hq-alerts'")
    assert store.hash_count(world.db) == 0
