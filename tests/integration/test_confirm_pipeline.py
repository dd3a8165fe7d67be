"""What becomes of parts that are not certain: looked up, sent again, or left to a person."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from itertools import pairwise

import pytest

from models.ledger import worker as ledger
from models.ledger.worker import Evidence, Lease, Ponr
from models.states import AttemptOutcome
from ops.emulator import Rule
from runtime.ids import SlotId
from runtime.settings import get_settings
from tests.support.sending import Sending


def pass_and_die(sending: Sending, *slots: SlotId) -> list[Ponr]:
    """A worker passes the point of no return with these slots and is not heard of any more."""
    sending.due()
    leases = {lease.slot: lease for lease in sending.rt.lease(slots)}
    wave = [_question(leases[slot]) for slot in slots]
    for slot in slots:
        sending.rt.done(slot)
    for part in wave:
        assert sending.rt.committer.ponr(part).verdict == "go"
    return wave


def _question(lease: Lease) -> Ponr:
    key = f"key-{lease.slot}"
    body = {"ord": 0, "kind": "text", "body": "글", "image_id": None, "idem_key": key, "gap_ms": 0}
    kind = str(lease.channel).removeprefix("emulator-")
    return Ponr(lease.slot, 0, lease.fence, uuid.uuid4(), lease.content_version, 1.0, kind, [body])


def test_a_message_that_a_lagging_look_up_hides_is_found_and_not_sent_again(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("500_after"))
    sending.emulator.faults.add(Rule("lookup_lag", count=2))
    slot = sending.promise("방", "emulator-lookup")

    assert sending.until_ended(slot) == ["delivered"]
    assert sending.attempts(slot) == ["accepted"]
    assert sending.receipts() == 1


def test_absence_is_not_believed_before_settle(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("drop"))
    slot = sending.promise("방", "emulator-lookup")

    assert sending.until_ended(slot) == ["delivered"]

    assert sending.attempts(slot) == ["unknown", "accepted"]
    first, second = sending.rows("SELECT sending_at AS at FROM attempts ORDER BY sending_at")
    assert (second["at"] - first["at"]).total_seconds() >= 1.0
    assert sending.receipts() == 1


def test_a_look_up_that_cannot_be_reached_ends_with_a_person(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("500_after"))
    sending.emulator.faults.add(Rule("lookup_down", count=None))
    room = sending.room("방", "emulator-lookup")
    slot = sending.slot(sending.schedule(room), valid_s=0.5, grace_s=0.4)

    assert sending.until_ended(slot) == ["unresolved"]
    row = sending.of(slot)
    assert row["reason"] == "lookup_unavailable"
    assert (row["ended_at"] - row["finish_by"]).total_seconds() >= 2.0


def test_a_look_up_that_comes_back_decides(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("500_after"))
    sending.emulator.faults.add(Rule("lookup_down", count=4))
    slot = sending.promise("방", "emulator-lookup")

    assert sending.until_ended(slot) == ["delivered"]
    assert sending.of(slot)["confirmed_at"] is not None
    assert sending.receipts() == 1


def test_a_look_up_whose_absence_proves_nothing_never_leads_to_a_second_send(sending: Sending) -> None:
    sending.emulator.bridges["lookup"].capabilities["lookup_authoritative"] = False
    sending.emulator.faults.add(Rule("drop"))
    slot = sending.promise("방", "emulator-lookup")

    assert sending.until_ended(slot) == ["unresolved"]
    assert sending.of(slot)["reason"] == "unproven"
    assert sending.attempts(slot) == ["unknown"]


def test_a_key_that_is_forgotten_too_soon_is_not_relied_upon(sending: Sending) -> None:
    sending.emulator.bridges["key"].capabilities["idempotency_ttl_s"] = 600
    sending.emulator.faults.add(Rule("500_after"))
    slot = sending.promise("방", "emulator-key")

    assert sending.until_ended(slot) == ["delivered"]
    assert sending.of(slot)["provider_kind"] == "lookup"
    assert sending.attempts(slot) == ["accepted"]  # found, not sent again


def test_accepted_is_delivered_only_once_the_provider_says_so(sending: Sending) -> None:
    sending.emulator.behaviour.deliver_after_s = 0.5
    slot = sending.promise("방", "emulator-lookup")

    assert sending.until_ended(slot) == ["delivered"]
    row = sending.of(slot)
    assert row["reason"] == "confirmed"
    assert (row["confirmed_at"] - row["started_at"]).total_seconds() >= 0.5


def test_a_provider_that_never_says_delivered_leaves_it_at_accepted(sending: Sending) -> None:
    sending.emulator.behaviour.deliver_after_s = 60.0
    slot = sending.promise("방", "emulator-lookup")

    assert sending.until_ended(slot) == ["delivered"]
    assert (sending.of(slot)["reason"], sending.of(slot)["confirmed_at"]) == ("accepted", None)


def test_tries_with_a_key_go_once_soon_and_then_by_the_ladder(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("500_before", count=3))
    slot = sending.promise("방", "emulator-key")

    assert sending.until_ended(slot) == ["delivered"]

    assert sending.attempts(slot) == ["unknown"] * 3 + ["accepted"]
    rows = sending.rows("SELECT sending_at AS at, ended_at AS done FROM attempts ORDER BY sending_at")
    pauses = [(b["at"] - a["done"]).total_seconds() for a, b in pairwise(rows)]
    assert pauses[0] >= 0.2
    assert pauses[1] >= 0.3
    assert pauses[2] >= 0.4


def test_when_the_tries_are_used_up_a_look_up_still_decides(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("500_before", count=4))
    sending.emulator.faults.add(Rule("500_after"))
    slot = sending.promise("방", "emulator-key")

    assert sending.until_ended(slot, timeout=12) == ["delivered"]
    assert sending.attempts(slot) == ["unknown"] * 4 + ["accepted"]
    assert sending.receipts() == 1


def test_workers_that_vanished_after_the_point_of_no_return(sending: Sending) -> None:
    slots = {kind: sending.promise(kind, f"emulator-{kind}") for kind in ("key", "lookup", "none")}
    pass_and_die(sending, *slots.values())

    assert sending.until_ended(*slots.values()) == ["delivered", "delivered", "unresolved"]

    assert [sending.receipts(kind) for kind in slots] == [1, 1, 0]
    sent = sending.rows("SELECT min(sending_at) AS at FROM attempts")[0]["at"]
    # The answer of the one that nobody can be asked about could still have come until settle.
    assert (sending.of(slots["none"])["ended_at"] - sent).total_seconds() >= 1.0


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_late_answer_of_a_stopped_worker_is_used(sending: Sending, when: str) -> None:
    slot = sending.promise("방", "emulator-none")
    (part,) = pass_and_die(sending, slot)
    if when == "after":
        assert sending.until_ended(slot) == ["unresolved"]
    fact = Evidence(slot, 0, part.attempt_id, AttemptOutcome.ACCEPTED, "accepted", http_status=200)

    assert sending.rt.evidence.store(fact) == "ok"

    assert sending.until_ended(slot) == ["delivered"]
    assert sending.of(slot)["reason"] == ("late_evidence" if when == "after" else "accepted")


def test_a_late_proof_that_nothing_was_sent_lets_it_go_again(
    make_sending: Callable[[], Sending], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JEONGSI_SETTLE_S", "30")
    get_settings.cache_clear()
    sending = make_sending()
    slot = sending.promise("방", "emulator-none")
    (part,) = pass_and_die(sending, slot)
    sending.until(lambda: sending.of(slot)["phase"] == "confirm")
    fact = Evidence(slot, 0, part.attempt_id, AttemptOutcome.NOT_SENT, "guard_missed")

    sending.rt.evidence.store(fact)

    assert sending.until_ended(slot) == ["delivered"]
    assert sending.attempts(slot) == ["not_sent", "accepted"]
    assert sending.receipts() == 1


def test_workers_that_died_between_answer_and_settling_change_nothing_about_the_end(sending: Sending) -> None:
    wanted = {
        AttemptOutcome.ACCEPTED: ("delivered", ["accepted"]),
        AttemptOutcome.REJECTED_FINAL: ("failed", ["rejected_final"]),
        AttemptOutcome.REJECTED_RETRY: ("delivered", ["rejected_retry", "accepted"]),
        AttemptOutcome.NOT_SENT: ("delivered", ["not_sent", "accepted"]),
        AttemptOutcome.UNKNOWN: ("unresolved", ["unknown"]),
    }
    slots = {outcome: sending.promise(outcome, "emulator-none") for outcome in wanted}
    passed = pass_and_die(sending, *slots.values())
    facts = [Evidence(p.slot, 0, p.attempt_id, o, "said") for o, p in zip(wanted, passed, strict=True)]
    ledger.evidence(sending.db, facts)

    sending.until_ended(*slots.values())

    found = {outcome: (sending.state(slot), sending.attempts(slot)) for outcome, slot in slots.items()}
    assert found == wanted


def test_two_confirmers_do_not_work_on_one_slot(make_sending: Callable[[], Sending]) -> None:
    first, second = make_sending(), make_sending()
    slot = first.promise("방", "emulator-lookup")
    first.once()
    first.until(lambda: first.of(slot)["state"] == "queued" or bool(first.due()))

    verdicts = [lease.verdict for one in (first, second) for lease in one.rt.lease([slot])]
    for one in (first, second):
        one.rt.done(slot)

    assert verdicts == ["leased", "taken"]
