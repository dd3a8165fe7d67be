"""A worker process from start to stop: heartbeat, watch on Redis, polling while it is away, graceful end."""

from __future__ import annotations

import gc
import json
import threading
from contextlib import suppress
from typing import Any

import redis
from celery.signals import worker_init, worker_shutdown, worker_shutting_down

from gateways.errors import GatewayError
from gateways.registry import adapter_for
from models import version
from models.ledger import worker as ledger
from models.ledger.worker import Settle
from models.states import Phase, SlotState
from runtime import database, redis_keys
from runtime.events import Event, emit
from runtime.ids import SlotId, from_ms
from runtime.redis_client import lock_redis
from tasks.carry import CONFIRM, SEND, SlotsFailed, Way, carry
from tasks.engine import Engine, engine, stop_engine

_WAYS = {"send": SEND, "confirm": CONFIRM}
_HEARTBEAT_S = 1.0
_POLL_S = 0.5
_HEARTBEAT_LIFE_S = 3600
_COLLECT_AFTER = 50_000  # new objects; Python's own 700 is a collection every other send
_NOBODY = SlotId(1, from_ms(0))  # no slot: what is asked about it costs a round trip and changes nothing


class Watch:
    """One thread per worker: tells Redis that it lives, and takes slots from Postgres while Redis is away."""

    def __init__(self, rt: Engine, queues: list[str]) -> None:
        self._rt = rt
        self._queues = queues
        self._ways = [_WAYS[queue] for queue in queues if queue in _WAYS]
        self._gone_since: float | None = None
        self._polling = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin; ends by the engine's stop flag."""
        self._thread.start()

    def _run(self) -> None:
        while not self._rt.stopping.is_set():
            self.once()
            self._rt.clock.wait(_POLL_S if self._polling else _HEARTBEAT_S, self._rt.stopping)

    def once(self) -> None:
        """One round. Never raises."""
        try:
            self._beat()
            self._came_back()
        except redis.RedisError as error:
            self._went_away(error)
        except Exception as error:
            emit(Event.TASK_SURPRISED, task="watch", error=repr(error))
        if self._polling:
            self._poll()

    def _beat(self) -> None:
        client = lock_redis()
        word = json.dumps(
            {
                "at": self._rt.clock.now().timestamp(),
                "threads": self._rt.settings.worker_concurrency,
                "free": self._rt.free_threads(),
                "service_ms": self._rt.service_times.in_ms(),
            }
        )
        pipe = client.pipeline(transaction=False)
        for queue in self._queues:
            pipe.hset(redis_keys.workers(queue), self._rt.node, word)
            pipe.expire(redis_keys.workers(queue), _HEARTBEAT_LIFE_S)
        pipe.execute()

    def _went_away(self, error: Exception) -> None:
        now = self._rt.clock.monotonic()
        if self._gone_since is None:
            self._gone_since = now
            emit(Event.REDIS_GONE, error=repr(error))
        if not self._polling and now - self._gone_since >= self._rt.settings.redis_gone_s:
            self._polling = True
            emit(Event.POLLING_LEDGER, node=self._rt.node)

    def _came_back(self) -> None:
        if self._gone_since is not None:
            emit(Event.REDIS_BACK, gone_s=round(self._rt.clock.monotonic() - self._gone_since, 1))
        self._gone_since, self._polling = None, False

    def _poll(self) -> None:
        """The work itself runs aside, so that this thread keeps looking whether Redis is back."""
        for way in self._ways:
            free = self._rt.free_threads()
            if free < 1:
                return
            try:
                found = database.retrying(lambda db, way=way, free=free: ledger.poll(db, way.phase, free))  # type: ignore[misc]
            except Exception as error:
                emit(Event.LEDGER_GONE, error=repr(error))
                return
            if found:
                threading.Thread(target=self._carry, args=(found, way), daemon=True).start()

    def _carry(self, slots: list[Any], way: Way) -> None:
        able = self._rt.take(len(slots))
        try:
            if able:
                carry(self._rt, slots[:able], way)
        except SlotsFailed:
            pass  # told to the log; Flower is blind while Redis is away
        except Exception as error:
            emit(Event.TASK_SURPRISED, task=f"poll {Phase(way.phase)}", error=repr(error))
        finally:
            self._rt.give_back()


def look_at_schema() -> None:
    """Tell, not refuse: while a new version is rolled out, old processes meet a newer database."""
    try:
        with database.pool().connection() as db:
            version.check(db)
    except version.MigrationNeeded as needed:
        emit(Event.SCHEMA_DIFFERS, reason=str(needed))
    except Exception as error:
        emit(Event.LEDGER_GONE, error=repr(error))


def warm_up(rt: Engine) -> None:
    """Pay for what the first send would else pay for: capabilities, imports, connections. Never raises."""
    for channel in rt.settings.channels():
        try:
            adapter_for(channel).capabilities()
        except GatewayError as error:
            emit(Event.CHANNEL_DOWN, channel=channel, reason=str(error))
    with suppress(Exception):
        database.retrying(lambda db: ledger.lease(db, [_NOBODY], rt.owner, rt.settings.lease_s))
    with suppress(Exception):
        rt.committer.settle(Settle(_NOBODY, 0, SlotState.WAITING, "warm_up"))
    rt.locks.release([_NOBODY])
    spare_the_collector()


def spare_the_collector() -> None:
    """What is loaded by now stays: the garbage collector need not walk it again and again. 5 % of a send."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def leave(rt: Engine, queues: list[str]) -> None:
    """Take this worker out of the heartbeats, so that nobody counts on its threads."""
    with suppress(redis.RedisError):
        for queue in queues:
            lock_redis().hdel(redis_keys.workers(queue), rt.node)


_queues: list[str] = []


@worker_init.connect
def _started(sender: Any = None, **_: Any) -> None:
    _queues[:] = list(sender.app.amqp.queues.consume_from)
    if not set(_queues) & set(_WAYS):
        return  # a worker for uploads or upkeep carries no slots
    rt = engine()
    look_at_schema()
    emit(Event.WORKER_STARTED, node=rt.node, queues=",".join(_queues))
    Watch(rt, list(_queues)).start()
    threading.Thread(target=warm_up, args=(rt,), name="warm-up", daemon=True).start()


@worker_shutting_down.connect
def _stopping(**_: Any) -> None:
    if not set(_queues) & set(_WAYS):
        return
    rt = engine()
    rt.stopping.set()
    emit(Event.WORKER_STOPPING, node=rt.node, running=rt.settings.worker_concurrency - rt.free_threads())


@worker_shutdown.connect
def _stopped(**_: Any) -> None:
    if not set(_queues) & set(_WAYS):
        return
    rt = engine()
    leave(rt, list(_queues))
    stop_engine()
    emit(Event.WORKER_STOPPED, node=rt.node)
