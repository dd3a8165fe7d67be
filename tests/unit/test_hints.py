"""What is in a queue may be anything; what is read from it is slots."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.events import Event, captured
from tasks.hints import read_hint, write_hint
from tests.support.slots import slot_at


def test_a_hint_that_was_written_is_read_back() -> None:
    slots = [slot_at(0), slot_at(1), slot_at(0, schedule=812)]
    assert read_hint(write_hint(slots), "send") == slots


@pytest.mark.parametrize(
    "message",
    [None, 7, "send me", [], ["812-1795222800000"], {"v": 1}, {"v": 1, "slots": "812-1795222800000"}],
)
def test_a_foreign_message_is_told_and_dropped(message: Any) -> None:
    with captured() as heard:
        assert read_hint(message, "send") == []
    assert [event for event, _ in heard] == [Event.HINT_DROPPED]


@pytest.mark.parametrize("version", [None, 0, 2, "1", [1]])
def test_an_unknown_version_is_left_to_a_newer_worker(version: Any) -> None:
    with captured() as heard:
        assert read_hint({"v": version, "slots": [str(slot_at(0))]}, "send") == []
    assert [event for event, _ in heard] == [Event.HINT_UNKNOWN_VERSION]


def test_one_unreadable_slot_does_not_cost_the_others() -> None:
    hint = {
        "v": 1,
        "slots": [str(slot_at(0)), "812", None, {"x": 1}, "0-1", "9" * 40 + "-1", str(slot_at(1))],
    }
    with captured() as heard:
        assert read_hint(hint, "send") == [slot_at(0), slot_at(1)]
    assert [event for event, _ in heard] == [Event.HINT_DROPPED] * 5


def test_a_slot_named_twice_is_carried_once() -> None:
    assert read_hint({"v": 1, "slots": [str(slot_at(0))] * 3}, "send") == [slot_at(0)]
