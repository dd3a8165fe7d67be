"""The send pipeline, called directly: real ledger, real Redis, a bridge over HTTP that misbehaves."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ops.emulator import Rule
from runtime.ids import SlotId
from tests.support.sending import Sending

#: fault -> per provider kind (key, lookup, none): the slot's end, and what the room got.
FAULTS: dict[str, dict[str, tuple[str, int]]] = {
    "429": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("delivered", 1)},
    "503": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("delivered", 1)},
    "4xx": {"key": ("failed", 0), "lookup": ("failed", 0), "none": ("failed", 0)},
    "html_404": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("unresolved", 0)},
    "500_before": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("unresolved", 0)},
    "500_after": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("unresolved", 1)},
    "drop": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("unresolved", 0)},
    "accept_then_drop": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("unresolved", 1)},
    "slow_before": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("unresolved", 1)},
    "slow_after": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("unresolved", 1)},
    "drip": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("unresolved", 1)},
    "reset_before": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("unresolved", 0)},
    "reset_after": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("unresolved", 1)},
    "redirect": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("unresolved", 0)},
    "cut_body": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("delivered", 1)},
    # The provider lies: it said "accepted". Where it can be looked up, the lie comes out.
    "lost": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("delivered", 0)},
    "undelivered": {"key": ("delivered", 1), "lookup": ("delivered", 1), "none": ("delivered", 0)},
}


@pytest.mark.parametrize("kind", ["key", "lookup", "none"])
def test_every_fault_of_a_provider_ends_as_its_kind_allows_and_never_twice(
    sending: Sending, kind: str
) -> None:
    slots: dict[str, SlotId] = {}
    for fault in FAULTS:
        sending.emulator.faults.add(Rule(fault, room=fault, delay_s=0.8))
        slots[fault] = sending.promise(fault, f"emulator-{kind}")

    sending.until_ended(*slots.values(), timeout=12)

    ends = {fault: (sending.state(slot), sending.receipts(fault)) for fault, slot in slots.items()}
    assert ends == {fault: wanted[kind] for fault, wanted in FAULTS.items()}


@pytest.mark.parametrize("kind", ["key", "lookup", "none"])
def test_without_a_fault_a_part_is_written_once_and_the_ledger_keeps_what_was_sent(
    sending: Sending, kind: str
) -> None:
    slot = sending.promise("방", f"emulator-{kind}", message_text="{time} 장부 ✅")

    assert sending.until_ended(slot) == ["delivered"]

    (part,) = sending.parts(slot)
    assert part["body"].endswith("장부 ✅")
    assert "{time}" not in part["body"]
    assert part["state"] == ("accepted" if kind == "none" else "delivered")
    assert sending.attempts(slot) == ["accepted"]
    row = sending.of(slot)
    assert (row["reason"], row["exposed"]) == ("accepted" if kind == "none" else "confirmed", 1)
    assert row["started_at"] >= row["slot_at"]
    assert sending.used("방") == 1
    (receipt,) = sending.emulator.receipts.all()
    assert receipt.key == part["idem_key"]


@pytest.mark.parametrize(
    ("order", "kinds"),
    [
        ("text_first", ["text", "image", "image"]),
        ("images_first", ["image", "image", "text"]),
        ("images_only", ["image", "image"]),
        ("text_only", ["text"]),
    ],
)
def test_parts_go_out_in_their_order(sending: Sending, order: str, kinds: list[str]) -> None:
    images = f'[{{"id": {sending.image()["id"]}}}, {{"id": {sending.image()["id"]}}}]'
    slot = sending.promise("방", message_images=images, send_order=order)

    assert sending.until_ended(slot) == ["delivered"]

    assert [one.kind for one in sending.emulator.receipts.all()] == kinds
    assert [part["kind"] for part in sending.parts(slot)] == kinds


def test_a_short_interval_between_parts_is_kept_without_giving_the_slot_up(sending: Sending) -> None:
    images = f"[{sending.image()}]".replace("'", '"')
    slot = sending.promise("방", message_images=images, send_order="text_first", send_interval_seconds=1)

    assert sending.until_ended(slot) == ["delivered"]

    first, second = sending.emulator.receipts.all()
    assert second.at - first.at >= 1.0
    assert "part_gap" not in [row["reason"] for row in sending.rows("SELECT reason FROM slot_log")]


def test_messages_with_many_parts_never_hold_all_threads_between_two_parts(sending: Sending) -> None:
    images = f"[{sending.image()}]".replace("'", '"')
    many = [
        sending.promise(f"방 {n}", message_images=images, send_order="text_first", send_interval_seconds=1)
        for n in range(10)
    ]
    threads = sending.rt.settings.worker_concurrency

    assert sending.until_ended(*many) == ["delivered"] * 10

    given_up = sending.rows("SELECT DISTINCT schedule_id FROM slot_log WHERE reason = 'part_gap'")
    assert len(given_up) >= 10 - threads // 4
    assert sending.receipts() == 20


def test_a_long_interval_between_parts_is_kept_by_the_ledger(sending: Sending) -> None:
    images = f"[{sending.image()}]".replace("'", '"')
    slot = sending.promise("방", message_images=images, send_order="text_first", send_interval_seconds=3)
    sending.once()
    assert (sending.of(slot)["state"], sending.of(slot)["wait_reason"]) == ("waiting", "part_gap")

    assert sending.until_ended(slot) == ["delivered"]

    first, second = sending.emulator.receipts.all()
    assert second.at - first.at >= 3.0


def test_a_message_goes_on_at_the_first_part_that_was_not_accepted(sending: Sending) -> None:
    images = f"[{sending.image()}, {sending.image()}]".replace("'", '"')
    sending.emulator.faults.add(Rule("drop", path="/images", count=1))
    slot = sending.promise("방", "emulator-lookup", message_images=images, send_order="text_first")

    assert sending.until_ended(slot) == ["delivered"]

    assert [one.kind for one in sending.emulator.receipts.all()] == ["text", "image", "image"]
    assert sending.attempts(slot) == ["accepted", "unknown", "accepted", "accepted"]


def test_a_refused_part_after_an_accepted_one_makes_the_message_partial(sending: Sending) -> None:
    images = f"[{sending.image()}, {sending.image()}]".replace("'", '"')
    sending.emulator.faults.add(Rule("4xx", path="/images"))
    slot = sending.promise("방", message_images=images, send_order="text_first")

    assert sending.until_ended(slot) == ["partial"]
    assert sending.of(slot)["reason"] == "rejected: invalid_request"
    assert sending.receipts() == 1


def test_those_who_wait_for_a_room_are_served_by_priority_a_gap_apart(sending: Sending) -> None:
    room = sending.room("방", gap_ms=500)
    first = sending.slot(sending.schedule(room, priority=5))
    sending.once()
    second = sending.slot(sending.schedule(room, priority=9))
    third = sending.slot(sending.schedule(room, priority=2))

    assert sending.until_ended(first, second, third) == ["delivered"] * 3

    started = {slot: sending.of(slot)["started_at"] for slot in (first, second, third)}
    assert sorted(started, key=lambda slot: started[slot]) == [first, third, second]
    at = [one.at for one in sending.emulator.receipts.all()]
    assert all(later - earlier >= 0.49 for earlier, later in pairwise(at))


def test_a_full_quota_skips_the_slot_at_once(sending: Sending) -> None:
    room = sending.room("방", quota=1)
    first, second = (sending.slot(sending.schedule(room)) for _ in range(2))

    assert sorted(sending.until_ended(first, second)) == ["delivered", "skipped"]
    assert sending.receipts() == 1
    assert sending.used(room) == 1


def test_what_was_refused_for_good_costs_no_quota(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("4xx"))
    slot = sending.promise("방")

    assert sending.until_ended(slot) == ["failed"]
    assert sending.used("방") == 0
    assert sending.of(slot)["exposed"] == 0


def test_five_tries_that_reached_the_provider_are_the_last(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("429", count=None))
    slot = sending.promise("방")

    assert sending.until_ended(slot, timeout=15) == ["failed"]
    assert sending.of(slot)["reason"] == "tries: rate_limited"
    assert sending.attempts(slot) == ["rejected_retry"] * 5


def test_a_provider_that_refuses_connections_uses_up_no_try(sending: Sending) -> None:
    slot = sending.promise("방")
    sending.once()  # the emulator's capabilities are known from here on
    other = sending.slot(sending.schedule("방"))
    sending.emulator.stop()
    sending.until(lambda: sending.of(other)["wait_reason"] == "not_sent")
    assert sending.attempts(other) == []
    sending.emulator.start()

    assert sending.until_ended(slot, other) == ["delivered"] * 2
    assert sending.parts(other)[0]["tries"] == 1
    assert sending.receipts() == 2


def test_an_unknown_channel_keeps_the_slot_until_it_may_not_go_any_more(sending: Sending) -> None:
    slot = sending.slot(sending.schedule(sending.room("방", "bridge-nowhere")), valid_s=0.5, grace_s=0.4)

    assert sending.until_ended(slot) == ["expired"]
    assert sending.attempts(slot) == []


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"message_text": "가" * 10_001}, "characters"),
        ({"message_images": '[{"id": 987654}]', "send_order": "images_only"}, "is not stored"),
        ({"message_images": '[{"name": "x"}]', "send_order": "images_only"}, "usable id"),
    ],
)
def test_content_that_can_never_be_sent_fails_with_the_reason(
    sending: Sending, columns: dict[str, str], why: str
) -> None:
    slot = sending.promise("방", **columns)

    assert sending.until_ended(slot) == ["failed"]
    assert sending.of(slot)["reason"].startswith("bad_content: ")
    assert why in sending.of(slot)["reason"]
    assert (sending.receipts(), sending.used("방")) == (0, 0)


def test_an_image_of_a_type_that_the_channel_does_not_take_stops_the_whole_message(sending: Sending) -> None:
    good, bad = sending.image(), sending.image(mime_type="image/tiff")
    images = f"[{good}, {bad}]".replace("'", '"')
    slot = sending.promise("방", message_images=images, send_order="text_first")

    assert sending.until_ended(slot) == ["failed"]
    assert "image/tiff" in sending.of(slot)["reason"]
    assert sending.receipts() == 0
