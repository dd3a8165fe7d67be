"""One account's token, shared by all workers through Redis, sealed.

Redis spares logins, no more: while it is away, or cannot be sealed for, each process has a token of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import redis

from runtime import redis_keys
from runtime.environment import SettingsError
from runtime.redis_client import lock_redis
from runtime.sealing import Unsealable, seal, unseal

#: Below what others wait for it (tokens._WAIT_S): a worker that dies in its login shuts no account. A
#: login that takes longer may be doubled, which does no harm.
LOCK_S = 8.0
_NOBODY = (redis.RedisError, SettingsError, Unsealable, ValueError)


class SharedToken:
    """The newest token of `account` (`Account.id`)."""

    def __init__(self, account: str) -> None:
        self._key = redis_keys.playauto_token(account)
        self._lock = redis_keys.playauto_login(account)

    def load(self) -> tuple[str, float] | None:
        """The token and how many seconds it still has; None if there is none that this process can read."""
        try:
            pipe = lock_redis().pipeline(transaction=False)
            pipe.get(self._key)
            pipe.pttl(self._key)
            sealed, left_ms = pipe.execute()
            return (unseal(sealed.encode()), left_ms / 1000) if sealed and left_ms > 0 else None
        except _NOBODY:
            return None

    def save(self, token: str, life_s: float) -> None:
        """Keep a new token for everybody."""
        with suppress(*_NOBODY):
            lock_redis().set(self._key, seal(token).decode(), px=int(life_s * 1000))

    @contextmanager
    def logging_in(self, wait_s: float) -> Iterator[bool]:
        """Held by one process at a time; False: another one logs in, and did not end within `wait_s`."""
        try:
            lock = lock_redis().lock(self._lock, timeout=LOCK_S, sleep=0.05, thread_local=False)
            mine = lock.acquire(blocking=wait_s > 0, blocking_timeout=wait_s)
        except (redis.RedisError, SettingsError):
            yield True  # nobody can say who else does; a second login does no harm
            return
        try:
            yield mine
        finally:
            if mine:
                with suppress(redis.RedisError):
                    lock.release()
