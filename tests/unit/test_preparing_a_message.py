"""From a leased slot to the parts that go out."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from gateways.capabilities import Capabilities
from models.states import PartState, SlotState
from tasks.prepare import BadContent, Message, idempotency_key, message_of
from tasks.under_way import promise_of, truthful
from tests.support.slots import NINE, lease_of, part_row

BRIDGE = Capabilities(idempotency=True, idempotency_ttl_s=86_400, text_limit=20, images=True)


def prepared(content: dict[str, Any], **facts: Any) -> Message:
    return message_of(lease_of(content={"tz": "Asia/Seoul", **content}, **facts), BRIDGE)


def test_the_text_is_rendered_for_the_slots_own_time_in_its_zone() -> None:
    message = prepared({"message_text": "{time} {weekday}"})
    assert [part.body for part in message.parts] == ["09:00 토요일"]
    assert message.fresh


def test_other_braces_stay_as_they_are() -> None:
    assert prepared({"message_text": '{"a": {b}}'}).parts[0].body == '{"a": {b}}'


def test_the_key_is_the_same_for_every_try_and_differs_by_schedule_time_and_part() -> None:
    lease = lease_of()
    keys = {
        idempotency_key(lease, 0),
        idempotency_key(lease, 1),
        idempotency_key(lease_of(sid=2), 0),
        idempotency_key(lease_of(sat=NINE + dt.timedelta(seconds=1)), 0),
    }
    assert len(keys) == 4
    assert idempotency_key(lease_of(content_version=9, fence=99), 0) == idempotency_key(lease, 0)
    seoul = dt.timezone(dt.timedelta(hours=9))
    assert idempotency_key(lease_of(sat=NINE.astimezone(seoul)), 0) == idempotency_key(lease, 0)


@pytest.mark.parametrize("text", [None, "", "  \n "])
def test_nothing_to_send_is_bad_content(text: str | None) -> None:
    with pytest.raises(BadContent, match="nothing to send"):
        prepared({"message_text": text})


def test_a_text_over_the_channels_limit_is_bad_content() -> None:
    assert prepared({"message_text": "가" * 20}).parts[0].body == "가" * 20
    with pytest.raises(BadContent, match="21 characters, emulator-key takes 20"):
        prepared({"message_text": "가" * 21})


def test_images_on_a_channel_without_images_are_bad_content() -> None:
    lease = lease_of(content={"message_text": "글", "message_images": [{"id": 1}], "tz": "Asia/Seoul"})
    with pytest.raises(BadContent, match="takes no images"):
        message_of(lease, Capabilities())


@pytest.mark.parametrize("images", ["x", [1], [{"id": "x"}], [{}], {"images": [{"name": "a"}]}, 5])
def test_images_that_cannot_be_read_are_bad_content(images: Any) -> None:
    with pytest.raises(BadContent, match="usable id"):
        prepared({"message_text": "글", "message_images": images})


def test_a_zone_that_python_does_not_know_is_bad_content() -> None:
    with pytest.raises(BadContent):
        prepared({"message_text": "{time}", "tz": "KST9"})


def test_parts_that_are_at_risk_stand_as_they_were_laid_down() -> None:
    rows = [part_row(0, "accepted"), part_row(1, tries=1, tainted=True)]
    message = prepared({"message_text": "neu"}, parts=rows, exposed=2)
    assert [part.body for part in message.open_parts] == ["글 1"]
    assert (message.open_parts[0].tries, message.open_parts[0].tainted) == (1, True)
    assert not message.fresh


def test_parts_of_which_nothing_left_are_rendered_anew_and_keep_their_counts() -> None:
    rows = [part_row(0, tries=2, misses=3)]
    message = prepared({"message_text": "새 글"}, parts=rows, exposed=0)
    (part,) = message.parts
    assert (part.body, part.tries, part.misses, part.since_done_s) == ("새 글", 2, 3, 0.5)
    assert message.fresh


def test_a_resend_says_what_was_said_before() -> None:
    message = prepared({"message_text": "새 글"}, parts=[part_row(0)], exposed=0, origin="resend")
    assert [part.body for part in message.parts] == ["글 0"]


def test_a_key_is_relied_upon_only_while_the_provider_surely_remembers_it() -> None:
    short = Capabilities(idempotency=True, idempotency_ttl_s=600, lookup_by_key=True)
    assert promise_of(BRIDGE, 1800) == "key"
    assert promise_of(short, 1800) == "lookup"
    assert promise_of(Capabilities(idempotency=True, idempotency_ttl_s=600), 1800) == "none"


@pytest.mark.parametrize(
    ("parts", "end"),
    [
        ([(PartState.PENDING, False)], SlotState.FAILED),
        ([(PartState.ACCEPTED, False), (PartState.FAILED, False)], SlotState.PARTIAL),
        ([(PartState.ACCEPTED, True), (PartState.FAILED, False)], SlotState.PARTIAL),
        ([(PartState.ACCEPTED, False), (PartState.PENDING, True)], SlotState.UNRESOLVED),
        ([(PartState.FAILED, True)], SlotState.UNRESOLVED),
        ([(PartState.UNKNOWN, False), (PartState.PENDING, False)], SlotState.UNRESOLVED),
        ([], SlotState.FAILED),
    ],
)
def test_a_slot_that_is_closed_tells_the_truth_about_its_parts(
    parts: list[tuple[PartState, bool]], end: SlotState
) -> None:
    assert truthful(SlotState.FAILED, parts) is end
