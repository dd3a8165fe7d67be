"""A room behind an Iris device, from the slot to the message: one at a time, none lost, none twice."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from gateways.iris.adapter import IrisAdapter
from gateways.message import PartToSend, RoomAddress
from gateways.outcomes import NotSent, RejectedFinal
from gateways.registry import adapter_for
from models.ledger import devices
from models.ledger.worker import Ponr
from ops.audit import audit
from ops.doctor import iris
from ops.emulator import Emulator, Rule
from ops.why import why
from runtime.ids import SlotId
from runtime.settings import get_settings
from tests.support.sending import Sending

CHANNEL = "emulator-iris"


def test_a_text_is_read_back_from_the_room_and_confirmed_at_once(sending: Sending) -> None:
    slot = sending.promise("1001", CHANNEL, message_text="{time} 장부 ✅ {b}")

    assert sending.until_ended(slot) == ["delivered"]

    row = sending.of(slot)
    assert (row["reason"], row["device"]) == ("confirmed", CHANNEL)
    assert row["confirmed_at"] is not None
    (part,) = sending.parts(slot)
    assert part["state"] == "delivered"
    assert sending.attempts(slot) == ["accepted"]
    assert sending.receipts() == 1
    assert sending.row("SELECT baseline FROM attempts")["baseline"]["observing"] is True


def test_thirty_rooms_due_at_once_on_one_device_lose_and_double_nothing(
    make_sending: Callable[[], Sending],
) -> None:
    sending, other = make_sending(), make_sending()
    slots = [sending.promise(str(2000 + n), CHANNEL) for n in range(30)]

    def step() -> bool:
        other.tick()
        return all(sending.of(slot)["ended_at"] is not None for slot in slots)

    sending.until(step, timeout=20)

    assert [sending.state(slot) for slot in slots] == ["delivered"] * 30
    rooms = Counter(one.room for one in sending.emulator.receipts.all())
    assert rooms == {str(2000 + n): 1 for n in range(30)}
    assert sending.emulator.device().overtaken == 0


def test_a_message_that_never_reached_the_room_is_sent_once_more(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("lost", channel=CHANNEL))
    slot = sending.promise("1001", CHANNEL)

    assert sending.until_ended(slot, timeout=12) == ["delivered"]
    assert sending.attempts(slot) == ["unknown", "accepted"]
    assert sending.receipts() == 1


def test_an_image_that_is_absent_is_left_to_a_person(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("lost", channel=CHANNEL))
    images = f"[{sending.image()}]".replace("'", '"')
    slot = sending.promise("1001", CHANNEL, message_images=images, send_order="images_only")

    assert sending.until_ended(slot, timeout=12) == ["unresolved"]
    assert (sending.of(slot)["reason"], sending.receipts()) == ("absent", 0)


def test_absence_on_a_device_that_was_unwell_proves_nothing(sending: Sending) -> None:
    sending.emulator.device().phone.observing = False
    sending.emulator.faults.add(Rule("lost", channel=CHANNEL))
    slot = sending.promise("1001", CHANNEL)
    sending.until(lambda: sending.attempts(slot) == ["unknown"])
    sending.emulator.device().phone.observing = True

    assert sending.until_ended(slot, timeout=12) == ["unresolved"]
    assert sending.of(slot)["reason"] == "device_unwell_before"


def test_a_message_of_the_bot_that_nobody_recognises_stops_the_second_send(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("lost", channel=CHANNEL))
    slot = sending.promise("1001", CHANNEL)
    sending.until(lambda: sending.attempts(slot) == ["unknown"])
    sending.emulator.device().write_row(1001, "조금 다른 글")

    assert sending.until_ended(slot, timeout=12) == ["unresolved"]
    assert (sending.of(slot)["reason"], sending.receipts()) == ("unrecognised_message", 0)


def test_several_images_are_one_request_and_one_part(sending: Sending) -> None:
    images = f"[{sending.image()}, {sending.image()}, {sending.image()}]".replace("'", '"')
    slot = sending.promise("1001", CHANNEL, message_images=images, send_order="text_first")

    assert sending.until_ended(slot) == ["delivered"]

    text, photos = sending.parts(slot)
    assert (text["image_ids"], len(photos["image_ids"])) == (None, 3)
    assert [one.kind for one in sending.emulator.receipts.all()] == ["text", "image"]


@pytest.mark.parametrize("fault", ["accept_then_drop", "500_after", "slow_after", "reset_after"])
def test_an_answer_that_is_lost_is_found_in_the_room(sending: Sending, fault: str) -> None:
    sending.emulator.faults.add(Rule(fault, channel=CHANNEL, delay_s=0.8))
    slot = sending.promise("1001", CHANNEL)

    assert sending.until_ended(slot) == ["delivered"]
    assert (sending.attempts(slot), sending.receipts()) == (["accepted"], 1)


def test_a_device_whose_clock_is_an_hour_off_is_read_all_the_same(sending: Sending) -> None:
    sending.emulator.device().phone.clock_off_s = -3600
    slot = sending.promise("1001", CHANNEL)
    assert sending.until_ended(slot) == ["delivered"]


def test_the_same_text_twice_in_a_room_is_two_messages(sending: Sending) -> None:
    room = sending.room("1001", CHANNEL)
    first, second = (sending.slot(sending.schedule(room)) for _ in range(2))

    assert sending.until_ended(first, second) == ["delivered"] * 2

    ids = {row["provider_msg_id"] for row in sending.rows("SELECT provider_msg_id FROM attempts")}
    assert (len(ids), sending.receipts()) == (2, 2)


def test_a_lost_message_is_not_taken_for_a_later_one_of_the_same_text(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("lost", channel=CHANNEL))
    lost = sending.promise("1001", CHANNEL)
    sending.once()
    assert sending.attempts(lost) == ["unknown"]
    # Nobody looks it up in time: its worker and the next one die, and the room's hold ends meanwhile.
    sending.db.execute("UPDATE slots SET not_before = not_before + interval '1 hour'")
    later = sending.slot(lost.schedule_id)
    assert sending.until_ended(later) == ["delivered"]
    (message,) = sending.rows("DELETE FROM device_messages RETURNING message_id")  # not said so yet

    def may_say(slot: SlotId) -> bool:
        (attempt,) = sending.rows("SELECT attempt_id FROM attempts WHERE slot_at = %s", slot.slot_at)
        return devices.claim(sending.db, CHANNEL, [message["message_id"]], attempt["attempt_id"], slot)

    assert (may_say(lost), may_say(later)) == (False, True)


def test_a_page_instead_of_iris_is_never_sent_to(sending: Sending) -> None:
    sending.emulator.device().phone.html = True
    slot = sending.slot(sending.schedule(sending.room("1001", CHANNEL)), valid_s=0.5, grace_s=0.4)

    assert sending.until_ended(slot) == ["expired"]
    assert (sending.attempts(slot), sending.receipts()) == ([], 0)


def test_a_room_id_that_is_no_number_is_refused_before_anything_is_written(sending: Sending) -> None:
    slot = sending.promise("공지방", CHANNEL)
    assert sending.until_ended(slot) == ["failed"]
    assert sending.of(slot)["reason"] == "rejected: bad_room_id"


def test_a_message_whose_worker_died_is_found_by_another_by_what_was_kept(
    make_sending: Callable[[], Sending],
) -> None:
    """The baseline of the attempt is in the ledger, so whoever confirms can read the room back."""
    sending, other = make_sending(), make_sending()
    slot = sending.promise("1001", CHANNEL)
    sending.due()
    (lease,) = sending.rt.lease([slot])
    adapter = adapter_for(CHANNEL)
    address = RoomAddress(CHANNEL, "1001")
    line = adapter.open(address)
    assert not isinstance(line, NotSent | RejectedFinal)
    body = {"ord": 0, "kind": "text", "body": "안녕하세요", "image_id": None, "idem_key": "k", "gap_ms": 0}
    question = Ponr(
        slot, 0, lease.fence, uuid.uuid4(), lease.content_version, 2.0, "lookup", [body], CHANNEL, 2.0,
        line.before,
    )  # fmt: skip
    assert sending.rt.committer.ponr(question).verdict == "go"
    adapter.send(line, address, PartToSend("text", "안녕하세요", None, "k", question.attempt_id))
    sending.rt.done(slot)  # the worker died between the write and the evidence

    assert other.until_ended(slot) == ["delivered"]
    assert (other.attempts(slot), other.receipts()) == (["accepted"], 1)
    assert other.row("SELECT seen FROM attempts")["seen"]["saw"] == "found"


def test_a_device_in_doubt_is_held_and_the_next_waits_for_it(sending: Sending) -> None:
    sending.emulator.faults.add(Rule("stuck", channel=CHANNEL))
    first = sending.promise("1001", CHANNEL)
    sending.until(lambda: sending.attempts(first) == ["unknown"])
    second = sending.promise("1002", CHANNEL)
    sending.until(lambda: sending.of(second)["wait_reason"] == "device_busy")
    assert sending.attempts(second) == []
    sending.emulator.device().unpend(1001)
    sending.emulator.device().write_row(1001, "안녕하세요")

    assert sending.until_ended(first, second) == ["delivered"] * 2


def test_two_devices_work_side_by_side(sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    url = sending.emulator.url
    monkeypatch.setenv("KAKAO_BOT_URL", f"seoul=iris+{url}/iris-1,busan=iris+{url}/iris-2")
    get_settings.cache_clear()
    sending.emulator.device("iris-1").phone.html = True  # one is away: the other does not wait for it
    away = sending.promise("1001", "seoul")
    slot = sending.promise("1002", "busan")

    assert sending.until_ended(slot) == ["delivered"]
    assert sending.attempts(away) == []
    sending.emulator.device("iris-1").phone.html = False
    assert sending.until_ended(away) == ["delivered"]


def test_the_room_of_a_device_cannot_go_past_its_gate_by_naming_another(sending: Sending) -> None:
    room = sending.room("1001", CHANNEL)
    sending.db.execute("UPDATE rooms SET device = '다른 폰' WHERE room_id = %s", (room,))
    slot = sending.slot(sending.schedule(room))
    assert sending.until_ended(slot) == ["delivered"]
    assert sending.of(slot)["device"] == CHANNEL


def test_why_and_audit_understand_a_message_that_was_read_back(sending: Sending, tmp_path: Path) -> None:
    """A53: what the device showed stands in `slot why`, and its receipts agree with the ledger."""
    slots = [sending.promise(str(1001 + n), CHANNEL) for n in range(3)]
    assert sending.until_ended(*slots) == ["delivered"] * 3

    told = {gate.name: gate.evidence for gate in why(sending.db, slots[0])}
    assert "read back" in told["provider"]
    report = audit(sending.db, receipts=tmp_path / "receipts.jsonl")
    assert [one.detail for one in report.violations if one.invariant in ("I2", "I4", "I7", "I10")] == []
    assert report.receipts is not None
    assert (report.receipts.read, report.receipts.matched) == (3, 3)


def test_the_doctor_tells_about_a_device(scaled_env: dict[str, str], emulator: Emulator) -> None:
    phone = emulator.device().phone

    adapter = adapter_for(CHANNEL)
    assert isinstance(adapter, IrisAdapter)

    def told() -> dict[str, str]:
        found = iris.findings(adapter)
        return {one.check.removeprefix(f"channel {CHANNEL}").strip(): one.level.value for one in found}

    assert set(told().values()) == {"ok"}
    phone.observing = False
    emulator.device().pend(1001, "글")
    assert told() == {"account": "ok", "observing": "warn", "clock": "ok", "pending": "warn"}
    phone.bot_id = 0
    assert told()["account"] == "fail"
    phone.html = True
    assert told() == {"": "warn"}
