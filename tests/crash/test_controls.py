"""Negative controls: with one rule taken out a message arrives twice, and the checker says so.

What happens with the rule in place is what the other tests of this folder show.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from ops.audit import audit
from ops.chaos import check, facts
from ops.chaos.variants import ponr_off, refuse_production
from ops.emulator import Rule
from runtime.settings import SettingsError
from tests.support.environment import clear_caches
from tests.support.hinting import Hinting
from tests.support.processes import Processes, TestProcess
from tests.support.sending import ENDED, Sending
from tests.support.waiting import eventually

QUIET = ("-c", "4", "--without-gossip", "--without-mingle")
#: Later than any look-up's first "absent", and well before the real system would believe it.
SLOW_S, SETTLE_S = 2.0, "4.0"


@pytest.fixture
def env(scaled_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The scaled times, with more of it until absence is believed."""
    monkeypatch.setenv("JEONGSI_SETTLE_S", SETTLE_S)
    clear_caches()
    return scaled_env | {"JEONGSI_SETTLE_S": SETTLE_S}


@pytest.fixture
def hinting(env: dict[str, str]) -> Iterator[Hinting]:
    one = Hinting()
    yield one
    one.close()


@pytest.fixture
def no_point_of_no_return(sending: Sending) -> Iterator[None]:
    """Put back by its own text: an upgrade looks at versions, and leaves alone what seems to be new."""
    right = sending.row("SELECT pg_get_functiondef('reap'::regproc) AS text")["text"]
    ponr_off.install(sending.db)
    yield
    sending.db.execute(right.encode())


def variant(processes: Processes, module: str, queues: str, **env: str) -> TestProcess:
    number = len(processes.started)
    process = processes.python(
        module, "-m", "celery", "-A", f"ops.chaos.variants.{module}", "worker", "-Q", queues,
        "-n", f"{module}-{number}@%h", "-l", "INFO", *QUIET, **env,
    )  # fmt: skip
    process.wait_for_line(" ready.")
    return process


def told(sending: Sending, receipts: Path) -> tuple[bool, set[str]]:
    """Whether the receipts alone show a double, and what the audit says of ledger and receipts together."""
    known = facts.read(sending.db, [asdict(one) for one in sending.emulator.receipts.all()])
    doubled = check.doubled(known.receipts, {a.key for a in known.attempts if a.dup_risk})
    return bool(doubled), {v.invariant for v in audit(sending.db, receipts=receipts).violations}


def test_without_the_point_of_no_return_a_death_after_the_write_sends_twice(
    sending: Sending, no_point_of_no_return: None, processes: Processes, hinting: Hinting, tmp_path: Path
) -> None:
    slot = sending.promise("방", "emulator-none")
    sending.due()
    victim = processes.worker("send", *QUIET, JEONGSI_FAILPOINTS="send.replied=kill@1")
    hinting.send([slot])
    victim.assert_died_by(signal.SIGKILL)

    assert sending.until_ended(slot) == ["delivered"]

    assert sending.receipts() == 2
    assert told(sending, tmp_path / "receipts.jsonl") == (True, {"I2"})


def test_absence_that_is_believed_at_once_sends_twice(
    sending: Sending, processes: Processes, hinting: Hinting, tmp_path: Path
) -> None:
    slot = sending.promise("방", "emulator-lookup")
    sending.emulator.faults.add(Rule("slow_before", delay_s=SLOW_S))
    variant(processes, "absent_at_once", "send,confirm")

    def ended() -> bool:
        for due in sending.due():
            hinting.send([due.slot], due.queue)
        return sending.state(slot) in ENDED and sending.receipts() == 2

    eventually(ended, timeout=15, every=0.05, message=sending.story)

    doubled, audited = told(sending, tmp_path / "receipts.jsonl")
    assert doubled
    assert "I2" in audited


def test_two_workers_with_a_lock_alone_send_twice(
    sending: Sending, processes: Processes, hinting: Hinting, tmp_path: Path
) -> None:
    slot = sending.promise("방", "emulator-none")
    sending.due()
    victim = variant(processes, "lock_only", "send", JEONGSI_FAILPOINTS="send.replied=kill@1")
    hinting.send([slot])
    victim.assert_died_by(signal.SIGKILL)
    variant(processes, "lock_only", "send")

    def sent_again() -> bool:
        hinting.send([slot])  # as a beat does while nobody has taken the slot
        return sending.receipts() > 1

    eventually(sent_again, timeout=10, every=0.2)

    doubled, audited = told(sending, tmp_path / "receipts.jsonl")
    assert doubled
    assert "I10" in audited


def test_a_variant_is_refused_in_production(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_production()
    monkeypatch.setenv("ENVIRONMENT", "production")
    clear_caches()
    with pytest.raises(SettingsError, match="twice on purpose"):
        refuse_production()
