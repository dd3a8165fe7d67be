"""One Iris device, two real worker processes, a real beat: every room gets its message once."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from ops.emulator import Emulator
from tests.support import databases
from tests.support.processes import Processes
from tests.support.waiting import eventually

ROOMS = 12


@pytest.fixture
def env(scaled_env: dict[str, str]) -> dict[str, str]:
    # The scaled deadline is meant for bridges; a device takes its pause and is asked again and again.
    return scaled_env | {
        "JEONGSI_HTTP_DEADLINE_S": "3", "JEONGSI_PONR_LEASE_S": "4", "JEONGSI_SETTLE_S": "4",
        "JEONGSI_FIRST_LOOKUP_S": "0.5",
    }  # fmt: skip


@pytest.fixture
def db(env: dict[str, str]) -> Iterator[psycopg.Connection]:
    with databases.connect(env["DATABASE_URL"]) as connection:
        yield connection


def test_rooms_due_at_one_instant_go_out_one_by_one_over_two_workers(
    db: psycopg.Connection, processes: Processes, emulator: Emulator
) -> None:
    for _ in range(2):
        processes.worker("send,confirm", "--without-gossip", "--without-mingle")
    processes.beat()
    eventually(lambda: db.execute("SELECT 1 FROM beat_pulse").fetchone(), timeout=20)
    row = db.execute("SELECT date_trunc('seconds', ledger_now()) + interval '3 s'").fetchone()
    assert row is not None
    at: dt.datetime = row[0].astimezone(dt.timezone(dt.timedelta(hours=9)))
    for number in range(1, ROOMS + 1):
        room = str(18_000_000 + number)
        db.execute(
            "INSERT INTO rooms (room_id, name, type, channel) VALUES (%s, %s, 'test', 'emulator-iris')",
            (room, room),
        )
        db.execute(
            "INSERT INTO kb_schedule (title, target_room_id, target_room_type, message_text, send_order,"
            " schedule_type, schedule_date, schedule_time)"
            " VALUES ('정각', %s, 'test', '같은 글', 'text_only', 'once', %s, %s)",
            (room, at.date(), at.time()),
        )

    def ended() -> bool:
        states = db.execute("SELECT state FROM slots WHERE slot_at = %s", (at,)).fetchall()
        return len(states) == ROOMS and all(state == "delivered" for (state,) in states)

    eventually(ended, timeout=30)
    received = Counter(receipt.room for receipt in emulator.receipts.all())
    assert received == Counter(str(18_000_000 + number) for number in range(1, ROOMS + 1))
    confirmed = db.execute("SELECT count(*) FROM slots WHERE confirmed_at IS NOT NULL").fetchone()
    assert confirmed == (ROOMS,)
    late = db.execute("SELECT max(started_at - free_from) FROM slots").fetchone()
    assert late is not None
    assert late[0] < dt.timedelta(seconds=2), "waiting for the device is not lateness"
