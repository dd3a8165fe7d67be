"""Any order of steps of workers, beats, people and a provider, over the real ledger commands.

Hypothesis looks for the order that breaks an invariant. ``JEONGSI_MACHINE_STEPS=20000`` looks longer.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import uuid
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from models.ledger import beat, people, worker
from models.ledger.worker import Evidence, Ponr, Resolve, Settle
from models.states import AttemptOutcome, Phase
from runtime.ids import SlotId
from tests.integration.conftest import emptied
from tests.support.ledger_holds import Hold, by_slot, choose, decision, picture
from tests.support.ledger_invariants import ARRIVED, Snapshot, violations
from tests.support.ledger_time import LedgerTime
from tests.support.ledger_world import LEASE_S, MAX_TRIES, PONR_LEASE_S, World
from tests.support.provider_model import SETTLE, Flight, Provider

RULES_PER_RUN = 12
STEPS = int(os.environ.get("JEONGSI_MACHINE_STEPS", "600"))
KINDS = ("key", "lookup", "none")
PICK = st.integers(0, 63)
GAP_S = 5
STORM = 25
WORKER_STEPS = (
    *("lease", "pass", "arrive", "answer", "settle", "confirm") * 2,
    *("write", "refuse", "renew"),
)
#: What a storm is made of; what stands here more often happens more often.
WEATHER = (
    ["on"] * 80 + ["plan"] * 2 + ["witness"] * 5
    + ["worker lease", "worker pass", "worker write", "worker arrive", "worker answer", "worker settle"] * 3
    + ["worker confirm"] * 3 + ["worker refuse"] * 2 + ["worker renew"]
    + ["beat dispatch"] * 3 + ["beat reap"] * 4 + ["beat tick", "beat tick", "beat prepare"]
    + ["time 0.1", "time 0.4", "time 1", "time 13", "time 31", "time 400"] + ["time 5"] * 2 + ["time 61"] * 3
    + ["edit text", "edit text", "edit rule", "edit pause", "edit room", "edit delete"] + ["edit resume"] * 4
    + ["person cancel", "person clear", "person resend"]
)  # fmt: skip


class LedgerMachine(RuleBasedStateMachine):
    """Two workers that may stop, die and come back; beats; people; a provider that may do anything."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.connection = emptied(url)
        self.world = World(self.connection, LedgerTime(self.connection))
        self.provider = Provider()
        self.workers = (uuid.uuid4(), uuid.uuid4())
        self.holds: list[Hold] = []
        self.flights: list[Flight] = []
        self.told: list[Evidence] = []
        self.fences: dict[SlotId, int] = {}
        self.kinds: dict[int, str] = {}
        for number, kind in enumerate(KINDS):
            self.world.room(kind, gap_ms=GAP_S * 1000, quota=6, device="폰" if kind == "none" else None)
            for _ in range(2):
                self.kinds[self.world.schedule(room=kind, misfire=("skip", "latest")[number % 2])] = kind

    def teardown(self) -> None:
        self.connection.close()

    # -- beats --------------------------------------------------------------------------------

    @rule(which=PICK, in_s=st.sampled_from([0, 0, 1, 30]), validity_s=st.sampled_from([40, 400, 400]))
    def plan(self, which: int, in_s: int, validity_s: int) -> None:
        clock = self.world.row(
            "SELECT * FROM schedule_clock WHERE schedule_id = %s", choose(list(self.kinds), which)
        )
        if not clock["enabled"]:
            return
        at = self.world.time.now + dt.timedelta(seconds=in_s)
        ends = at + dt.timedelta(seconds=validity_s)
        slot = SlotId(clock["schedule_id"], at)
        promise = beat.Promise(
            slot, clock["version"], min(ends, at + dt.timedelta(seconds=30)), ends, False, False,
            clock["room_ref"], clock["priority"], clock["misfire"] == "latest", "message",
        )  # fmt: skip
        beat.lay_down(self.world.db, [promise])

    @rule(what=st.sampled_from(["dispatch", "dispatch", "prepare", "reap", "reap", "tick"]))
    def beat_does(self, what: str) -> None:
        if what == "reap":
            beat.reap(self.world.db, 100)
        elif what == "tick":
            beat.expire(self.world.db, 100)
            beat.coalesce(self.world.db, 1, 100)
            beat.refresh(self.world.db, 100)
        else:
            self.world.dispatch(ahead_s=2 if what == "prepare" else 0)

    @rule(seconds=st.sampled_from([0.1, 0.4, 1, 4.5, 5, 12.5, 31, 60, 61, 400]))
    def time_passes(self, seconds: float) -> None:
        self.world.time.advance(seconds)

    # -- workers ------------------------------------------------------------------------------

    @rule(which=PICK)
    def goes_on(self, which: int) -> None:
        """The step that comes next in the ordinary way: without it a random walk hardly ever gets far."""
        holds = [hold for hold in self.holds if not hold.over]
        if not holds:
            self.begin(which)
            return
        hold = holds[-1] if which % 4 else choose(holds, which)
        next_step(hold, which % 3 == 0)(self, hold)

    def begin(self, which: int) -> None:
        """Take what waits; if nothing does, lay something new down."""
        if not self.world.dispatch():
            self.time_passes((1.0, 5.0, 16.0)[which % 3])
            self.plan(which, 0, 400)
            self.world.dispatch()
        self.lease(which % 2, 1 + which % 2)

    @rule(
        which=PICK,
        what=st.sampled_from(WORKER_STEPS),
        parts=st.integers(1, 2),
    )
    def worker_does(self, which: int, what: str, parts: int) -> None:
        if what == "lease":
            self.lease(which % 2, parts)
        elif what in ("write", "arrive", "refuse"):
            self.outside(what, which)
        elif self.holds:
            steps = {"pass": self.pass_the_point, "answer": self.have_evidence, "settle": self.settle,
                     "confirm": self.confirm, "renew": self.renew}  # fmt: skip
            steps[what](choose(self.holds, which))

    def outside(self, what: str, which: int) -> None:
        """The write, and what comes of it at the provider."""
        stage = "passed" if what == "write" else "written"
        found = [flight for flight in self.flights if flight.stage == stage]
        if found:
            self.meet(choose(found, which), what)

    def meet(self, flight: Flight, what: str) -> None:
        now = self.world.time.now
        if what == "write":
            self.provider.write(flight, now)
        elif what == "arrive":
            self.provider.take_effect(flight, now)
        else:
            self.provider.refuse(flight)

    def lease(self, who: int, laid: int) -> None:
        found = self.world.rows("SELECT schedule_id, slot_at FROM slots WHERE state IN ('queued', 'leased')")
        owner = self.workers[who]
        for lease in sorted(
            self.world.lease(*(SlotId(*row.values()) for row in found), owner=owner), key=by_slot
        ):
            if lease.verdict == "leased":
                self.holds.append(Hold(lease, owner, lease.fence, *picture(lease, laid)))
        self.holds = self.holds[-12:]

    def pass_the_point(self, hold: Hold) -> None:
        part = next((p for p in hold.parts if p["state"] not in ARRIVED), None)
        if hold.over or part is None or hold.lease.phase != Phase.SEND:
            return
        kind = self.kinds[hold.lease.sid]
        question = Ponr(
            hold.lease.slot, part["ord"], hold.fence, uuid.uuid4(), hold.lease.content_version,
            SETTLE.total_seconds() + GAP_S, kind, hold.parts if not hold.laid else None,
        )  # fmt: skip
        (answer,) = worker.ponr(self.world.db, [question], hold.owner, PONR_LEASE_S, MAX_TRIES)
        hold.verdict = answer.verdict
        hold.stop = answer.verdict != "go"
        if answer.verdict == "go":
            assert answer.fence is not None
            hold.fence, hold.laid, part["state"] = answer.fence, True, "sending"
            hold.flight = Flight(
                question.slot, question.ord, question.attempt_id, part["idem_key"], kind, self.world.time.now
            )
            self.flights.append(hold.flight)

    def have_evidence(self, hold: Hold) -> None:
        """The worker that made the request says what it knows."""
        if hold.flight is None:
            return
        outcome = self.say(hold.flight)
        states = {"accepted": "accepted", "unknown": "unknown", "rejected_final": "failed"}
        hold.parts[hold.flight.ord]["state"] = states.get(outcome, "pending")
        hold.stop = outcome != AttemptOutcome.ACCEPTED
        hold.flight = None

    @rule(which=PICK, again=st.booleans())
    def late_witness(self, which: int, again: bool) -> None:
        """A journal, a webhook, a worker that slept: somebody knows, whoever holds the slot."""
        if again and self.told:
            worker.evidence(self.world.db, [choose(self.told, which)])
        elif self.flights:
            self.say(choose(self.flights, which))

    def say(self, flight: Flight) -> AttemptOutcome:
        outcome = self.provider.known(flight)
        fact = Evidence(flight.slot, flight.ord, flight.attempt_id, outcome, outcome.value, wrote_ms=1.0)
        worker.evidence(self.world.db, [fact])
        self.told.append(fact)
        return outcome

    def settle(self, hold: Hold) -> None:
        if hold.flight is None:
            state, phase = decision(hold, self.kinds[hold.lease.sid])
            delay_ms = 5000 * (len(self.flights) % 3)
            end = Settle(hold.lease.slot, hold.fence, state, hold.verdict or state.value, phase, delay_ms)
            worker.settle(self.world.db, [end], hold.owner)
            hold.over = True

    def renew(self, hold: Hold) -> None:
        ours = [other.lease.slot for other in self.holds if other.owner == hold.owner]
        worker.renew(self.world.db, ours, hold.owner, LEASE_S)

    def confirm(self, hold: Hold) -> None:
        hold.stop = True
        for part in hold.parts if hold.lease.phase == Phase.CONFIRM else []:
            if part["state"] in ("unknown", "accepted"):
                self.look_at(hold, part)

    def look_at(self, hold: Hold, part: dict[str, Any]) -> None:
        kind, slot, attempt_id = self.kinds[hold.lease.sid], hold.lease.slot, uuid.UUID(part["attempt_id"])
        if kind == "lookup" and self.provider.receipts[part["idem_key"]]:
            worker.evidence(
                self.world.db, [Evidence(slot, part["ord"], attempt_id, AttemptOutcome.ACCEPTED, "looked_up")]
            )
            worker.confirmed(self.world.db, [(slot, part["ord"], attempt_id)])
            part["state"] = "accepted"
        elif part["state"] == "unknown" and kind != "none":
            wait_s = 0 if kind == "key" else SETTLE.total_seconds()
            proven = kind == "lookup" and slot.schedule_id % 2 == 0
            question = Resolve(slot, part["ord"], attempt_id, hold.fence, wait_s, proven)
            if worker.resolve(self.world.db, [question], hold.owner):
                part["state"] = "pending"

    # -- people -------------------------------------------------------------------------------

    @rule(
        which=PICK,
        change=st.sampled_from(["text", "text", "rule", "pause", "resume", "resume", "room", "delete"]),
    )
    def edit(self, which: int, change: str) -> None:
        schedule = choose(list(self.kinds), which)
        columns: dict[str, dict[str, Any]] = {
            "text": {"message_text": f"글 {len(self.told)} {self.world.time.now}"},
            "rule": {"schedule_type": "peak", "peak_hours": str(which % 24)},
            "pause": {"status": "inactive"},
            "resume": {"status": "active", "deleted_at": None},
            "room": {"target_room_id": choose(KINDS, which)},
        }
        if change == "delete":
            self.world.db.execute("DELETE FROM kb_schedule WHERE id = %s", (schedule,))
            return
        if change != "room" or not self.world.value("SELECT count(*) FROM slots WHERE exposed > 0"):
            self.world.edit(schedule, **columns[change])
        if change == "room":
            self.kinds[schedule] = self.world.value(
                "SELECT target_room_id FROM kb_schedule WHERE id = %s", schedule
            )

    @rule(which=PICK, what=st.sampled_from(["cancel", "clear", "clear", "resend"]))
    def person_does(self, which: int, what: str) -> None:
        {"cancel": self.cancel, "clear": self.person_clears, "resend": self.resend}[what](which)

    def cancel(self, which: int) -> None:
        for slot in self.some_slot("true", which):
            people.cancel(self.world.db, slot, "운영자")

    def person_clears(self, which: int) -> None:
        """A person looks into the room, once nothing can be under way any more, and says what is there."""
        for slot in self.some_slot("state = 'unresolved'", which):
            flights = [flight for flight in self.flights if flight.slot == slot]
            if any(flight.sending_at + SETTLE > self.world.time.now for flight in flights):
                continue
            parts = self.world.rows(
                "SELECT idem_key FROM parts WHERE schedule_id = %s AND slot_at = %s", *slot
            )
            got = [self.provider.receipts[part["idem_key"]] > 0 for part in parts]
            if all(got) or not any(got):
                people.resolve(self.world.db, slot, all(got), "운영자", "방을 봤음")

    def resend(self, which: int) -> None:
        for slot in self.some_slot(
            "state IN ('unresolved', 'failed', 'partial') AND resend_of IS NULL", which
        ):
            people.resend(self.world.db, slot, "운영자", 3600, 30, 400)

    def some_slot(self, condition: str, which: int) -> list[SlotId]:
        found = self.world.rows(f"SELECT schedule_id, slot_at FROM slots WHERE {condition} ORDER BY id")
        return [SlotId(*choose(found, which).values())] if found else []

    # -- many steps at once --------------------------------------------------------------------

    @initialize(seed=st.integers(0, 2**32))
    def long_before(self, seed: int) -> None:
        for turn in range(4):
            self.storm(seed + turn)

    @rule(seed=st.integers(0, 2**32))
    def storm(self, seed: int) -> None:
        """Many weighted steps: single rules alone hardly ever get far."""
        dice = random.Random(seed)
        for _ in range(STORM):
            what, which = dice.choice(WEATHER), dice.randrange(64)
            match what.split():
                case ["worker", step]:
                    self.worker_does(which, step, 1 + which % 2)
                case ["beat", step]:
                    self.beat_does(step)
                case ["time", seconds]:
                    self.time_passes(float(seconds))
                case ["edit", change]:
                    self.edit(which, change)
                case ["person", step]:
                    self.person_does(which, step)
                case ["plan"]:
                    self.plan(which, which % 3, 400)
                case ["on"]:
                    self.goes_on(which)
                case _:
                    self.late_witness(which, which % 2 == 0)
            self.nothing_is_broken()

    # -- what always holds ----------------------------------------------------------------------

    @invariant()
    def nothing_is_broken(self) -> None:
        now = Snapshot(self.world)
        broken = list(violations(now, self.provider.receipts, SETTLE))
        for slot, row in now.slots.items():
            if row["fence"] < self.fences.get(slot, 0):
                broken.append(f"I11 {slot}: fence went back")
            self.fences[slot] = row["fence"]
        assert not broken, "\n".join(broken)


