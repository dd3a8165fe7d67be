"""The slot's Redis lock: keeps two workers from working on one slot. The ledger is what proves it.

The lock spares database work on tripled hints and shows operators who is inside. It gives no safety
(exactly-once.md section 7), so these rules hold: its life is shorter than the lease's, nobody waits
for it, nobody releases another's, and "free to send" is never read from it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import redis

from runtime import redis_keys
from runtime.clock import clock
from runtime.events import Event, emit
from runtime.ids import SlotId

#: Delete the keys that still hold our token; answers how many were ours.
RELEASE = """
local freed = 0
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then freed = freed + redis.call('DEL', key) end
end
return freed
"""

#: Lengthen the keys that still hold our token to ARGV[2] milliseconds; answers 1 or 0 for each.
EXTEND = """
local held = {}
for i, key in ipairs(KEYS) do
  held[i] = 0
  if redis.call('GET', key) == ARGV[1] then held[i] = redis.call('PEXPIRE', key, ARGV[2]) end
end
return held
"""


#: After a failure Redis is not asked for so long: a server that hangs costs its time-out once, not per slot.
AWAY_S = 1.0


class SlotLocks:
    """One process's hold on slot locks. ``token`` tells its locks from everybody else's."""

    def __init__(self, client: redis.Redis, ttl_ms: int) -> None:
        self.client = client
        self.ttl_ms = ttl_ms
        self.token = uuid.uuid4().hex
        self._away_until = 0.0

    def acquire(self, slots: Sequence[SlotId]) -> list[SlotId]:
        """The slots that this process may work on: locked by it now, or all of them while Redis is away.

        A reply that was lost is asked for once: our own token there means that the lock was taken.
        """
        if not slots or self._away():
            return list(slots)
        keys = [redis_keys.slot_lock(slot) for slot in slots]
        try:
            taken = self._set_all(keys)
        except redis.RedisError:
            taken = self._ask_again(keys)
        for slot, ours in zip(slots, taken, strict=True):
            if not ours:
                emit(Event.LOCKED_ELSEWHERE, message_id=str(slot))
        return [slot for slot, ours in zip(slots, taken, strict=True) if ours]

    def extend(self, slots: Sequence[SlotId]) -> None:
        """Lengthen our locks. One that is gone is not taken back: the lease decides by now."""
        self._tell(EXTEND, slots, str(self.ttl_ms))

    def release(self, slots: Sequence[SlotId]) -> None:
        """Give our locks back; silently leaves what is not ours, and what Redis cannot be told."""
        self._tell(RELEASE, slots)

    def _tell(self, script: str, slots: Sequence[SlotId], *more: str) -> None:
        if not slots or self._away():
            return
        keys = [redis_keys.slot_lock(slot) for slot in slots]
        try:
            self.client.eval(script, len(keys), *keys, self.token, *more)
        except redis.RedisError as error:
            self._failed(error)  # locks end by themselves

    def _away(self) -> bool:
        return clock().monotonic() < self._away_until

    def _failed(self, error: redis.RedisError) -> None:
        self._away_until = clock().monotonic() + AWAY_S
        emit(Event.LOCK_DEGRADED, error=repr(error))

    def _set_all(self, keys: list[str]) -> list[bool]:
        pipe = self.client.pipeline(transaction=False)
        for key in keys:
            pipe.set(key, self.token, nx=True, px=self.ttl_ms)
        return [bool(answer) for answer in pipe.execute()]

    def _ask_again(self, keys: list[str]) -> list[bool]:
        try:
            held = self.client.mget(keys)
        except redis.RedisError as error:
            self._failed(error)
            return [True] * len(keys)
        return [value is None or value == self.token for value in held]
