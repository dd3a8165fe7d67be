"""Envelopes made in bulk are what kombu would have written, and what a worker reads."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import kombu
import redis
from celery import Celery

from beat.envelope import Hint, envelopes
from runtime.ids import SlotId
from workers.application import make_app

AT = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)
TOLD = '정각 알림 "1" · 본사 방 · 11-21 09:00:00'
HINT = Hint("send", (SlotId(812, AT), SlotId(813, AT)), TOLD)
RANDOM = ("id", "root_id", "correlation_id", "delivery_tag")


def app_of(env: dict[str, str]) -> Celery:
    return make_app()


def published_by_celery(app: Celery, hint: Hint, client: redis.Redis) -> dict[str, Any]:
    app.send_task(hint.task, [hint.body()], {}, ignore_result=True)
    raw = client.rpop(hint.queue)
    assert isinstance(raw, bytes)
    found: dict[str, Any] = json.loads(raw)
    return found


def unpacked(message: dict[str, Any]) -> dict[str, Any]:
    """Everything in a message but what is random, with the body decoded."""
    ids = [message["headers"].pop("id"), message["headers"].pop("root_id")]
    ids += [message["properties"].pop("correlation_id")]
    assert len(set(ids)) == 1
    assert len(ids[0]) == 36
    assert len(message["properties"].pop("delivery_tag")) == 36
    return {**message, "body": json.loads(base64.b64decode(message["body"]))}


def test_an_envelope_equals_one_that_celery_published(env: dict[str, str], redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    for queue in ("send", "confirm", "tracking"):
        hint = Hint(queue, HINT.slots, TOLD)
        real = published_by_celery(app_of(env), hint, client)
        (ours,) = envelopes([hint], real["headers"]["origin"])
        made = json.loads(ours)
        assert list(made) == list(real)
        assert list(made["headers"]) == list(real["headers"])
        assert sorted(made["properties"]) == sorted(real["properties"])
        real["headers"]["argsrepr"] = TOLD  # what Flower shows is our own sentence
        real["properties"]["reply_to"] = ""  # where a result would go; a hint has none
        assert unpacked(made) == unpacked(real)
    client.close()


def test_every_envelope_has_an_id_of_its_own() -> None:
    made = [json.loads(raw) for raw in envelopes([HINT] * 100, "gen1@host")]
    assert len({message["headers"]["id"] for message in made}) == 100
    assert len({message["properties"]["delivery_tag"] for message in made}) == 100


def test_a_consumer_of_kombu_decodes_it_and_leaves_nothing_behind(
    env: dict[str, str], redis_url: str
) -> None:
    client = redis.Redis.from_url(redis_url)
    client.lpush("send", *envelopes([HINT], "gen1@host"))
    heard: list[tuple[Any, kombu.Message]] = []
    with app_of(env).connection_for_read() as connection:
        queue = kombu.Queue("send", kombu.Exchange(""), routing_key="send")
        with kombu.Consumer(
            connection, [queue], callbacks=[lambda body, message: heard.append((body, message))]
        ):
            connection.drain_events(timeout=5)
            body, message = heard[0]
            message.ack()
    assert body == [
        [{"v": 1, "slots": ["812-1795219200000", "813-1795219200000"]}],
        {},
        {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
    ]
    assert message.headers["argsrepr"] == TOLD
    assert message.headers["task"] == "jeongsi.slot.send"
    assert client.hlen("unacked") == 0
    client.close()
