"""The ledger's clock steps by an hour in mid-run: nothing early, nothing twice, nothing stale.

Only `ledger_now()` is moved, in the test's database; the machine's clock is not touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from models.ledger import beat
from ops.emulator import Emulator, Rule
from runtime.ids import SlotId
from tests.support import databases
from tests.support.beats import FAR_AWAY
from tests.support.ledger_time import shifting
from tests.support.processes import Processes
from tests.support.sending import ENDED, Promises, Sending
from tests.support.waiting import eventually

QUIET = ("-c", "4", "--without-gossip", "--without-mingle")
KINDS = ("key", "lookup", "none")
HOUR = 3600.0
STEPS = {
    "JEONGSI_REPUBLISH_S": "0.5", "JEONGSI_REPUBLISH_PREPARED_S": "0.5", "JEONGSI_TICK_MAX_S": "0.2",
    "JEONGSI_VALIDITY_MAX_S": "600",
}  # fmt: skip


@pytest.fixture
def env(scaled_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in STEPS.items():
        monkeypatch.setenv(name, value)
    return scaled_env | STEPS


@contextmanager
def ledger(env: dict[str, str]) -> Iterator[tuple[Promises, Any]]:
    with databases.connect(env["DATABASE_URL"]) as db, shifting(db) as step:
        yield Promises(db), step


def promised(promises: Promises, name: str, in_s: float, valid_s: float = 600.0) -> list[SlotId]:
    """A slot for each kind of provider, in a room of its own."""
    return [
        promises.slot(
            promises.schedule(promises.room(f"{name} {kind}", f"emulator-{kind}"), **FAR_AWAY), in_s,
            valid_s=valid_s, grace_s=valid_s,
        )
        for kind in KINDS
    ]  # fmt: skip


def received(emulator: Emulator, name: str) -> list[int]:
    rooms = [one.room for one in emulator.receipts.all()]
    return [rooms.count(f"{name} {kind}") for kind in KINDS]


def first_queued(promises: Promises, slot: SlotId) -> float:
    """Seconds from a slot's time to its first dispatch; below zero: prepared ahead."""
    row = promises.row(
        "SELECT extract(epoch FROM min(at) - slot_at)::float8 AS s FROM slot_log"
        " WHERE schedule_id = %s AND slot_at = %s AND new = 'queued' GROUP BY slot_at", *slot,
    )  # fmt: skip
    return float(row["s"])


def ends(promises: Promises, slots: list[SlotId]) -> list[tuple[str, str | None]]:
    rows = [promises.of(slot) for slot in slots]
    return [(row["state"], row["reason"]) for row in rows]


def never_early(promises: Promises) -> bool:
    return not promises.rows(
        "SELECT 1 FROM slots s JOIN attempts a USING (schedule_id, slot_at) WHERE a.sending_at < s.slot_at"
    )


def test_an_hour_ahead_expires_what_is_too_old_and_prepares_nothing_ahead_for_half_a_minute(
    env: dict[str, str], processes: Processes, emulator: Emulator
) -> None:
    with ledger(env) as (promises, step):
        worker, ticking = processes.worker("send,confirm", *QUIET), processes.beat()
        passed = promised(promises, "half an hour on", 0.5 * HOUR)
        within = promised(promises, "a minute before", HOUR - 60)
        frozen = promised(promises, "soon after", HOUR + 12)
        thawed = promised(promises, "later", HOUR + 48)
        now = promised(promises, "now", 1.0)
        emulator.faults.add(Rule("slow_after", room="now none", delay_s=0.4))
        eventually(lambda: sum(received(emulator, "now")) == 3, timeout=30, every=0.005)

        step(HOUR)

        ticking.wait_for_line("beat.clock_jumped", timeout=20)
        everything = [*passed, *within, *frozen, *thawed, *now]
        eventually(
            lambda: all(promises.state(slot) in ENDED for slot in everything), timeout=90,
            message=promises.story,
        )  # fmt: skip
        assert ends(promises, passed) == [("expired", "not_dispatched")] * 3
        assert received(emulator, "half an hour on") == [0, 0, 0]
        for name, slots in (("a minute before", within), ("soon after", frozen), ("later", thawed)):
            assert {state for state, _ in ends(promises, slots)} == {"delivered"}, name
            assert received(emulator, name) == [1, 1, 1]
        assert received(emulator, "now") == [1, 1, 1]
        assert min(first_queued(promises, slot) for slot in frozen) >= 0
        assert max(first_queued(promises, slot) for slot in thawed) < 0
        assert never_early(promises)
        assert promises.rows("SELECT 1 FROM incidents WHERE kind = 'clock_jumped'")
        assert worker.running


def test_an_hour_back_sends_nothing_early_and_what_was_sent_not_again(
    env: dict[str, str], processes: Processes, emulator: Emulator
) -> None:
    with ledger(env) as (promises, step):
        step(HOUR)
        worker, ticking = processes.worker("send,confirm", *QUIET), processes.beat()
        before = promised(promises, "before", 0.5)
        eventually(lambda: ends(promises, before) and _delivered(promises, before), timeout=30)
        ahead = promised(promises, "prepared ahead", 0.9)
        eventually(lambda: {promises.state(slot) for slot in ahead} == {"queued"}, timeout=10, every=0.005)

        step(-HOUR)

        ticking.wait_for_line("beat.clock_jumped", timeout=20)
        soon = promised(promises, "soon", 3.0)
        eventually(lambda: _delivered(promises, soon), timeout=60, message=promises.story)
        assert received(emulator, "before") == received(emulator, "soon") == [1, 1, 1]
        assert received(emulator, "prepared ahead") == [0, 0, 0]  # their time is an hour off again
        assert never_early(promises)

        step(HOUR)

        eventually(lambda: _delivered(promises, ahead), timeout=60, message=promises.story)
        assert received(emulator, "prepared ahead") == [1, 1, 1]
        assert never_early(promises)
        assert worker.running


def _delivered(promises: Promises, slots: list[SlotId]) -> bool:
    return {promises.state(slot) for slot in slots} == {"delivered"}


def test_an_hour_that_nobody_lived_through_does_not_pass_for_settle(sending: Sending) -> None:
    """The request is still on its way when the clock steps: absence must not be believed."""
    slot = sending.promise("방", "emulator-lookup")
    sending.emulator.faults.add(Rule("slow_before", room="방", delay_s=0.8))
    with shifting(sending.db) as step:
        sending.tick()
        eventually(lambda: sending.parts(slot) and sending.parts(slot)[0]["state"] == "sending", every=0.005)

        step(HOUR / 10)
        sending.db.execute("UPDATE slots SET finish_by = finish_by + interval '1 hour'")
        beat.record_jump(sending.db, HOUR / 10)  # as a beat does before it reaps
        sending.rt.locks.release([slot])  # as if Redis had been flushed, or the worker were dead

        assert sending.until_ended(slot, timeout=10) == ["delivered"]
    assert sending.receipts() == 1
    assert len(sending.attempts(slot)) == 1
