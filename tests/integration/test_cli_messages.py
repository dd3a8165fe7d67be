"""One message by command: promised once saved, followed to its end if asked."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

import pytest

from beat.planning import plan
from runtime.ids import SlotId
from runtime.settings import get_settings
from tests.support.cli import Answer, jeongsi, jeongsi_script
from tests.support.ledger_world import World
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def _room(world: World, ledger_env: dict[str, str]) -> None:
    world.room("강남")


def send(*flags: object) -> SlotId:
    answer = jeongsi("message", "send", "--room", "강남", *flags)
    assert answer.code == 0, answer.said
    return SlotId.parse(answer.out)


def test_a_message_leaves_at_once(world: World) -> None:
    world.time.advance(0.1234)
    slot = send("--text", "점검을 시작합니다", "--as", "김본사")
    assert slot.slot_at - world.time.now == timedelta(microseconds=600)  # the next whole millisecond
    assert plan(world.db, get_settings(), world.time.now).planned == [slot]
    row = world.row("SELECT title, origin, schedule_type FROM kb_schedule WHERE id = %s", slot.schedule_id)
    assert tuple(row.values()) == ("점검을 시작합니다", "message", "once")
    assert (
        world.value("SELECT who FROM kb_schedule_history WHERE schedule_id = %s", slot.schedule_id)
        == "김본사"
    )


def test_a_message_may_be_given_a_time_in_any_offset(world: World) -> None:
    at = (world.time.now + timedelta(hours=3)).replace(microsecond=125_000)
    slot = send("--text", "예약", "--at", at.astimezone().isoformat())
    assert slot.slot_at == at
    answer = jeongsi(
        "message", "send", "--room", "강남", "--text", "예약 2", "--at", at.isoformat(), "--json"
    )
    assert answer.json["room"] == "강남"
    too_fine = at.replace(microsecond=1).isoformat()
    assert (
        "whole milliseconds"
        in jeongsi("message", "send", "--room", "강남", "--text", "예약", "--at", too_fine).err
    )
    assert SlotId.parse(answer.json["slot"]).slot_at == at


def test_waiting_follows_the_slot_to_its_end(world: World) -> None:
    answers: list[Answer] = []
    words = ("message", "send", "--room", "강남", "--text", "기다림", "--wait", "--timeout", "20")
    person = threading.Thread(target=lambda: answers.append(jeongsi_script(*words, env=dict(os.environ))))
    person.start()
    saved = eventually(
        lambda: world.rows(
            "SELECT id, (schedule_date + schedule_time) AT TIME ZONE tz AS at FROM kb_schedule"
        )
    )
    schedule, at = saved[0]["id"], saved[0]["at"]
    slot = world.plan(schedule, (at - world.time.now).total_seconds())
    world.time.set(at)
    world.edit(schedule, status="inactive")  # somebody pauses it meanwhile
    assert world.state(slot)[0] == "cancelled"
    person.join(timeout=20)
    [answer] = answers
    assert answer.code == 1
    assert "It ended as cancelled: paused" in answer.err
