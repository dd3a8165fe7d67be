"""`celery -A ops.chaos.variants.lock_only worker -Q send`: workers that are guarded by a lock alone.

SET NX with a lifetime, send, mark as done. It takes the very hints of the beat and speaks to the very
bridge, so that nothing differs but the guard. Dying between send and mark, or a lock that ends while its
holder lies stopped, and the next hint sends again.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from contextlib import suppress
from typing import Any

import redis
import requests
from celery import Celery
from celery.signals import worker_ready
from kombu import Exchange, Queue

from ops.chaos.variants import refuse_production
from runtime import database, redis_keys
from runtime.clock import clock
from runtime.failpoints import hit
from runtime.ids import SlotId
from runtime.redis_client import lock_redis
from runtime.settings import get_settings
from tasks.hints import read_hint

_FIND = """
SELECT r.channel, r.room_id, k.message_text FROM slots s JOIN rooms r ON r.id = s.room_ref
  JOIN kb_schedule k ON k.id = s.schedule_id
 WHERE s.schedule_id = %s AND s.slot_at = %s AND s.ended_at IS NULL
   AND NOT EXISTS (SELECT 1 FROM old_style_done d WHERE d.slot = %s)"""


def configuration() -> dict[str, Any]:
    """Celery's settings, read when it first needs them. Raises SettingsError in production."""
    refuse_production()
    return {
        "broker_url": get_settings().needed_redis_url(), "task_ignore_result": True,
        "worker_pool": "threads", "worker_prefetch_multiplier": 1,
        "task_queues": [Queue("send", Exchange(""), routing_key="send")],
        "broker_connection_retry_on_startup": True, "worker_enable_remote_control": False,
    }  # fmt: skip


app = Celery("old-style")
app.add_defaults(configuration)


@worker_ready.connect
def _ready(sender: Any = None, **_: Any) -> None:
    if sender.app is not app:
        return
    threading.Thread(target=_live, name="heartbeat", daemon=True).start()


def _live() -> None:
    """Tell Redis that it lives, as our own workers do: beats count the threads on a queue."""
    while True:
        word = {"at": clock().now().timestamp(), "threads": 4, "free": 4, "service_ms": {}}
        with suppress(redis.RedisError):
            lock_redis().hset(redis_keys.workers("send"), f"old-style:{os.getpid()}", json.dumps(word))
        clock().wait(1.0)


@app.task(name="jeongsi.slot.send")
def send(hint: Any = None, *_: Any, **__: Any) -> None:
    """Send each slot of a hint under its lock."""
    for slot in read_hint(hint, "send"):
        lock = f"old-style:lock:{slot}"
        if lock_redis().set(lock, "1", nx=True, px=int(get_settings().lock_ttl_s * 1000)):
            _send(slot)
            lock_redis().delete(lock)


def _send(slot: SlotId) -> None:
    with database.pool().connection() as db:
        found = db.execute(_FIND, (*slot, str(slot))).fetchone()
    if found is None:
        return
    channel, room, text = found
    url = f"{get_settings().emulator_url}/{channel.removeprefix('emulator-')}/v1/rooms/{room}/text"
    headers = {"Idempotency-Key": str(slot), "X-Attempt-Id": str(uuid.uuid4())}
    requests.post(url, json={"text": text}, headers=headers, timeout=get_settings().http_deadline_s)
    hit("send.replied")
    with database.pool().connection() as db:
        db.execute("INSERT INTO old_style_done VALUES (%s) ON CONFLICT DO NOTHING", (str(slot),))
