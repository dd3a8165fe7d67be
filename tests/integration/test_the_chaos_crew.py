"""The crew of a chaos run: the dead are replaced, the stopped are woken, and each life is written down."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.chaos.coverage import POINTS, Coverage
from ops.chaos.crew import Crew, Role
from ops.chaos.plan import FAULTS
from ops.chaos.storm import STRIKES, WEIGHTS
from runtime.failpoints import parse
from tests.support.waiting import eventually

SLEEPER = Role("sleeper", "send", ["import signal; signal.pause()"], app=("-c",))


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    made = Crew({"DATABASE_URL": "postgresql://nowhere"}, tmp_path, lambda role: "", lambda: 0.05)
    made.add(SLEEPER)
    yield made
    made.close()


def test_the_dead_are_replaced_at_once(crew: Crew) -> None:
    first = crew.pid("sleeper")
    crew.kill("sleeper")
    (life,) = crew.look()
    assert (life.name, life.pid, life.killed, life.died is not None) == ("sleeper.1", first, True, True)
    assert crew.pid("sleeper") != first
    assert [one.name for one in crew.lives] == ["sleeper.1", "sleeper.2"]


def test_the_stopped_are_woken_after_a_while(crew: Crew) -> None:
    assert crew.stop("sleeper")

    def woken() -> bool:
        crew.look()
        return bool(crew.lives[0].stops) and crew.lives[0].stops[0][1] is not None

    eventually(woken, timeout=5)
    assert crew.look() == []
    began, ended = crew.lives[0].stops[0]
    assert ended is not None
    assert (ended - began).total_seconds() >= 0.05


def test_who_is_dismissed_does_not_come_back(crew: Crew) -> None:
    role = crew.dismiss("sleeper")
    assert crew.look() == []
    assert crew.members == []
    crew.add(role)
    assert crew.lives[-1].name == "sleeper.2"


def test_a_process_is_given_the_failpoints_that_lack_hits(tmp_path: Path) -> None:
    path = tmp_path / "failpoints.jsonl"
    path.write_text(
        "".join(f'{{"name": "{p}", "n": 1, "action": "kill", "pid": 1}}\n' for p in POINTS["send"][4:])
    )
    coverage = Coverage(path, random.Random(1), wanted=1, life_s=5.0)
    assert len(coverage.look()) == len(POINTS["send"]) - 4
    rules = parse(coverage.rules(SLEEPER))
    assert {rule.name for rule in rules} == set(POINTS["send"][:4])
    assert [rule.action for rule in rules] == ["stop", "stop", "stop", "kill"]


def test_every_fault_that_is_told_of_can_strike() -> None:
    by_themselves = {"failpoints", "provider", "edits", "absent", "clock"}
    assert set(STRIKES) == set(WEIGHTS) == set(FAULTS) - by_themselves
