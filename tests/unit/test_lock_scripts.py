"""The lock's scripts and what is made of lost replies, on a Redis in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
import redis

from runtime import redis_keys
from runtime.clock import ManualClock, set_clock
from tasks.locks import SlotLocks
from tests.support.slots import NINE, slot_at

ONE, TWO = slot_at(1), slot_at(2)


@pytest.fixture
def server() -> fakeredis.FakeServer:
    return fakeredis.FakeServer()


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    manual = ManualClock(NINE)
    set_clock(manual)
    yield manual
    set_clock(None)


def worker(server: fakeredis.FakeServer, client: type[Any] = fakeredis.FakeRedis) -> SlotLocks:
    return SlotLocks(client(server=server, decode_responses=True), ttl_ms=3000)


def test_a_slot_has_one_holder(server: fakeredis.FakeServer) -> None:
    first, second = worker(server), worker(server)
    assert first.acquire([ONE, TWO]) == [ONE, TWO]
    assert second.acquire([ONE, slot_at(3)]) == [slot_at(3)]
    first.release([ONE])
    assert second.acquire([ONE, TWO]) == [ONE]


def test_nobody_releases_or_lengthens_anothers_lock(server: fakeredis.FakeServer) -> None:
    first, second = worker(server), worker(server)
    first.acquire([ONE])
    key = redis_keys.slot_lock(ONE)
    first.client.pexpire(key, 500)
    second.extend([ONE])
    second.release([ONE])
    assert 0 < first.client.pttl(key) <= 500
    first.extend([ONE])
    assert first.client.pttl(key) > 2000


def test_a_lock_ends_by_itself(server: fakeredis.FakeServer) -> None:
    first = worker(server)
    first.acquire([ONE])
    assert 0 < first.client.pttl(redis_keys.slot_lock(ONE)) <= 3000


def test_a_lock_that_is_gone_is_not_taken_back(server: fakeredis.FakeServer) -> None:
    first, second = worker(server), worker(server)
    first.acquire([ONE])
    first.client.flushall()
    assert second.acquire([ONE]) == [ONE]
    first.extend([ONE])
    first.release([ONE])
    assert second.client.get(redis_keys.slot_lock(ONE)) == second.token


class LosesReplies(fakeredis.FakeRedis):
    """Does what it is told and says that it could not."""

    def pipeline(self, *args: Any, **kwargs: Any) -> Any:
        real = super().pipeline(*args, **kwargs)
        honest = real.execute

        def execute(*more: Any, **options: Any) -> Any:
            honest(*more, **options)
            raise redis.TimeoutError

        real.execute = execute  # type: ignore[method-assign]
        return real


def test_a_lost_reply_is_asked_for_and_our_own_token_means_ours(server: fakeredis.FakeServer) -> None:
    other = worker(server)
    other.acquire([TWO])
    assert worker(server, LosesReplies).acquire([ONE, TWO]) == [ONE]


def test_while_redis_is_away_everything_may_be_worked_on_and_it_is_not_asked_each_time(
    server: fakeredis.FakeServer, clock: ManualClock
) -> None:
    locks = worker(server)
    server.connected = False
    assert locks.acquire([ONE, TWO]) == [ONE, TWO]
    locks.extend([ONE])
    locks.release([ONE])
    server.connected = True
    assert locks.acquire([ONE]) == [ONE]
    assert locks.client.exists(redis_keys.slot_lock(ONE)) == 0  # within a second it was not asked again
    clock.advance(1.1)
    assert locks.acquire([ONE]) == [ONE]
    assert locks.client.exists(redis_keys.slot_lock(ONE)) == 1
