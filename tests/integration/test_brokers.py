"""Publishing to Redis and to any other broker, ahead of time and on a dead server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import kombu
import pytest
import redis
from celery import Celery

from beat.brokers import KombuBroker, Parcel, RedisBroker, broker_of
from beat.envelope import Hint
from beat.publishing import Batch, Publisher
from runtime.clock import clock
from runtime.events import Event, captured
from runtime.ids import SlotId
from tests.support.beats import Queue
from tests.support.waiting import eventually
from workers.application import make_app

AT = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)
HINTS = [Hint("send", (SlotId(number, AT),), f"{number}") for number in (1, 2, 3)]


class Recorder:
    """A broker that notes what it is given and when, or refuses."""

    def __init__(self) -> None:
        self.pushed: list[tuple[float, str]] = []
        self.broken = False

    def prepare(self, hints: Sequence[Hint]) -> Parcel:
        return Parcel(len(hints), [hint.told for hint in hints])

    def push(self, parcels: Sequence[Parcel]) -> None:
        if self.broken:
            raise ConnectionError("gone")
        self.pushed += [(clock().monotonic(), told) for parcel in parcels for told in parcel.content]

    def depths(self, queues: Sequence[str]) -> dict[str, int]:
        if self.broken:
            raise ConnectionError("gone")
        return dict.fromkeys(queues, 0)

    def close(self) -> None:
        return None

    @property
    def told(self) -> list[str]:
        return [told for _, told in self.pushed]


@pytest.fixture
def queue(redis_url: str) -> Iterator[Queue]:
    client = redis.Redis.from_url(redis_url)
    yield Queue(client)
    client.close()


@pytest.fixture
def recorder(env: dict[str, str]) -> Recorder:
    return Recorder()


@pytest.fixture
def publisher(recorder: Recorder) -> Iterator[Publisher]:
    made = Publisher(recorder, stale_s=0.5)
    yield made
    made.close(3.0)


@pytest.fixture
def memory(env: dict[str, str]) -> Celery:
    """Our app on kombu's memory transport, which stands for every broker that is not Redis."""
    app = make_app()
    app.conf.update(broker_url="memory://")
    return app


def test_redis_gets_the_straight_way_and_every_other_broker_goes_by_kombu(
    env: dict[str, str], memory: Celery
) -> None:
    assert isinstance(broker_of(make_app()), RedisBroker)
    assert isinstance(broker_of(memory), KombuBroker)
    prefixed = make_app()
    prefixed.conf.broker_transport_options = {"global_keyprefix": "theirs:"}
    assert isinstance(broker_of(prefixed), KombuBroker)


def test_any_broker_of_kombu_gets_the_same_task(memory: Celery) -> None:
    broker = broker_of(memory)
    assert broker.depths(["send"]) == {"send": 0}
    broker.push([broker.prepare(HINTS)])
    heard: list[tuple[Any, kombu.Message]] = []
    with memory.connection_for_read() as connection:
        queue = memory.amqp.queues["send"]
        with kombu.Consumer(
            connection, [queue], callbacks=[lambda body, message: heard.append((body, message))]
        ):
            while len(heard) < 3:
                connection.drain_events(timeout=5)
    assert [body[0] for body, _ in heard] == [[hint.body()] for hint in HINTS]
    assert [message.headers["task"] for _, message in heard] == ["jeongsi.slot.send"] * 3
    assert [message.headers["argsrepr"] for _, message in heard] == ["1", "2", "3"]
    broker.close()


def test_parcels_arrive_whole_and_in_order(redis_url: str, queue: Queue) -> None:
    broker = RedisBroker(redis_url)
    many = [Hint("send", (SlotId(number, AT),), f"{number}") for number in range(1, 1202)]
    confirm = Hint("confirm", (SlotId(7, AT),), "7")

    broker.push([broker.prepare([*many[:1100], confirm]), broker.prepare(many[1100:])])

    assert queue.slots() == [str(hint.slots[0]) for hint in many]
    assert Queue(queue.client, "confirm").slots() == [str(confirm.slots[0])]
    broker.close()


def test_after_a_refusal_no_answer_is_taken_for_a_later_one(redis_url: str, queue: Queue) -> None:
    broker = RedisBroker(redis_url)
    queue.client.set("send", "not a list")
    with pytest.raises(redis.ResponseError):
        broker.push([broker.prepare(HINTS[:1]), broker.prepare(HINTS[1:])])
    queue.client.delete("send")

    broker.push([broker.prepare(HINTS[:2])])

    assert broker.depths(["send", "confirm"]) == {"send": 2, "confirm": 0}
    broker.close()


def test_what_is_prepared_goes_out_at_its_time_and_what_is_due_at_once(
    publisher: Publisher, recorder: Recorder
) -> None:
    now = clock().monotonic()
    publisher.put(Batch(now + 0.3, recorder.prepare(HINTS[:1]), "ahead"))
    publisher.put(Batch(now + 0.2, recorder.prepare(HINTS[1:2]), "ahead"))
    publisher.put(Batch(now, HINTS[2:], "due"))
    eventually(lambda: len(recorder.pushed) == 3, 3.0)
    assert recorder.told == ["3", "2", "1"]
    assert recorder.pushed[1][0] >= now + 0.2
    assert recorder.pushed[2][0] >= now + 0.3


def test_what_was_prepared_too_long_ago_is_thrown_away(publisher: Publisher, recorder: Recorder) -> None:
    with captured() as told:
        publisher.put(Batch(clock().monotonic() - 1.0, recorder.prepare(HINTS), "ahead"))
        eventually(lambda: told, 3.0)
    assert [event for event, _ in told] == [Event.PREPARED_DROPPED]
    assert recorder.pushed == []


def test_what_waits_for_its_time_can_be_dropped(publisher: Publisher, recorder: Recorder) -> None:
    publisher.put(Batch(clock().monotonic() + 60, recorder.prepare(HINTS), "ahead"))
    assert publisher.drop_ahead() == 3
    assert recorder.pushed == []


def test_too_much_waiting_is_refused(publisher: Publisher, recorder: Recorder) -> None:
    much = Parcel(60_000, ["x"])
    assert publisher.put(Batch(clock().monotonic() + 60, much, "ahead"))
    assert not publisher.put(Batch(clock().monotonic() + 60, much, "ahead"))
    publisher.drop_ahead()


def test_a_broker_that_comes_back_is_told_of_once(publisher: Publisher, recorder: Recorder) -> None:
    with captured() as told:
        recorder.broken = True
        for _ in range(3):
            publisher.put(Batch(clock().monotonic(), recorder.prepare(HINTS)))
        assert publisher.look(0.3) is None
        recorder.broken = False
        assert publisher.look(3.0) is not None
    assert [event for event, _ in told if event.value.startswith("redis")] == [
        Event.REDIS_GONE,
        Event.REDIS_BACK,
    ]
    assert recorder.pushed == []  # what failed is left to republish, never tried twice


def test_closing_pushes_what_is_about_to_be_due(recorder: Recorder, env: dict[str, str]) -> None:
    publisher = Publisher(recorder, stale_s=2.0)
    publisher.put(Batch(clock().monotonic() + 0.2, recorder.prepare(HINTS), "ahead"))
    publisher.close(3.0)
    assert len(recorder.pushed) == 3
    assert not publisher.put(Batch(0.0, recorder.prepare(HINTS)))
