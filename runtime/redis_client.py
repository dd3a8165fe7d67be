"""Redis clients, one of a kind per process, made at first use."""

from __future__ import annotations

import os
import threading

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

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


def _client(kind: str, *, socket_timeout: float, connect_timeout: float, text: bool) -> redis.Redis:
    key = (os.getpid(), kind)  # a forked child must not share its parent's socket
    client = _clients.get(key)
    if client is None:
        with _guard:
            client = _clients.get(key) or redis.Redis.from_url(
                get_settings().needed_redis_url(),
                socket_timeout=socket_timeout,
                socket_connect_timeout=connect_timeout,
                socket_keepalive=True,
                retry=Retry(NoBackoff(), 0),
                decode_responses=text,
            )
            _clients[key] = client
    return client
