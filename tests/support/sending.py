"""Carry slots in this very process: rooms and schedules by raw SQL, a beat of four commands, real pipelines.

Times are scaled by settings, not patched: a try may take 0.6 s, absence is believed after 1 s.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.rows import dict_row

from models.ledger import beat
from models.states import TERMINAL, Phase
from ops.emulator import Emulator
from runtime.clock import SystemClock
from runtime.ids import SlotId
from tasks.carry import CONFIRM, SEND, SlotsFailed, carry
from tasks.engine import Engine

SCALED = {
    "JEONGSI_HTTP_DEADLINE_S": "0.6",
    "JEONGSI_PONR_LEASE_S": "1.2",
    "JEONGSI_SETTLE_S": "1.0",
    "JEONGSI_FIRST_LOOKUP_S": "0.2",
    "JEONGSI_LEASE_S": "1.0",
    "JEONGSI_LOCK_TTL_S": "0.8",
    "JEONGSI_RENEW_S": "0.3",
    "JEONGSI_RETRY_DELAYS_S": "0.2,0.3,0.4,0.5",
    "JEONGSI_FAST_DELAYS_S": "0.05,0.1,0.2,0.3",
    "JEONGSI_REDIS_GONE_S": "0.5",
    "JEONGSI_IRIS_READ_BACK_S": "0.15",
}
AGAIN_S = 1.0  # a hint that is not heard of by then is published again
ENDED = tuple(state.value for state in TERMINAL)
_CLOCK = SystemClock()


class Promises:
    """Rooms, schedules and slots of one test database, in real time."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self.db = db

    def room(self, name: str, channel: str = "emulator-key", *, gap_ms: int = 0, quota: int = 50) -> str:
        """A test room; answers its id."""
        self.db.execute(
            "INSERT INTO rooms (room_id, name, type, channel, gap_ms, quota)"
            " VALUES (%s, %s, 'test', %s, %s, %s)",
            (name, name, channel, gap_ms, quota),
        )
        return name

    def schedule(self, room: str, **columns: Any) -> int:
        """A kb_schedule row; answers its id."""
        row = {
            "title": "정각 알림", "target_room_id": room, "target_room_type": "test",
            "message_text": "안녕하세요", "send_order": "text_only",
            "schedule_type": "regular", "valid_from": "2020-01-01 00:00+09",
            "send_interval_seconds": 0, **columns,
        }  # fmt: skip
        marks = ", ".join(["%s"] * len(row))
        found = self.db.execute(
            f"INSERT INTO kb_schedule ({', '.join(row)}) VALUES ({marks}) RETURNING id".encode(),
            tuple(row.values()),
        ).fetchone()
        assert found is not None
        return int(found[0])

    def image(self, data: bytes = b"\x89PNG" + bytes(60), mime_type: str = "image/png") -> dict[str, int]:
        """A stored image, as `message_images` names it."""
        found = self.db.execute(
            "INSERT INTO images (filename, original_name, mime_type, sha256, file_size, data)"
            " VALUES ('i' || nextval('slot_id_seq') || '.png', '사진.png', %s, '', %s, %s) RETURNING id",
            (mime_type, len(data), data),
        ).fetchone()
        assert found is not None
        return {"id": int(found[0])}

    def slot(
        self, schedule: int, in_s: float = 0.0, *, valid_s: float = 60.0, grace_s: float = 30.0
    ) -> SlotId:
        """One slot of a schedule, laid down ``in_s`` from now."""
        clock = self.row("SELECT * FROM schedule_clock WHERE schedule_id = %s", schedule)
        at = self.row("SELECT date_trunc('milliseconds', ledger_now()) AS now")["now"]
        slot = SlotId(schedule, at + dt.timedelta(seconds=in_s))
        finish_by = slot.slot_at + dt.timedelta(seconds=valid_s)
        promise = beat.Promise(
            slot=slot, version=clock["version"], finish_by=finish_by, superseded=False, expired=False,
            start_by=min(slot.slot_at + dt.timedelta(seconds=grace_s), finish_by),
            room_ref=clock["room_ref"], priority=clock["priority"], keep_latest=False, kind="message",
        )  # fmt: skip
        assert beat.lay_down(self.db, [promise]) == 1
        return slot

    def promise(self, room: str, channel: str = "emulator-key", **columns: Any) -> SlotId:
        """A room, a schedule in it and a slot that is due now."""
        return self.slot(self.schedule(self.room(room, channel), **columns))

    def due(self, ahead_s: float = 0.0) -> list[beat.Due]:
        """What one tick of a beat would publish."""
        beat.expire(self.db, 5000)
        beat.reap(self.db, 5000)
        until = beat.now(self.db) + dt.timedelta(seconds=ahead_s)
        found = beat.dispatch(self.db, until, 5000, AGAIN_S, AGAIN_S)
        for phase in Phase:
            found += beat.republish(self.db, phase, 5000, AGAIN_S, publish=True)
        return found

    def rows(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        with self.db.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement.encode(), arguments).fetchall()

    def row(self, statement: str, *arguments: Any) -> dict[str, Any]:
        (row,) = self.rows(statement, *arguments)
        return row

    def of(self, slot: SlotId) -> dict[str, Any]:
        """A slot's row."""
        return self.row("SELECT * FROM slots WHERE schedule_id = %s AND slot_at = %s", *slot)

    def state(self, slot: SlotId) -> str:
        return str(self.of(slot)["state"])

    def parts(self, slot: SlotId) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM parts WHERE schedule_id = %s AND slot_at = %s ORDER BY ord", *slot)

    def attempts(self, slot: SlotId) -> list[str | None]:
        """Outcomes of a slot's attempts, oldest first."""
        rows = self.rows(
            "SELECT outcome FROM attempts WHERE schedule_id = %s AND slot_at = %s ORDER BY sending_at", *slot
        )
        return [row["outcome"] for row in rows]

    def used(self, room: str) -> int:
        """Units of today's quota that a room has spent."""
        row = self.row(
            "SELECT coalesce(sum(used), 0) AS n FROM room_quota q JOIN rooms r ON r.id = q.room_ref"
            " WHERE r.room_id = %s", room,
        )  # fmt: skip
        return int(row["n"])

    def story(self) -> str:
        """All live slots and the log, for a test that fails."""
        live = self.rows(
            "SELECT schedule_id, state, phase, reason, wait_reason, not_before, exposed FROM slots"
            " WHERE ended_at IS NULL"
        )
        log = self.rows("SELECT schedule_id, old, new, phase, reason FROM slot_log ORDER BY at DESC LIMIT 30")
        return "\n".join(str(one) for one in [*live, *log])


