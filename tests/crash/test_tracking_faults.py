"""Uploads by real workers while servers, workers and PlayAuto itself fail in the middle of a run.

By PlayAuto's receipts every number is stored once and passed on once, none is lost or overwritten, and every
run ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
import redis

from ops.emulator import Emulator, Rule
from tests.support import databases
from tests.support.hinting import Hinting
from tests.support.own_servers import OwnServers
from tests.support.processes import Processes, TestProcess
from tests.support.uploading import SCALED, Uploading
from tests.support.waiting import eventually

QUIET = ("-c", "2", "--without-gossip", "--without-mingle")
ORDERS = 300
FAULTS = ("500_before", "500_after", "accept_then_drop", "slow_after", "429", "cut_body", "reset_after")
OVER_S = 60.0


@pytest.fixture
def env(scaled_env: dict[str, str], emulator: Emulator) -> dict[str, str]:
    """What every child process gets."""
    return {**scaled_env, **SCALED, "PLAYAUTO_API_URL": f"{emulator.url}/playauto"}


@pytest.fixture
def up(env: dict[str, str], emulator: Emulator) -> Iterator[Uploading]:
    with databases.connect(env["DATABASE_URL"]) as db:
        yield prepared(db, emulator)


def prepared(db: psycopg.Connection, emulator: Emulator) -> Uploading:
    """An account with orders, and a PlayAuto that takes its time, so that a run can be met in its middle."""
    one = Uploading(db, emulator.playauto())
    one.account(batch_size=10, retry_count=5)
    one.orders(ORDERS, instructed=False)
    one.playauto.rules.latency_s = 0.1
    return one


def two_workers(processes: Processes) -> list[TestProcess]:
    started = [processes.worker("tracking", *QUIET, wait=False) for _ in range(2)]
    for one in started:
        one.wait_for_line(" ready.")
    return started


def in_the_middle(up: Uploading, number: int) -> None:
    eventually(lambda: up.job(number).success >= ORDERS // 10, OVER_S, message=lambda: str(up.left(number)))


def assert_done(up: Uploading, number: int) -> None:
    ended = up.until_over(number, OVER_S)
    assert (ended.status, ended.reason, ended.success) == ("completed", "done", ORDERS), up.left(number)
    up.assert_each_once(ORDERS)


def test_two_workers_that_begin_the_same_run_begin_one_and_one_may_die(
    up: Uploading, processes: Processes
) -> None:
    victim, _ = two_workers(processes)
    slot = up.due_slot(up.value("SELECT id FROM tracking_upload_scheduler"))
    with closing(Hinting()) as hinting:
        for _ in range(6):
            hinting.raw("jeongsi.tracking.run", [{"v": 1, "slots": [str(slot)]}], "tracking")
    number = up.value_soon("SELECT id FROM tracking_upload_jobs")
    in_the_middle(up, number)
    victim.kill9()
    assert_done(up, number)
    assert up.value("SELECT count(*) FROM tracking_upload_jobs") == 1


def test_a_worker_that_stood_still_past_its_lease_does_nothing_twice(
    up: Uploading, processes: Processes
) -> None:
    sleeper, _ = two_workers(processes)
    number = up.start()
    in_the_middle(up, number)
    sleeper.pause()
    assert up.until_over(number, OVER_S).success == ORDERS
    sleeper.resume()
    assert sleeper.terminate(timeout=30) == 0
    assert_done(up, number)


def test_a_playauto_that_fails_in_every_way_before_and_after_the_effect(
    up: Uploading, processes: Processes, emulator: Emulator
) -> None:
    for fault in FAULTS:
        for path in ("setInvoice", "addWorkSelect", "instruction", "/orders"):
            delay = {"delay_s": 2.5} if fault == "slow_after" else {}
            emulator.faults.add(Rule(fault, path=path, count=1, **delay))  # type: ignore[arg-type]
    two_workers(processes)
    number = up.start()
    in_the_middle(up, number)
    up.playauto.expire_tokens()
    ended = up.until_over(number, OVER_S)
    assert ended.success == ORDERS, up.left(number)
    summary = up.playauto.changes.summary()
    assert (summary["stored_again"], summary["overwritten"], summary["sent_again"]) == (0, 0, 0)
    assert (summary["stored"], summary["sent"]) == (ORDERS, ORDERS)


@pytest.fixture
def own(own_env: dict[str, str], emulator: Emulator, processes: Processes) -> Iterator[tuple[Uploading, str]]:
    """A world on servers that the test may stop, and the database's address."""
    processes.env |= {**SCALED, "PLAYAUTO_API_URL": f"{emulator.url}/playauto"}
    with databases.connect(own_env["DATABASE_URL"]) as db:
        yield prepared(db, emulator), own_env["DATABASE_URL"]


@pytest.mark.embedded_only
def test_redis_loses_everything_in_the_middle_of_a_run(
    own: tuple[Uploading, str], own_servers: OwnServers, processes: Processes
) -> None:
    up, _ = own
    two_workers(processes)
    number = up.start()
    in_the_middle(up, number)
    with redis.Redis.from_url(own_servers.redis_url) as client:
        client.flushall()
    assert_done(up, number)


@pytest.mark.embedded_only
def test_redis_dies_in_the_middle_of_a_run(
    own: tuple[Uploading, str], own_servers: OwnServers, processes: Processes
) -> None:
    up, _ = own
    two_workers(processes)
    number = up.start()
    in_the_middle(up, number)
    own_servers.valkey.kill()
    assert_done(up, number)


@pytest.mark.embedded_only
def test_postgres_is_killed_and_comes_back_in_the_middle_of_a_run(
    own: tuple[Uploading, str], own_servers: OwnServers, processes: Processes
) -> None:
    up, address = own
    workers = two_workers(processes)
    number = up.start()
    in_the_middle(up, number)
    own_servers.postgres.kill()
    own_servers.postgres.start()
    with databases.connect(address) as db:
        databases.vouch_for(address)
        assert_done(Uploading(db, up.playauto), number)
    assert all(one.running for one in workers)
    assert [one.terminate(timeout=30) for one in workers] == [0, 0]


def test_a_worker_that_is_asked_to_stop_ends_what_is_under_way(up: Uploading, processes: Processes) -> None:
    leaver, _ = two_workers(processes)
    number = up.start()
    in_the_middle(up, number)
    assert leaver.terminate(timeout=20) == 0
    assert_done(up, number)


def test_the_receipts_tell_of_a_number_that_was_passed_on_twice(up: Uploading, processes: Processes) -> None:
    """The control: with less patience than PlayAuto's jobs need the same checks fail."""
    up.playauto.rules.job_delay_s = 3.0
    processes.worker("tracking", *QUIET, JEONGSI_TRACKING_CONFIRM_S="0.1")
    up.until_over(up.start(), OVER_S)
    eventually(lambda: up.playauto.changes.summary()["sent_again"] > 0, OVER_S)
    with pytest.raises(AssertionError):
        up.assert_each_once(ORDERS)
