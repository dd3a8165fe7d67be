"""What the tests themselves stand on."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest

from ops.local.identity import Identity
from ops.local.launch import write_privately
from tests.support.databases import refuse_if_real
from tests.support.processes import Processes
from tests.support.run import sweep
from tests.support.waiting import eventually


def test_eventually_gives_back_the_first_true_value() -> None:
    values = iter([0, "", "there", "later"])
    assert eventually(lambda: next(values)) == "there"


def test_eventually_takes_a_failed_assertion_for_not_yet() -> None:
    values = iter([1, 2, 3])

    def third() -> bool:
        assert next(values) == 3
        return True

    assert eventually(third)


def test_eventually_gives_up_with_its_message_and_what_it_saw() -> None:
    with pytest.raises(AssertionError, match=r"no slot was sent \(waited 0.05 s; last: 0\)"):
        eventually(lambda: 0, timeout=0.05, message="no slot was sent")


@pytest.mark.parametrize(
    ("test", "real"),
    [
        ("postgresql://a@localhost/jeongsi", "postgresql://b@127.0.0.1:5432/jeongsi"),
        ("postgresql://a@db.example:6000/jeongsi?sslmode=require", "postgresql://db.example:6000/jeongsi"),
    ],
)
def test_tests_refuse_the_database_of_the_application(test: str, real: str) -> None:
    with pytest.raises(ValueError, match="same database as DATABASE_URL"):
        refuse_if_real(test, real)


@pytest.mark.parametrize("real", [None, "postgresql://localhost/jeongsi", "postgresql://other/postgres"])
def test_tests_take_any_other_database(real: str | None) -> None:
    refuse_if_real("postgresql://a@localhost/postgres", real)


def test_a_process_that_ends_too_early_is_reported_with_its_output(tmp_path: Path) -> None:
    processes = Processes(tmp_path, {})
    process = processes.python("short", "-c", "print('reason')")
    with pytest.raises(RuntimeError, match=r"short ended with 0:\nreason"):
        process.wait_for_line("ready")


def test_a_kill_is_proved_by_the_signal_that_ended_the_process(tmp_path: Path) -> None:
    processes = Processes(tmp_path, {})
    process = processes.python("long", "-c", "import signal; print('ready'); signal.pause()")
    process.wait_for_line("ready")
    process.kill9()
    with pytest.raises(AssertionError, match="had ended before it was killed"):
        process.kill9()


def test_what_a_killed_run_of_the_tests_left_is_swept_away(tmp_path: Path) -> None:
    processes, own = Processes(tmp_path, {}), Identity.of(os.getpid())
    assert own is not None
    left, alive = tmp_path / "run-left", tmp_path / "run-alive"
    for run in (left, alive):
        (run / "postgres").mkdir(parents=True)
    process = processes.python("server", "-c", "import signal; print('ready'); signal.pause()")
    process.wait_for_line("ready")
    (tmp_path / "server.json").rename(left / "postgres" / "server.json")
    write_privately(left / "owner.json", {"pid": 1, "started": "long ago"})
    write_privately(alive / "owner.json", asdict(own))
    sweep(tmp_path)
    assert process.wait() < 0
    assert (left.exists(), alive.exists()) == (False, True)
    processes.reap()