class Sending(Promises):
    """Promises, and an engine in this process that keeps them."""

    def __init__(self, db: psycopg.Connection[Any], rt: Engine, emulator: Emulator) -> None:
        super().__init__(db)
        self.rt = rt
        self.emulator = emulator
        self._threads = ThreadPoolExecutor(32, thread_name_prefix="hint")
        self._open: set[Future[None]] = set()

    def tick(self) -> list[SlotId]:
        """Dispatch what is due and start carrying it, a thread per hint; answers what was started."""
        due = self.due()
        self._open |= {self._threads.submit(self._carry, one) for one in due}
        return [one.slot for one in due]

    def once(self) -> list[SlotId]:
        """One tick, carried to its end."""
        started = self.tick()
        self.join()
        return started

    def join(self) -> None:
        """Wait until everything started has been carried; raises what one of them raised."""
        done, self._open = wait(self._open).done, set()
        for one in done:
            one.result()

    def until(self, condition: Callable[[], object], timeout: float = 8.0) -> None:
        """Tick until the condition holds."""
        end = _CLOCK.monotonic() + timeout
        while not condition():
            assert _CLOCK.monotonic() < end, self.story()
            self.tick()
            _CLOCK.wait(0.02)
        self.join()

    def until_ended(self, *slots: SlotId, timeout: float = 8.0) -> list[str]:
        """Tick until these slots have ended; answers their states."""
        self.until(lambda: all(self.state(slot) in ENDED for slot in slots), timeout)
        return [self.state(slot) for slot in slots]

    def receipts(self, room: str | None = None) -> int:
        """Messages that a room (or all rooms) really got."""
        return sum(room in (None, one.room) for one in self.emulator.receipts.all())

    def close(self) -> None:
        wait(self._open)
        self._threads.shutdown()

    def _carry(self, due: beat.Due) -> None:
        with suppress(SlotsFailed):
            carry(self.rt, [due.slot], CONFIRM if due.queue == Phase.CONFIRM else SEND)
