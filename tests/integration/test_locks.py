"""The slot's Redis lock in both directions: what it gives while Redis is up, and that nothing rests on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from ops.emulator import Rule
from runtime import redis_keys
from runtime.clock import SystemClock
from runtime.events import Event, captured
from tasks.carry import SEND, carry
from tasks.locks import SlotLocks
from tests.support.sending import Sending
from tests.support.slots import slot_at
from tests.support.waiting import eventually


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    one = redis.Redis.from_url(redis_url, decode_responses=True)
    yield one
    one.close()


def test_while_redis_is_up_no_two_owners_are_ever_inside(client: redis.Redis) -> None:
    slots = [slot_at(n) for n in range(5)]
    inside = dict.fromkeys(slots, 0)
    most, entered, guard = [0], [0], threading.Lock()

    def work(_: int) -> None:
        locks = SlotLocks(client, ttl_ms=10_000)
        for _round in range(30):
            held = locks.acquire(slots)
            with guard:
                for slot in held:
                    inside[slot] += 1
                    entered[0] += 1
                most[0] = max(most[0], *inside.values())
            with guard:
                for slot in held:
                    inside[slot] -= 1
            locks.release(held)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))

    assert most == [1]
    assert entered[0] > 100
    assert client.keys() == []


def test_a_lock_lives_while_it_is_lengthened_and_ends_soon_after(client: redis.Redis) -> None:
    first, second, slot = SlotLocks(client, ttl_ms=250), SlotLocks(client, ttl_ms=250), slot_at(0)
    assert first.acquire([slot]) == [slot]
    for _ in range(4):
        SystemClock().wait(0.1)
        first.extend([slot])
        assert second.acquire([slot]) == []
    eventually(lambda: second.acquire([slot]) == [slot], timeout=1.0)
    first.release([slot])
    assert client.get(redis_keys.slot_lock(slot)) == second.token


def test_a_tripled_hint_asks_the_ledger_once(make_sending: Callable[[], Sending]) -> None:
    workers = [make_sending() for _ in range(3)]
    workers[0].emulator.faults.add(Rule("slow_after", delay_s=0.3))
    slot = workers[0].promise("방", "emulator-none")
    workers[0].due()

    with captured() as heard, ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda one: carry(one.rt, [slot], SEND), workers))

    events = [event for event, _ in heard]
    assert events.count(Event.LOCKED_ELSEWHERE) == 2
    assert Event.LEASE_REFUSED not in events
    assert (workers[0].state(slot), workers[0].receipts()) == ("delivered", 1)


@pytest.mark.embedded_only
def test_with_redis_flushed_in_the_middle_of_a_send_the_second_worker_stops_at_the_lease(
    make_sending: Callable[[], Sending], client: redis.Redis
) -> None:
    first, second = make_sending(), make_sending()
    first.emulator.faults.add(Rule("slow_after", delay_s=0.4))
    slot = first.promise("방", "emulator-none")
    first.tick()
    eventually(lambda: first.receipts() == 1)
    assert client.exists(redis_keys.slot_lock(slot)) == 1
    client.flushdb()

    with captured() as heard:
        assert carry(second.rt, [slot], SEND) == {}

    refused = [fields["reason"] for event, fields in heard if event is Event.LEASE_REFUSED]
    assert refused == ["taken"]
    first.join()
    assert (first.state(slot), first.receipts()) == ("delivered", 1)
