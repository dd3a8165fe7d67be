"""The ledger's time as a beat knows it: never early, and wary of jumps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from beat.ledger_clock import FREEZE_S, LedgerClock
from runtime.clock import ManualClock
from runtime.events import Event, captured

START = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)


class Database:
    """A database whose clock is `ahead_s` of ours and whose answers take `there_s` and `back_s`."""

    def __init__(self, host: ManualClock) -> None:
        self.host = host
        self.ahead_s = 0.0
        self.there_s = self.back_s = 0.001

    def now(self) -> datetime:
        return self.host.now() + timedelta(seconds=self.ahead_s)

    def ask(self) -> datetime:
        self.host.advance(self.there_s)
        told = self.now()
        self.host.advance(self.back_s)
        return told


@pytest.fixture
def host() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def database(host: ManualClock) -> Database:
    return Database(host)


def early_s(clock: LedgerClock, database: Database, host: ManualClock, at: datetime) -> float:
    """How much before ``at``, by the database's clock, a push would go out; negative: after it."""
    host.advance(clock.push_at(at) - host.monotonic())
    return (at - database.now()).total_seconds()


@pytest.mark.parametrize(("there_s", "back_s"), [(0.0, 0.2), (0.2, 0.0), (0.1, 0.1), (0.001, 0.0005)])
def test_a_push_is_never_early_however_uneven_the_round_trip(
    host: ManualClock, database: Database, there_s: float, back_s: float
) -> None:
    database.ahead_s, database.there_s, database.back_s = 7.25, there_s, back_s
    clock = LedgerClock(host)
    assert clock.sample(database.ask)
    early = early_s(clock, database, host, START + timedelta(minutes=1))
    assert -(there_s + back_s) - 1e-6 <= early <= 1e-6


def test_a_quick_round_trip_sharpens_what_a_slow_one_told(host: ManualClock, database: Database) -> None:
    clock = LedgerClock(host)
    database.back_s = 0.5
    clock.sample(database.ask)
    assert clock.error_s > 0.5
    database.back_s = 0.0005
    clock.sample(database.ask)
    assert clock.error_s < 0.003


def test_an_old_sample_is_trusted_less(host: ManualClock, database: Database) -> None:
    clock = LedgerClock(host)
    clock.sample(database.ask)
    sharp = clock.error_s
    host.advance(100)
    database.back_s = 5.0
    clock.sample(database.ask)
    assert sharp < clock.error_s < 0.2


def test_before_the_first_sample_nothing_is_prepared(host: ManualClock) -> None:
    assert LedgerClock(host).frozen


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 2.5])
def test_a_jump_voids_what_was_prepared_and_freezes_for_a_while(
    host: ManualClock, database: Database, jump_s: float
) -> None:
    clock = LedgerClock(host)
    clock.sample(database.ask)
    database.ahead_s += jump_s
    with captured() as told:
        assert not clock.sample(database.ask)
    assert [event for event, _ in told] == [Event.CLOCK_JUMPED]
    assert clock.jumped_s == pytest.approx(jump_s, abs=0.1)
    frozen = [clock.frozen]
    host.advance(FREEZE_S + 1)
    assert clock.sample(database.ask)
    assert [*frozen, clock.frozen] == [True, False]
    assert early_s(clock, database, host, database.now() + timedelta(seconds=5)) <= 1e-6


def test_a_small_step_voids_what_was_prepared_and_no_more(host: ManualClock, database: Database) -> None:
    clock = LedgerClock(host)
    clock.sample(database.ask)
    database.ahead_s -= 0.5
    assert not clock.sample(database.ask)
    assert not clock.frozen


def test_clocks_that_drift_apart_slowly_are_no_step(host: ManualClock, database: Database) -> None:
    clock = LedgerClock(host)
    for _ in range(600):
        assert clock.sample(database.ask)
        host.advance(1)
        database.ahead_s += 0.0002
    assert clock.error_s < 0.01
