"""A worker that takes from `notify` also watches and delivers, on threads of its own, until it stops."""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import suppress
from typing import Any

import psycopg
import redis
from celery.signals import worker_init, worker_shutdown, worker_shutting_down

from models.ledger import notices
from runtime import database, redis_keys
from runtime.clock import clock
from runtime.events import Event, emit
from runtime.redis_client import lock_redis
from runtime.settings import Settings, get_settings
from tasks.notice_blackout import Blackout
from tasks.notice_delivery import Deliveries, keep_settings_targets
from tasks.notice_watch import Watch

QUEUE = "notify"
_ROUND_S = 1.0
_PRUNE_S = 3600.0
_STOP_S = 2.0
_COMPLAIN_S = 60.0
_HEARTBEAT_LIFE_S = 3600


class Life:
    """The rounds: a sign of life and what may be sent every second, a look every JEONGSI_NOTICE_WATCH_S."""

    def __init__(self, settings: Settings, *, heartbeat: bool) -> None:
        self._settings = settings
        self._heartbeat = heartbeat
        self._node = f"{socket.gethostname()}:{os.getpid()}"
        self._deliveries = Deliveries(settings)
        self._watch = Watch(settings)
        self._blackout = Blackout(settings)
        self._watches = True
        self._complained = ("", 0.0)
        self._look_at = self._prune_at = clock().monotonic()
        # Where all is started at once, beats and workers get their time before anybody calls them dead.
        self._calm_until = clock().monotonic() + settings.notice_late_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def start(self) -> None:
        """Begin; ends by `stop`."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Begin nothing more."""
        self._stopping.set()
        self._deliveries.woken.set()

    def stop(self) -> None:
        """Wait for what is being sent, two seconds at most: its lease lets another process send it."""
        self.ask_to_stop()
        self._thread.join(_STOP_S)
        self._deliveries.wait(_STOP_S)
        if self._heartbeat:
            with suppress(redis.RedisError):
                lock_redis().hdel(redis_keys.workers(QUEUE), self._node)

    def once(self) -> None:
        """One round. Never raises: no failure of a notice may end the thread."""
        try:
            self._show_life()
            if clock().monotonic() >= self._look_at:
                self._look_at = clock().monotonic() + self._settings.notice_watch_s
                self._look()
            self._deliveries.once()
        except Exception as error:
            if database.is_transient(error):
                self._blackout.missed(speaks=self._watches)
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Each kind of trouble once a minute: a round comes every second."""
        name, now = type(error).__name__, clock().monotonic()
        if name != self._complained[0] or now - self._complained[1] >= _COMPLAIN_S:
            self._complained = (name, now)
            said = str(error).splitlines()[:1] if isinstance(error, psycopg.Error) else []
            emit(Event.NOTICE_WATCH_FAILED, error=": ".join([name, *said]))

    def _run(self) -> None:
        woken = self._deliveries.woken
        while not self._stopping.is_set():
            woken.clear()
            self.once()
            clock().wait(_ROUND_S, woken)

    def _look(self) -> None:
        with database.pool().connection() as db:
            keep_settings_targets(db, self._settings)
            self._watches = self._watch.once(db, calm=clock().monotonic() < self._calm_until)
            self._blackout.remember(db)
            if clock().monotonic() >= self._prune_at:
                self._prune_at = clock().monotonic() + _PRUNE_S
                notices.prune(db, self._settings.log_days)

    def _show_life(self) -> None:
        """Where no thread for slots does it already (tasks.lifecycle)."""
        if not self._heartbeat:
            return
        word = {"at": clock().now().timestamp(), "threads": 1, "free": 1, "service_ms": {}}
        with suppress(redis.RedisError):
            lock_redis().hset(redis_keys.workers(QUEUE), self._node, json.dumps(word))
            lock_redis().expire(redis_keys.workers(QUEUE), _HEARTBEAT_LIFE_S)


_life: Life | None = None


@worker_init.connect
def _started(sender: Any = None, **_: Any) -> None:
    global _life
    queues = set(sender.app.amqp.queues.consume_from)
    if QUEUE not in queues:
        return
    _life = Life(get_settings(), heartbeat=not queues & {"send", "confirm"})
    _life.start()


@worker_shutting_down.connect
def _stopping(**_: Any) -> None:
    if _life is not None:
        _life.ask_to_stop()


@worker_shutdown.connect
def _stopped(**_: Any) -> None:
    if _life is not None:
        _life.stop()
