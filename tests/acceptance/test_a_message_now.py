"""A message sent by command leaves at once: beat, worker and provider are real."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import psycopg
import pytest

from ops.emulator import Emulator
from runtime.ids import SlotId
from tests.support import databases
from tests.support.cli import jeongsi
from tests.support.processes import Processes

PROMPT_MS = 50


@pytest.fixture
def env(scaled_env: dict[str, str]) -> dict[str, str]:
    return scaled_env


@pytest.fixture
def db(env: dict[str, str]) -> Iterator[psycopg.Connection]:
    with databases.connect(env["DATABASE_URL"]) as connection:
        yield connection


def test_a_message_now_is_due_when_it_is_accepted_and_goes_out(
    db: psycopg.Connection, processes: Processes, emulator: Emulator
) -> None:
    processes.worker("send,confirm", "--without-gossip", "--without-mingle")
    processes.beat()
    assert (
        jeongsi("room", "add", "강남", "--name", "강남", "--channel", "emulator-key", "--type", "test").code
        == 0
    )
    answer = jeongsi("message", "send", "--room", "강남", "--text", "지금", "--wait", "--timeout", "20")
    assert answer.code == 0, answer.said
    slot = SlotId.parse(answer.out)
    row = db.execute(
        "SELECT h.valid_from, s.started_at FROM slots s JOIN kb_schedule_history h USING (schedule_id)"
    ).fetchone()
    assert row is not None
    accepted, started = row
    assert abs(slot.slot_at - accepted) <= dt.timedelta(milliseconds=PROMPT_MS)
    assert started - slot.slot_at <= dt.timedelta(seconds=2)  # on a busy machine; else some 30 ms
    assert [receipt.room for receipt in emulator.receipts.all()] == ["강남"]
