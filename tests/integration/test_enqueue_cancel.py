"""A message is called off by the service that asked for it: by id or by key, while it has not started."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from beat.planning import plan
from models.ledger import messages
from models.ledger.messages import Result
from models.store import messages as store
from ops.audit import audit
from runtime.ids import SlotId
from runtime.settings import get_settings
from tests.support.world import World


@pytest.fixture
def world(world: Any) -> World:
    """The world with a beat and a provider in it."""
    return World(world.db)


@pytest.fixture(autouse=True)
def _room(world: World, ledger_env: dict[str, str]) -> None:
    world.room("hq-alerts")


def ask(world: World, **request: Any) -> str:
    task = None if "text" in request else "task-1"
    result = messages.enqueue(world.db, {"room": "hq-alerts", "text": "x", **request}, task_id=task)
    assert result.id is not None
    return result.id


def cancel(world: World, **request: Any) -> Result:
    return messages.cancel(world.db, request)


def in_s(world: World, seconds: float) -> str:
    return (world.now + dt.timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize("laid_down", [True, False])
def test_a_message_that_has_not_started_is_cancelled_in_the_ledger_and_never_goes_out(
    world: World, laid_down: bool
) -> None:
    id_ = ask(world, at=in_s(world, 120))
    if laid_down:
        world.lay_down()
    assert cancel(world, id=id_) == Result(id_, "cancelled")
    world.advance(121)
    assert world.tick() == []
    assert world.value("SELECT state || ' ' || reason FROM slots") == "cancelled cancelled"
    assert world.value("SELECT status FROM kb_schedule") == "completed"
    assert audit(world.db).violations == []


def test_a_message_beyond_the_ledgers_weeks_is_cancelled_too(world: World) -> None:
    id_ = ask(world, at=in_s(world, 200 * 86_400))
    assert cancel(world, id=id_).status == "cancelled"
    world.go_to(SlotId.parse(id_).slot_at)
    world.db.execute("SELECT ensure_partitions()")
    assert plan(world.db, get_settings(), world.now).planned == []
    assert world.value("SELECT status FROM kb_schedule WHERE deleted_at IS NOT NULL") == "inactive"
    assert [error.reason for error in cancel(world, id=id_).errors] == [f"{id_} was cancelled before"]


def test_a_key_names_the_message_and_so_does_the_celery_task(world: World) -> None:
    by_key = ask(world, at=in_s(world, 60), idempotency_key="orders/1")
    by_task = ask(world, at=in_s(world, 90))
    assert cancel(world, idempotency_key="orders/1").id == by_key
    assert cancel(world, idempotency_key="task-1").id == by_task


def test_a_cancelled_message_frees_its_content_whoever_cancelled_it(world: World) -> None:
    at = in_s(world, 60)
    first = ask(world, at=at)
    assert cancel(world, id=first).status == "cancelled"
    second = messages.enqueue(world.db, {"room": "hq-alerts", "text": "x", "at": at})
    assert second.status == "accepted"
    world.lay_down()
    assert second.id is not None
    world.db.execute("SELECT slot_cancel(%s, %s, 'by a person')", tuple(SlotId.parse(second.id)))
    assert messages.enqueue(world.db, {"room": "hq-alerts", "text": "x", "at": at}).status == "accepted"
    assert store.hash_count(world.db) == 1


def test_what_is_over_started_or_cancelled_is_refused_with_the_reason(world: World) -> None:
    delivered, started = ask(world, at=in_s(world, 60)), ask(world, at=in_s(world, 120), text="y")
    world.lay_down()
    slot = SlotId.parse(delivered)
    world.go_to(slot)
    world.deliver(slot)
    world.db.execute("UPDATE slots SET exposed = 1 WHERE slot_at = %s", (SlotId.parse(started).slot_at,))
    reasons = [cancel(world, id=one).errors[0].reason for one in (delivered, started)]
    assert reasons == [f"{delivered} is over: delivered", f"{started} has started and may have been sent"]


def test_a_slot_of_a_persons_schedule_is_not_a_services_to_cancel(world: World) -> None:
    slot = world.once("hq-alerts", in_s=60)
    answer = cancel(world, id=str(slot))
    assert answer.errors[0].reason == f"{slot} belongs to a schedule, it is no single message"
    assert world.value("SELECT state FROM slots") == "planned"


@pytest.mark.parametrize(
    "request_",
    [
        {}, {"id": "812"}, {"id": 7}, {"id": "1-1"}, {"id": "812-1795222800000"},
        {"id": "1-99999999999999"}, {"id": f"{10**17}-1"}, {"idempotency_key": "never"},
        {"idempotency_key": "k" * 10_240}, {"id": "1-1", "idempotency_key": "k"}, {"room": "hq-alerts"},
        {"idempotency_key": None},
    ],
)  # fmt: skip
def test_what_names_no_message_is_refused(world: World, request_: dict[str, Any]) -> None:
    ask(world, at=in_s(world, 60))
    answer = cancel(world, **request_)
    assert (answer.status, len(answer.errors)) == ("refused", 1)
    world.advance(61)
    assert len(world.tick()) == 1