def next_step(hold: Hold, otherwise: bool) -> Callable[[LedgerMachine, Hold], None]:
    """What this worker does next; ``otherwise``: the answer never comes, or is a refusal."""
    if hold.flight is not None:
        ways = {"passed": "write", "written": "refuse" if otherwise and hold.fence % 2 else "arrive"}
        what = ways.get(hold.flight.stage)
        if what is None or (what == "arrive" and otherwise):
            return LedgerMachine.have_evidence
        flight = hold.flight
        return lambda machine, _: machine.meet(flight, what)
    if hold.stop or all(part["state"] in ARRIVED for part in hold.parts):
        confirming = hold.lease.phase == Phase.CONFIRM and not hold.stop
        return LedgerMachine.confirm if confirming else LedgerMachine.settle
    return LedgerMachine.confirm if hold.lease.phase == Phase.CONFIRM else LedgerMachine.pass_the_point


def test_no_order_of_steps_sends_twice_hides_an_arrival_or_breaks_the_books(ledger_url: str) -> None:
    def machine() -> LedgerMachine:
        return LedgerMachine(ledger_url)

    made: Callable[[], RuleBasedStateMachine] = machine
    run_state_machine_as_test(
        made,  # type: ignore[arg-type]
        settings=settings(
            max_examples=max(1, STEPS // (5 * STORM)),
            stateful_step_count=RULES_PER_RUN,
            deadline=None,
            database=None,
            derandomize="JEONGSI_MACHINE_STEPS" not in os.environ,
            suppress_health_check=list(HealthCheck),
        ),
    )
