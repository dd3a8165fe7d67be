"""One message asked for by another service: promised, or refused with field, reason and what is right."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from beat.planning import plan
from models.ledger import messages
from models.ledger.messages import Result
from models.store import messages as store
from models.store import transaction
from runtime.events import Event, captured
from runtime.ids import SlotId
from runtime.settings import get_settings
from tasks.schemas import problems
from tests.support.ledger_time import SEOUL
from tests.support.ledger_world import World

AT = "2998-12-24T18:00:00+09:00"


@pytest.fixture(autouse=True)
def _room(world: World, ledger_env: dict[str, str]) -> None:
    world.room("hq-alerts")


def ask(world: World, *, task: str | None = None, **request: Any) -> Result:
    return messages.enqueue(world.db, {"room": "hq-alerts", **request}, task_id=task)


def fields(result: Result) -> list[str]:
    assert (result.status, result.id) == ("refused", None)
    assert all(error.reason and error.right for error in result.errors)
    return [error.field for error in result.errors]


def stored(world: World) -> int:
    return int(world.value("SELECT count(*) FROM kb_schedule"))


def slot_of(result: Result) -> SlotId:
    assert result.status == "accepted", result
    assert result.id is not None
    return SlotId.parse(result.id)


def test_a_message_now_is_promised_at_the_next_millisecond_and_laid_down_under_its_id(world: World) -> None:
    world.time.advance(0.1234)
    slot = slot_of(ask(world, text="안녕하세요"))
    assert slot.slot_at - world.time.now == dt.timedelta(microseconds=600)
    assert plan(world.db, get_settings(), world.time.now).planned == [slot]
    row = world.row("SELECT title, origin, send_order, priority, status FROM kb_schedule")
    assert tuple(row.values()) == ("안녕하세요", "message", "text_only", 5, "active")


def test_a_message_for_later_keeps_everything_that_was_asked_for(world: World) -> None:
    """A18, A30."""
    image = world.value(
        "INSERT INTO images (filename, original_name, mime_type, sha256, file_size, data)"
        " VALUES ('a_20250714_001.png', '사진.png', 'image/png', 'ab12', 3, 'abc') RETURNING id"
    )
    at = (world.time.now + dt.timedelta(minutes=5)).replace(microsecond=125_000)
    slot = slot_of(
        ask(
            world, text="{date} 공지 {x} {{y}}", at=at.astimezone(dt.UTC).isoformat(), title="공지",
            images=[{"id": image}, {"sha256": "AB12"}, {"filename": "a_20250714_001.png"}],
            send_order="images_first", interval=3, grace=60, validity=600, priority="high",
            channel="emulator-key", room_type="test", metadata={"order": 7, "none": None},
        )
    )  # fmt: skip
    assert slot.slot_at == at
    assert plan(world.db, get_settings(), world.time.now).planned == [slot]
    row = world.row(
        "SELECT title, message_text, message_images, send_order, send_interval_seconds, grace_seconds,"
        " validity_seconds, priority, metadata, version FROM kb_schedule"
    )
    listed = row.pop("message_images")
    assert [one["id"] for one in listed] == [image] * 3
    assert listed[0]["original_name"] == "사진.png"
    assert tuple(row.values()) == (
        "공지", "{date} 공지 {x} {{y}}", "images_first", 3, 60, 600, 2, {"order": 7, "none": None}, 1,
    )  # fmt: skip


def test_metadata_that_changes_makes_no_new_version(world: World) -> None:
    slot = slot_of(ask(world, text="x", metadata={"a": 1}))
    world.db.execute("UPDATE kb_schedule SET metadata = '{\"a\": 2}' WHERE id = %s", (slot.schedule_id,))
    assert world.value("SELECT version FROM kb_schedule") == 1
    assert world.value("SELECT count(*) FROM kb_schedule_history") == 1


@pytest.mark.parametrize(
    "text", ["👨‍👩‍👧‍👦 가족", "한글", "שלום עולם", "{{ x }} {y} %s $1", "줄\n바꿈\t탭", "가" * 10_000]
)
def test_any_text_is_kept_as_it_is(world: World, text: str) -> None:
    slot_of(ask(world, text=text))
    assert world.value("SELECT message_text FROM kb_schedule") == text


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        ({"room": None, "text": "x"}, ["room"]),
        ({"room": 7, "text": "x"}, ["room"]),
        ({"room": "", "text": "x"}, ["room"]),
        ({"room": "r" * 101, "text": "x"}, ["room"]),
        ({"room": "nowhere", "text": "x"}, ["room"]),
        ({}, ["text"]),
        ({"text": " \u3000\n"}, ["text"]),
        ({"text": ["x"]}, ["text"]),
        ({"text": "x" * 10_001}, ["text"]),
        ({"text": "{datetime}" * 700}, ["text"]),
        ({"text": "x", "at": "2998-12-24T18:00:00"}, ["at"]),
        ({"text": "x", "at": "tomorrow"}, ["at"]),
        ({"text": "x", "at": "2998-02-30T18:00:00Z"}, ["at"]),
        ({"text": "x", "at": "9999-12-31T23:59:59Z"}, ["at"]),
        ({"text": "x", "at": "1969-12-31T23:59:59Z"}, ["at"]),
        ({"text": "x", "at": 1795222800}, ["at"]),
        ({"text": "x", "title": "t" * 256}, ["title"]),
        ({"text": "x", "title": " "}, ["title"]),
        ({"text": "x", "send_order": "images"}, ["send_order"]),
        ({"text": "x", "send_order": "images_first"}, ["images"]),
        ({"send_order": "text_only"}, ["text"]),
        ({"text": "x", "interval": -1}, ["interval"]),
        ({"text": "x", "interval": 1.5}, ["interval"]),
        ({"text": "x", "interval": True}, ["interval"]),
        ({"text": "x", "grace": 86_401}, ["grace"]),
        ({"text": "x", "validity": 29}, ["validity"]),
        ({"text": "x", "validity": "long"}, ["validity"]),
        ({"text": "x", "priority": 10}, ["priority"]),
        ({"text": "x", "priority": "urgent"}, ["priority"]),
        ({"text": "x", "channel": "iris"}, ["channel"]),
        ({"text": "x", "room_type": "live"}, ["room_type"]),
        ({"text": "x", "room_type": "both"}, ["room_type"]),
        ({"text": "x", "tz": "KST"}, ["tz"]),
        ({"text": "x", "tz": "Mars/Base"}, ["tz"]),
        ({"text": "x", "metadata": [1]}, ["metadata"]),
        ({"text": "x", "metadata": {"a": "x" * 8192}}, ["metadata"]),
        ({"text": "x", "idempotency_key": ""}, ["idempotency_key"]),
        ({"text": "x", "idempotency_key": "k" * 10_240}, ["idempotency_key"]),
        ({"text": "x", "images": {"id": 1}}, ["images"]),
        ({"text": "x", "images": [{"id": 1}] * 11}, ["images"]),
        ({"text": "x", "images": [{"id": 9}, {"id": 1.5}, "a.png", {}]}, [f"images[{n}]" for n in range(4)]),
        ({"text": "x", "imagse": []}, ["imagse"]),
        ({"text": 1, "at": 2, "priority": 3.5, "images": 4}, ["at", "images", "priority", "text"]),
        ({"room": "hq-alert", "at": "soon", "priority": -1}, ["at", "priority", "room", "text"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_by_field_all_at_once_and_nothing_is_written(
    world: World, request_: dict[str, Any], wrong: list[str]
) -> None:
    assert sorted(fields(ask(world, **request_))) == wrong
    form = {error.field for error in problems("message.schedule", {"room": "hq-alerts", **request_})}
    assert form <= set(wrong)  # the schema and the ledger never disagree on what is wrong
    assert stored(world) == 0
    assert world.value("SELECT count(*) FROM enqueue_keys") == 0
    assert store.hash_count(world.db) == 0


@pytest.mark.parametrize("request_", ["null", "7", '"x"', "[]", '[{"room": "hq-alerts"}]'])
def test_what_is_no_object_is_refused(world: World, request_: str) -> None:
    answer = world.value("SELECT jeongsi_enqueue(%s::jsonb)", request_)
    assert (answer["status"], answer["errors"][0]["field"]) == ("refused", "request")


def test_a_wrong_room_is_answered_with_the_rooms_that_may_be_meant(world: World) -> None:
    world.room("gangnam-notice")
    world.room("강남지점")
    (error,) = ask(world, room="gangnam-notcie", text="x").errors
    assert "gangnam-notice?" in error.right
    (error,) = ask(world, room="강남 지점", text="x").errors
    assert "강남지점?" in error.right


def test_a_time_without_an_offset_is_answered_with_one_that_has_it(world: World) -> None:
    (error,) = ask(world, text="x", at="2998-12-24 18:00").errors
    assert error.reason.endswith("has no offset")
    assert error.right.endswith("2998-12-24T18:00+09:00")


def test_ten_megabytes_are_refused_without_saying_them_back(world: World) -> None:
    (error,) = ask(world, text="가" * 10_000_000).errors
    assert error.reason == "the text has 10000000 characters"


@pytest.mark.parametrize(("ago", "status"), [(299, "accepted"), (301, "refused")])
def test_a_past_time_is_taken_within_the_grace_only(world: World, ago: int, status: str) -> None:
    at = (world.time.now - dt.timedelta(seconds=ago)).isoformat()
    assert ask(world, text="x", at=at).status == status


def test_finer_times_than_milliseconds_are_rounded_up_so_never_early(world: World) -> None:
    at = world.time.now.replace(microsecond=1) + dt.timedelta(minutes=1)
    slot = slot_of(ask(world, text="x", at=at.isoformat()))
    assert slot.slot_at == at.replace(microsecond=1000)


def test_a_wall_clock_time_that_comes_twice_is_refused_and_utc_taken(world: World) -> None:
    at = dt.datetime(2027, 11, 7, 6, 30, tzinfo=dt.UTC).isoformat()  # 01:30 in New York, the second time
    assert fields(ask(world, text="x", at=at, tz="America/New_York")) == ["tz"]
    assert ask(world, text="x", at=at, tz="UTC").status == "accepted"
    assert ask(world, text="y", at="2027-11-07T05:30:00Z", tz="America/New_York").status == "accepted"


# -- keys -----------------------------------------------------------------------------------------


def test_the_same_key_and_body_is_one_message_whatever_order_its_fields_have(world: World) -> None:
    first = ask(world, text="x", at=AT, idempotency_key="k")
    again = ask(world, idempotency_key="k", at=AT, text="x", priority=None)
    assert (again.status, again.id, again.duplicate_of) == ("duplicate", first.id, first.id)
    assert stored(world) == 1


def test_a_key_with_another_body_is_refused_and_says_which_message_has_it(world: World) -> None:
    first = ask(world, text="x", idempotency_key="k")
    other = ask(world, text="y", idempotency_key="k")
    assert fields(other) == ["idempotency_key"]
    assert other.duplicate_of == first.id


def test_a_late_retry_meets_its_key_though_the_time_is_past_and_the_room_is_renamed(world: World) -> None:
    request = {"text": "x", "idempotency_key": "k"}
    first = ask(world, **request)
    world.time.advance(86_400)
    world.db.execute("UPDATE rooms SET room_id = 'renamed'")
    assert ask(world, **request).id == first.id


def test_a_refused_request_does_not_use_its_key_up(world: World) -> None:
    assert ask(world, text="", idempotency_key="k").status == "refused"
    assert ask(world, text="x", idempotency_key="k").status == "accepted"


def test_without_a_key_the_celery_task_is_the_key(world: World) -> None:
    first = ask(world, task="t-1", text="x")
    assert ask(world, task="t-1", text="x").status == "duplicate"
    assert ask(world, text="y", idempotency_key="t-1").status == "accepted"  # a caller's key is another's
    assert stored(world) == 2
    assert first.status == "accepted"


def test_keys_go_when_their_messages_time_is_long_past_and_hashes_after_a_week(world: World) -> None:
    """A60."""
    ask(world, text="now", idempotency_key="now")
    ask(world, text="later", at=(world.time.now + dt.timedelta(days=60)).isoformat(), idempotency_key="later")
    world.time.advance(8 * 86_400)
    assert messages.prune(world.db, 30, 7) == 2  # the hashes
    world.time.advance(30 * 86_400)
    assert messages.prune(world.db, 30, 7) == 1
    assert world.value("SELECT string_agg(key, ',') FROM enqueue_keys") == "later"


# -- the same content twice -----------------------------------------------------------------------


def test_the_same_content_for_the_same_room_and_time_is_refused_without_a_key(world: World) -> None:
    """A14, ruling 2."""
    first = ask(world, task="t-1", text="x", at=AT)
    twice = ask(world, task="t-2", text="x", at="2998-12-24T09:00:00Z", title="another title")
    assert twice.status == "refused"
    assert twice.duplicate_of == first.id
    assert stored(world) == 1
    assert ask(world, task="t-3", text="x", at=AT, idempotency_key="meant").status == "accepted"


def test_other_rooms_times_texts_and_images_are_other_content(world: World) -> None:
    world.room("강남")
    image = world.value(
        "INSERT INTO images (filename, original_name, mime_type, sha256, file_size, data)"
        " VALUES ('a.png', 'a.png', 'image/png', '', 3, 'abc') RETURNING id"
    )
    base = {"text": "x", "at": AT}
    changes: list[dict[str, Any]] = [
        {}, {"room": "강남"}, {"text": "y"}, {"at": "2998-12-24T18:00:00.001+09:00"},
        {"images": [{"id": image}]},
    ]  # fmt: skip
    assert [ask(world, **base | change).status for change in changes] == ["accepted"] * 5


def test_a_refused_duplicate_is_told_with_its_first_fifty_characters(world: World) -> None:
    """A19."""
    text = "".join(chr(0xAC00 + n) for n in range(80))
    first = ask(world, text=text, at=AT)
    with captured() as heard:
        assert ask(world, text=text, at=AT).status == "refused"
        assert ask(world, text="", at=AT).status == "refused"
    ((event, told),) = heard
    assert event is Event.DUPLICATE_REFUSED
    assert (told["content"], told["message_id"]) == (text[:50], first.id)


def test_the_store_asks_in_a_persons_transaction_and_keeps_the_name(world: World) -> None:
    with transaction("김본사") as session:
        result = store.enqueue(session, {"room": "hq-alerts", "text": "x"})
    assert world.value("SELECT who FROM kb_schedule_history") == "김본사"
    with pytest.raises(RuntimeError), transaction("김본사") as session:
        store.enqueue(session, {"room": "hq-alerts", "text": "y", "idempotency_key": "k"})
        raise RuntimeError
    assert stored(world) == 1
    assert world.value("SELECT count(*) FROM enqueue_keys") == 0
    assert result.as_json() == {
        "id": result.id, "status": "accepted", "duplicate_of": None, "errors": [],
    }  # fmt: skip


def test_the_instant_is_the_same_in_every_offset(world: World) -> None:
    at = world.time.now.astimezone(SEOUL).replace(microsecond=0) + dt.timedelta(hours=1)
    slot = slot_of(ask(world, text="x", at=at.strftime("%Y-%m-%dt%H:%M:%S+0900")))
    assert slot.slot_at == at
