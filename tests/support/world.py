"""A small installation in one database, told in short sentences, through the real ledger commands.

    world = World(pg)
    room = world.room("공지방")
    slot = world.once("공지방", in_s=60)          # planned from its schedule, as a beat does it
    world.go_to(slot)                              # the ledger's time stands at the slot's time
    world.deliver(slot)                            # tick, lease, point of no return, evidence, settle
    world.receipts_file(tmp_path)                  # what the provider would have written down

Time stands still unless it is moved. `ledger_world` holds the single commands; here are whole ways.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from beat.planning import plan
from models.ledger import beat
from models.ledger.worker import EvidenceVerdict, Lease, Ponr
from models.states import AttemptOutcome, Phase, SlotState
from runtime.ids import SlotId
from runtime.settings import get_settings
from tests.support.ledger_time import SEOUL, LedgerTime
from tests.support.ledger_world import HOLD_S, Passed
from tests.support.ledger_world import World as LedgerWorld


class World(LedgerWorld):
    """One test database with its own time, one beat, one worker and one provider that keeps receipts."""

    def __init__(self, db: psycopg.Connection[Any], start: dt.datetime | None = None) -> None:
        super().__init__(db, LedgerTime(db, start))
        self.receipts: list[dict[str, Any]] = []
        self.began = self.now

    @property
    def now(self) -> dt.datetime:
        """The ledger's time."""
        return self.time.now

    def advance(self, seconds: float) -> dt.datetime:
        """Let time pass; answers the new time."""
        return self.time.advance(seconds)

    def go_to(self, moment: dt.datetime | SlotId) -> None:
        """Let time pass up to an instant, or to a slot's own."""
        self.time.set(moment.slot_at if isinstance(moment, SlotId) else moment)

    # -- schedules ----------------------------------------------------------------------------

    def once(self, room: str = "방1", *, in_s: float = 60.0, **columns: Any) -> SlotId:
        """A one-off schedule and its slot, laid down."""
        at = (self.now + dt.timedelta(seconds=in_s)).replace(microsecond=0)
        wall = at.astimezone(SEOUL)
        schedule = self.schedule(
            room, schedule_type="once", schedule_date=wall.date(), schedule_time=wall.time(), **columns
        )
        self.lay_down()
        return SlotId(schedule, at)

    def daily(self, room: str = "방1", *, at: str = "12:00", **columns: Any) -> int:
        """A daily schedule at a wall time; answers its id."""
        return self.schedule(room, schedule_type="daily", schedule_time=at, **columns)

    # -- the beat -----------------------------------------------------------------------------

    def lay_down(self) -> list[SlotId]:
        """Plan every schedule up to the horizon; answers the promised slots."""
        return plan(self.db, get_settings(), self.now).planned

    def tick(self, node: str = "beat-1") -> list[SlotId]:
        """One whole tick: plan, expire, coalesce, reap, dispatch; answers what was dispatched."""
        self.lay_down()
        beat.expire(self.db, 5000)
        beat.coalesce(self.db, 0.0, 5000)
        beat.reap(self.db, 5000)
        due = self.dispatch()
        beat.refresh(self.db, 5000)
        beat.tick_done(self.db, node, self.began, 5.0)
        return due

    # -- the worker and the provider ----------------------------------------------------------

    def take_up(self, slot: SlotId) -> Lease:
        """Dispatch a slot if it is due and lease it."""
        self.tick()
        return self.take(slot)

    def send(
        self,
        holder: Lease | Passed,
        outcome: str | AttemptOutcome = AttemptOutcome.ACCEPTED,
        *,
        ord: int = 0,  # noqa: A002 - the column's name
        bodies: Sequence[str] = ("안녕하세요",),
        kind: str = "lookup",
        arrives: bool | None = None,
        took_s: float = 0.02,
    ) -> Passed:
        """One part over the point of no return, to the provider, and its evidence, ``took_s`` later.

        ``arrives``: whether the provider's receipt is written (by default: accepted arrives).
        """
        asked = AttemptOutcome(outcome)
        first = isinstance(holder, Lease) and not holder.parts
        parts = message_parts(holder.slot, *bodies) if first else None
        passed = self.pass_on(holder, ord, parts, kind)
        if arrives if arrives is not None else asked is AttemptOutcome.ACCEPTED:
            self.receive(passed.slot, passed.ord, passed.attempt_id, after_s=took_s / 2)
        self.advance(took_s)
        told = {"provider_msg_id": f"m-{passed.fence}"} if asked is AttemptOutcome.ACCEPTED else {}
        assert self.say(passed, asked, wrote_ms=2.0, **told) == "ok"
        return passed

    def pass_on(
        self,
        holder: Lease | Passed,
        ord: int,  # noqa: A002
        parts: list[dict[str, Any]] | None,
        kind: str,
    ) -> Passed:
        """Pass the point of no return for one part, as the holder of a lease or of an earlier part."""
        question = Ponr(
            holder.slot,
            ord,
            holder.fence,
            uuid4(),
            self.slot(holder.slot)["content_version"],
            HOLD_S,
            kind,
            parts,
        )
        (answer,) = self.ponr(question)
        assert answer.verdict == "go", answer
        assert answer.fence is not None
        return Passed(holder.slot, ord, question.attempt_id, answer.fence)

    def deliver(self, slot: SlotId, *bodies: str, kind: str = "lookup", gap_s: float = 1.0) -> Passed:
        """The whole way of a slot whose time has come, all parts accepted."""
        texts = bodies or ("안녕하세요",)
        holder: Lease | Passed = self.take_up(slot)
        for number in range(len(texts)):
            if number:
                self.advance(gap_s)
            holder = self.send(holder, ord=number, bodies=texts, kind=kind)
        assert isinstance(holder, Passed)
        assert self.settle(holder, SlotState.DELIVERED, "accepted")
        return holder

    def resolve_part(
        self,
        lease: Lease,
        ord: int,  # noqa: A002
        attempt: UUID,
        *,
        wait_s: float = 60.0,
        proven: bool = False,
    ) -> bool:
        """Under a confirm lease: a part that may have arrived did not."""
        return self.resolve(
            Passed(lease.slot, ord, attempt, lease.fence), lease, wait_s=wait_s, proven=proven
        )

    def late_word(self, slot: SlotId, ord: int, attempt: UUID) -> EvidenceVerdict:  # noqa: A002
        """Evidence from a worker that slept: the provider had accepted after all."""
        return self.say(Passed(slot, ord, attempt, 0), AttemptOutcome.ACCEPTED)

    def confirm_now(self, slot: SlotId) -> Lease:
        """Wait until a slot is to be confirmed, and lease it."""
        self.go_to(self.slot(slot)["not_before"])
        return self.take_up(slot)

    def wait(self, holder: Lease | Passed, why: str, delay_s: float, *, phase: Phase = Phase.SEND) -> None:
        """Hand a slot back to wait."""
        assert self.settle(holder, SlotState.WAITING, why, phase=phase, delay_s=delay_s)

    def receive(self, slot: SlotId, ord: int, attempt: UUID, after_s: float = 0.0, **changes: Any) -> None:  # noqa: A002
        """The provider notes a part's arrival: the emulator's receipt."""
        part = self.part(slot, ord)
        room = self.row("SELECT room_id, channel FROM rooms WHERE id = %s", self.slot(slot)["room_ref"])
        at = (self.now + dt.timedelta(seconds=after_s)).timestamp()
        number = len(self.receipts) + 1
        receipt = {"n": number, "at": at, "channel": room["channel"], "room": room["room_id"]}
        receipt |= {"kind": part["kind"], "key": part["idem_key"], "attempt": str(attempt)}
        self.receipts.append(receipt | {"sha256": "", "message_id": f"m-{number}"} | changes)

    def receipts_file(self, folder: Path) -> Path:
        """The receipts as the emulator's file."""
        path = folder / "receipts.jsonl"
        path.write_text("".join(json.dumps(receipt) + "\n" for receipt in self.receipts), encoding="utf-8")
        return path

    # -- breaking things ----------------------------------------------------------------------

    def by_hand(self, statement: str, *arguments: Any) -> None:
        """Change the ledger behind its guards' back; needs a superuser."""
        with self.db.transaction():
            self.db.execute("SET LOCAL session_replication_role = replica")
            done = self.db.execute(statement.encode(), arguments)
        assert done.rowcount != 0, f"nothing was broken by: {statement}"


def message_parts(slot: SlotId, *bodies: str, gap_ms: int = 1000) -> list[dict[str, Any]]:
    """Text parts of a slot as a worker lays them down, each with a key of its own."""
    return [
        {"ord": n, "kind": "text", "body": body, "image_id": None, "gap_ms": gap_ms if n else 0,
         "idem_key": hashlib.sha256(f"{slot}:{n}".encode()).hexdigest()}
        for n, body in enumerate(bodies)
    ]  # fmt: skip
