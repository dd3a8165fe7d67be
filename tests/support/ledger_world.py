"""Short sentences for ledger tests: rooms, schedules, slots, and a worker that uses the real commands."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from models.ledger import beat, worker
from models.ledger.worker import Evidence, Lease, Ponr, PonrAnswer, Resolve, Settle
from models.states import AttemptOutcome, Phase, SlotState
from runtime.ids import SlotId
from tests.support.ledger_time import LedgerTime

HOLD_S = 90.0
LEASE_S = 4.0
PONR_LEASE_S = 12.0
MAX_TRIES = 5
GRACE_S = 300
VALIDITY_S = 1800


def text_parts(*bodies: str, gap_ms: int = 1000) -> list[dict[str, Any]]:
    """Text parts as a worker lays them down."""
    return [
        {
            "ord": n,
            "kind": "text",
            "body": body,
            "image_id": None,
            "idem_key": f"key-{n}-{body}",
            "gap_ms": gap_ms,
        }
        for n, body in enumerate(bodies or ("안녕하세요",))
    ]


class World:
    """One test database with its own time, and one worker process (``owner``)."""

    def __init__(self, db: psycopg.Connection[Any], time: LedgerTime) -> None:
        self.db = db
        self.time = time
        self.owner = uuid.uuid4()

    # -- rooms and schedules ------------------------------------------------------------------

    def room(
        self, name: str = "방1", *, gap_ms: int = 30000, quota: int = 50, device: str | None = None
    ) -> int:
        """A room; answers its number."""
        return int(
            self.value(
                "INSERT INTO rooms (room_id, name, type, channel, gap_ms, quota, device)"
                " VALUES (%s, %s, 'test', 'emulator-key', %s, %s, %s) RETURNING id",
                name, name, gap_ms, quota, device,
            )
        )  # fmt: skip

    def schedule(self, room: str = "방1", **columns: Any) -> int:
        """A kb_schedule row by raw SQL, as the customer's own pages write it; answers its id."""
        row = {
            "title": "정각 알림", "target_room_id": room, "target_room_type": "test",
            "message_text": "안녕하세요", "send_order": "text_only", "schedule_type": "regular",
            "valid_from": "2020-01-01 00:00+09", **columns,
        }  # fmt: skip
        marks = ", ".join(["%s"] * len(row))
        return int(
            self.value(
                f"INSERT INTO kb_schedule ({', '.join(row)}) VALUES ({marks}) RETURNING id", *row.values()
            )
        )

    def edit(self, schedule: int, **columns: Any) -> None:
        """An UPDATE by raw SQL."""
        sets = ", ".join(f"{name} = %s" for name in columns)
        self.db.execute(
            f"UPDATE kb_schedule SET {sets} WHERE id = %s".encode(), (*columns.values(), schedule)
        )

    def plan(self, schedule: int, in_s: float = 0.0, **changes: Any) -> SlotId:
        """Lay one slot of a schedule down, ``in_s`` from now."""
        clock = self.row("SELECT * FROM schedule_clock WHERE schedule_id = %s", schedule)
        at = self.time.now + dt.timedelta(seconds=in_s)
        slot = SlotId(schedule, at)
        promise = {
            "slot": slot, "version": clock["version"], "start_by": at + dt.timedelta(seconds=GRACE_S),
            "finish_by": at + dt.timedelta(seconds=VALIDITY_S), "superseded": False, "expired": False,
            "room_ref": clock["room_ref"], "priority": clock["priority"],
            "keep_latest": clock["misfire"] == "latest", "kind": "message", **changes,
        }  # fmt: skip
        assert beat.lay_down(self.db, [beat.Promise(**promise)]) == 1
        return slot

    # -- beats --------------------------------------------------------------------------------

    def dispatch(self, ahead_s: float = 0.0, limit: int = 5000) -> list[SlotId]:
        """Move what is due to queued."""
        until = self.time.now + dt.timedelta(seconds=ahead_s)
        return [due.slot for due in beat.dispatch(self.db, until, limit, 5.0, 1.0)]

    def queued(self, schedule: int, **changes: Any) -> SlotId:
        """A slot of this instant, queued."""
        slot = self.plan(schedule, **changes)
        assert slot in self.dispatch()
        return slot

    def leased(self, schedule: int, **changes: Any) -> Lease:
        """A slot of this instant, leased by our worker."""
        return self.take(self.queued(schedule, **changes))

    # -- worker -------------------------------------------------------------------------------

    def lease(self, *slots: SlotId, owner: uuid.UUID | None = None) -> list[Lease]:
        """Ask for leases."""
        return worker.lease(self.db, slots, owner or self.owner, LEASE_S)

    def take(self, slot: SlotId) -> Lease:
        """Lease one slot that is free to be had."""
        (lease,) = self.lease(slot)
        assert lease.verdict == "leased", lease
        return lease

    def ask(self, lease: Lease, ord: int = 0, **changes: Any) -> Ponr:  # noqa: A002 - the column's name
        """The question for one part's point of no return."""
        question = {
            "slot": lease.slot, "ord": ord, "fence": lease.fence, "attempt_id": uuid.uuid4(),
            "content_version": lease.content_version, "hold_s": HOLD_S, "provider_kind": "lookup",
            "parts": None if lease.parts else text_parts(), **changes,
        }  # fmt: skip
        return Ponr(**question)

    def ponr(self, *wave: Ponr, owner: uuid.UUID | None = None) -> list[PonrAnswer]:
        """Ask the point of no return."""
        return worker.ponr(self.db, wave, owner or self.owner, PONR_LEASE_S, MAX_TRIES)

    def go(self, lease: Lease, ord: int = 0, **changes: Any) -> Passed:  # noqa: A002
        """Pass the point of no return."""
        question = self.ask(lease, ord, **changes)
        (answer,) = self.ponr(question)
        assert answer.verdict == "go", answer
        assert answer.fence is not None
        return Passed(lease.slot, ord, question.attempt_id, answer.fence)

    def say(self, passed: Passed, outcome: AttemptOutcome, **facts: Any) -> worker.EvidenceVerdict:
        """Evidence about an attempt, with the verdict."""
        known = {"reason": outcome.value, "wrote_ms": 2.0, **facts}
        return worker.evidence(
            self.db, [Evidence(passed.slot, passed.ord, passed.attempt_id, outcome, **known)]
        )[0]

    def settle(
        self,
        passed: Passed | Lease,
        state: SlotState,
        reason: str | None = None,
        *,
        phase: Phase = Phase.SEND,
        delay_s: float = 0.0,
    ) -> bool:
        """Give a slot up; False: fenced."""
        end = Settle(passed.slot, passed.fence, state, reason or state.value, phase, delay_s * 1000)
        return passed.slot in worker.settle(self.db, [end], self.owner)

    def resolve(self, passed: Passed, lease: Lease, *, wait_s: float = 60.0, proven: bool = False) -> bool:
        """Ask that an unknown part becomes pending again."""
        question = Resolve(passed.slot, passed.ord, passed.attempt_id, lease.fence, wait_s, proven)
        return bool(worker.resolve(self.db, [question], self.owner))

    def in_doubt(self, schedule: int, **changes: Any) -> Passed:
        """A slot whose only part may or may not have arrived, waiting to be confirmed."""
        passed = self.go(self.leased(schedule), **changes)
        assert self.say(passed, AttemptOutcome.UNKNOWN) == "ok"
        assert self.settle(passed, SlotState.WAITING, "confirm", phase=Phase.CONFIRM)
        return passed

    def unresolved(self, schedule: int, **changes: Any) -> Passed:
        """A slot that ended unresolved."""
        passed = self.go(self.leased(schedule), **changes)
        assert self.say(passed, AttemptOutcome.UNKNOWN) == "ok"
        assert self.settle(passed, SlotState.UNRESOLVED, "unproven")
        return passed

    def confirming(self, passed: Passed) -> Lease:
        """Lease a slot that waits to be confirmed."""
        assert passed.slot in self.dispatch()
        lease = self.take(passed.slot)
        assert lease.phase == Phase.CONFIRM
        return lease

    # -- looking ------------------------------------------------------------------------------

    def rows(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        """All rows of a query, by column name."""
        with self.db.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement.encode(), arguments).fetchall()

    def row(self, statement: str, *arguments: Any) -> dict[str, Any]:
        """The one row of a query."""
        (row,) = self.rows(statement, *arguments)
        return row

    def value(self, statement: str, *arguments: Any) -> Any:
        """The one value of a query."""
        (value,) = self.row(statement, *arguments).values()
        return value

    def slot(self, slot: SlotId) -> dict[str, Any]:
        """A slot's row."""
        return self.row("SELECT * FROM slots WHERE schedule_id = %s AND slot_at = %s", *slot)

    def state(self, slot: SlotId) -> tuple[str, str | None]:
        """A slot's state and reason."""
        row = self.slot(slot)
        return row["state"], row["reason"]

    def part(self, slot: SlotId, ord: int = 0) -> dict[str, Any]:  # noqa: A002
        """A part's row."""
        return self.row(
            "SELECT * FROM parts WHERE schedule_id = %s AND slot_at = %s AND ord = %s", *slot, ord
        )

    def incidents(self) -> list[str]:
        """Kinds of all incidents, oldest first."""
        return [row["kind"] for row in self.rows("SELECT kind FROM incidents ORDER BY id")]

    def used(self, room: int) -> int:
        """Quota units that a room has spent, over all days."""
        return int(self.value("SELECT coalesce(sum(used), 0) FROM room_quota WHERE room_ref = %s", room))

    def room_free_in_s(self, room: int) -> float:
        """Seconds until a room is free."""
        free: dt.datetime = self.value("SELECT free_at FROM room_gate WHERE room_ref = %s", room)
        return (free - self.time.now).total_seconds()


class Passed:
    """A part that passed the point of no return, with the fence that its worker holds since."""

    def __init__(self, slot: SlotId, ord: int, attempt_id: uuid.UUID, fence: int) -> None:  # noqa: A002
        self.slot = slot
        self.ord = ord
        self.attempt_id = attempt_id
        self.fence = fence


def states(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The states of several rows."""
    return [row["state"] for row in rows]
