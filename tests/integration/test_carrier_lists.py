"""An account's list of carriers is kept, and makes orders ready that named theirs by name."""

from __future__ import annotations

import pytest

from models.queries import orders
from models.store import Refused
from models.store.carriers import carriers_seen_at, load_carriers, save_carriers
from tests.support.ledger_world import World
from tests.support.tracking import order

LIST = [("4", "CJ대한통운"), ("5", "한진택배")]


def test_a_list_is_kept_by_account_with_its_time(world: World) -> None:
    assert not load_carriers(world.db)
    assert carriers_seen_at(world.db) is None
    save_carriers(world.db, "default", LIST)
    found = load_carriers(world.db).resolve("대한통운")
    assert found is not None
    assert found.code == "4"
    assert carriers_seen_at(world.db) == world.time.now
    assert not load_carriers(world.db, "brand")


def test_a_new_list_replaces_the_old_one(world: World) -> None:
    save_carriers(world.db, "default", [*LIST, ("6", "로젠택배")])
    save_carriers(world.db, "default", [("4", "CJ대한통운(신)"), ("8", "롯데택배")])
    assert [(one.code, one.name) for one in load_carriers(world.db).listed] == [
        ("4", "CJ대한통운(신)"),
        ("8", "롯데택배"),
    ]


def test_an_empty_list_is_refused_and_the_last_one_stays(world: World) -> None:
    save_carriers(world.db, "default", LIST)
    with pytest.raises(Refused, match="empty"):
        save_carriers(world.db, "default", [(" ", "x")])
    assert len(load_carriers(world.db).listed) == 2


def test_orders_that_named_their_carrier_wait_once_the_list_is_there(world: World) -> None:
    order(world.db, "1", carrier_code=None, carrier_name="대한통운")
    order(world.db, "2", carrier_code=None, carrier_name="씨제이 대한통운")
    order(world.db, "3", carrier_code=None, carrier_name="퀵서비스")
    order(world.db, "4", carrier_code=None, carrier_name="한진", account="brand")
    assert save_carriers(world.db, "default", LIST) == 2
    assert [one.order_no for one in orders.each_pending(world.db, "default")] == ["1", "2"]
    assert orders.held_back(world.db) == {"no_carrier": 2}
    assert save_carriers(world.db, "default", LIST) == 0
