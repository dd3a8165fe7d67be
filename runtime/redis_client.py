"""Redis clients, one of a kind per process, made at first use."""

from __future__ import annotations

import os
import threading
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from runtime.redis_address import is_sentinel, sentinels_of
from runtime.settings import get_settings

_clients: dict[tuple[int, str], redis.Redis] = {}
_guard = threading.Lock()


def lock_redis() -> redis.Redis:
    """For locks and scripts; answers are text. Never retries: a command sent twice after a lost reply

    would see its own lock as somebody else's. Gives up after 1 s. Raises redis.RedisError.
    """
    return _client("lock", socket_timeout=1.0, connect_timeout=1.0, text=True)


def broker_redis() -> redis.Redis:
    """For pushing hints in bulk; answers are bytes. Gives up after 3 s, connecting after 2 s, never retries:
    a doubled hint is harmless, but when to publish again is the beat's decision. Raises redis.RedisError.
    """
    return _client("broker", socket_timeout=3.0, connect_timeout=2.0, text=False)


def reset_clients() -> None:
    """Close the clients; the next use makes new ones from the settings of that moment."""
    with _guard:
        for client in _clients.values():
            client.close()
        _clients.clear()


def client_of(url: str, *, socket_timeout: float, connect_timeout: float, text: bool = False) -> redis.Redis:
    """A client of one Redis, or of whichever is the master now; it never sends anything twice. Seconds."""
    common: dict[str, Any] = {
        "socket_timeout": socket_timeout, "socket_connect_timeout": connect_timeout, "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
    }  # fmt: skip
    if not is_sentinel(url):
        return redis.Redis.from_url(url, **common, decode_responses=text)
    known = sentinels_of(url)
    asked = common | {"password": known.sentinel_password}
    manager = Sentinel(list(known.hosts), sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
    made: redis.Redis = manager.master_for(  # type: ignore[no-untyped-call]
        known.master, db=known.db, username=known.username, password=known.password,
        decode_responses=text, **common,
    )  # fmt: skip
    return made


def _client(kind: str, *, socket_timeout: float, connect_timeout: float, text: bool) -> redis.Redis:
    key = (os.getpid(), kind)  # a forked child must not share its parent's socket
    client = _clients.get(key)
    if client is None:
        with _guard:
            client = _clients.get(key) or client_of(
                get_settings().needed_redis_url(),
                socket_timeout=socket_timeout,
                connect_timeout=connect_timeout,
                text=text,
            )
            _clients[key] = client
    return client
