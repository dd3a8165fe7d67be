"""The ledger of notices: told once and counted, each target for itself, rates kept, nothing lost."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from models.ledger import notice_targets, notices
from models.ledger.notices import Notice, Request
from runtime.sealing import unseal
from tests.support import databases
from tests.support.ledger_world import World
from tests.support.noticing import Noticing


@pytest.fixture
def noticing(world: World, ledger_env: dict[str, str]) -> Noticing:
    return Noticing(world.db)


def test_the_same_thing_is_told_once_and_counted(noticing: Noticing) -> None:
    noticing.target()
    first = noticing.post(key="812")
    again = [noticing.post(key="812") for _ in range(37)]
    assert first.fresh
    assert {one.id for one in again} == {first.id}
    assert not any(one.fresh for one in again)
    (row,) = noticing.all()
    assert (row["told"], row["more"]) == (1, 37)
    assert noticing.states("ops") == ["pending"]


def test_when_its_window_ends_what_came_meanwhile_is_told_in_one_notice(
    noticing: Noticing, world: World
) -> None:
    noticing.target()
    noticing.post(key="812")
    noticing.done(noticing.take()[0])
    for _ in range(37):
        noticing.post(key="812")
    world.time.advance(3601)
    assert notices.sweep(noticing.db) == 1
    (one,) = noticing.take()
    assert (one.told, one.repeats) == (37, 1)
    world.time.advance(3601)
    assert notices.sweep(noticing.db) == 0  # nothing more came, so nothing more is said


def test_another_key_or_kind_or_a_graver_word_is_news(noticing: Noticing) -> None:
    assert noticing.post(key="1", severity="warning").fresh
    assert noticing.post(key="2", severity="warning").fresh
    assert noticing.post(key="1", kind="test.other", severity="warning").fresh
    assert not noticing.post(key="1", severity="info").fresh
    assert noticing.post(key="1", severity="critical").fresh


def test_without_a_key_the_words_decide(noticing: Noticing) -> None:
    assert noticing.post("가").fresh
    assert not noticing.post("가").fresh
    assert noticing.post("나").fresh


def test_a_happening_that_was_counted_is_never_counted_again(noticing: Noticing, world: World) -> None:
    at = world.time.now
    noticing.post(key="812", mark=at)
    noticing.post(key="812", mark=at)
    noticing.post(key="812", mark=at - dt.timedelta(seconds=5))
    world.time.advance(90_000)
    notices.sweep(noticing.db)
    assert not noticing.post(key="812", mark=at).fresh
    assert [row["more"] for row in noticing.all()] == [0]


def test_a_condition_that_stands_is_repeated_each_hour_and_not_counted(
    noticing: Noticing, world: World
) -> None:
    noticing.target()
    for _ in range(5):
        noticing.post(key="", standing=True)
        world.time.advance(10)
    assert [row["more"] for row in noticing.all()] == [0]
    noticing.done(noticing.take()[0])
    world.time.advance(3600)
    assert not noticing.take()
    assert notices.sweep(noticing.db) == 1
    (one,) = noticing.take()
    assert one.standing
    assert one.repeats == 1
    assert one.first_at == noticing.all()[0]["first_at"]
    world.time.advance(60)
    assert [over.kind for over in notices.over(noticing.db, 30)] == ["test"]
    assert notices.over(noticing.db, 30) == []


def test_a_hundred_posts_at_once_make_one_notice(noticing: Noticing, ledger_url: str, world: World) -> None:
    def post(_: int) -> bool:
        with databases.connect(ledger_url) as db:
            return notices.post(db, Notice(kind="test", key="812", title="같은 일")).fresh

    with ThreadPoolExecutor(8) as threads:
        fresh = list(threads.map(post, range(100)))
    assert fresh.count(True) == 1
    (row,) = noticing.all()
    assert row["told"] + row["more"] == 100


def test_a_target_gets_only_what_it_asked_for(noticing: Noticing) -> None:
    noticing.target("all")
    noticing.target("grave", min_severity="critical")
    noticing.target("slots", kinds=["slots"])
    noticing.post(kind="slots.failed", key="")
    noticing.post(kind="slotsnot", key="")
    noticing.post(kind="beat.silent", key="", severity="critical")
    assert [len(noticing.states(name)) for name in ("all", "grave", "slots")] == [3, 1, 1]


def test_each_target_is_taken_for_itself_and_one_notice_at_a_time(noticing: Noticing) -> None:
    for name in ("a", "b"):
        noticing.target(name)
    for title in ("하나", "둘"):
        noticing.post(title)
    first = noticing.take()
    assert sorted((one.target, one.title) for one in first) == [("a", "하나"), ("b", "하나")]
    assert noticing.take() == []
    by_name = {one.target: one for one in first}
    noticing.done(by_name["a"])
    assert [(one.target, one.title) for one in noticing.take()] == [("a", "둘")]


def test_a_delivery_whose_process_died_is_taken_again_after_its_lease(
    noticing: Noticing, world: World
) -> None:
    noticing.target()
    noticing.post()
    (lost,) = noticing.take(lease_s=30)
    world.time.advance(29)
    assert noticing.take() == []
    world.time.advance(2)
    other = Noticing(noticing.db)
    (again,) = other.take()
    assert again.notice_id == lost.notice_id
    assert not noticing.done(lost, "gone")  # too late: somebody else has it
    assert noticing.row_of("ops").enabled
    other.done(again)
    assert noticing.states("ops") == ["sent"]


def test_what_had_to_wait_for_the_rate_is_named_in_one_line(noticing: Noticing, world: World) -> None:
    """20 an hour and 5 at once; critical passes."""
    noticing.target(per_hour=20, burst=5)
    titles = [f"일 {n}" for n in range(18)]
    for title in titles:
        noticing.post(title)
    sent = drained(noticing)
    assert [one.title for one in sent] == titles[:5]
    noticing.post("심각", severity="critical")
    assert [one.title for one in drained(noticing)] == ["심각"]
    world.time.advance(180)
    (one,) = drained(noticing)
    assert one.title == "일 5"
    assert one.held_count == 12
    assert one.held == [f"일 {n}" for n in (17, 16, 15, 14, 13)]
    assert noticing.states("ops").count("held") == 12
    world.time.advance(3600)
    assert drained(noticing) == []


def drained(noticing: Noticing) -> list[Any]:
    """Everything that may be sent now, sent."""
    sent = []
    while taken := noticing.take():
        for one in taken:
            noticing.done(one)
            sent.append(one)
    return sent


def test_a_target_that_asks_for_time_gets_it_and_holds_nobody_else_up(
    noticing: Noticing, world: World
) -> None:
    noticing.target("busy")
    noticing.target("free")
    noticing.post("하나")
    for one in noticing.take():
        noticing.done(one, "later" if one.target == "busy" else "sent", wait_s=64.57, error="HTTP 429")
    noticing.post("둘", severity="critical")
    (one,) = noticing.take()
    assert one.target == "free"
    noticing.done(one)
    world.time.advance(64)
    assert noticing.take() == []
    world.time.advance(1)
    assert [(one.target, one.title) for one in noticing.take()] == [("busy", "둘")]


def test_a_target_that_is_gone_is_switched_off_and_nothing_more_waits_for_it(noticing: Noticing) -> None:
    noticing.target()
    noticing.post("하나")
    noticing.post("둘")
    (one,) = noticing.take()
    assert noticing.done(one, "gone", error="HTTP 404: Unknown Webhook")
    row = noticing.row_of("ops")
    assert (row.enabled, row.disabled_reason) == (False, "HTTP 404: Unknown Webhook")
    assert noticing.states("ops") == ["failed", "failed"]
    noticing.post("셋")
    assert noticing.take() == []
    notice_targets.switch(noticing.db, "ops", on=True, reason="")
    noticing.post("넷")
    assert [one.title for one in noticing.take()] == ["넷"]


def test_what_keeps_failing_is_tried_for_a_day_and_a_target_may_be_switched_off_by_count(
    noticing: Noticing, world: World
) -> None:
    noticing.target()
    noticing.post()
    off = []
    for _ in range(3):
        (one,) = noticing.take()
        off.append(noticing.done(one, "failed", wait_s=900, error="HTTP 503", off_after=3))
        world.time.advance(901)
    assert off == [False, False, True]
    notice_targets.switch(noticing.db, "ops", on=True, reason="")
    noticing.post("다른 일")
    world.time.advance(86_401)
    (one,) = noticing.take()
    noticing.done(one, "failed", wait_s=900, error="HTTP 503")
    assert noticing.states("ops") == ["failed", "failed"]


def test_a_key_is_one_notice_and_another_body_under_it_is_refused(noticing: Noticing) -> None:
    notice = Notice(kind="external", title="결제 실패")
    first = notices.post_once(noticing.db, notice, Request("k1", "body"))
    assert first[1] == "accepted"
    assert notices.post_once(noticing.db, notice, Request("k1", "body")) == (first[0], "duplicate")
    assert notices.post_once(noticing.db, notice, Request("k1", "other")) == (first[0], "refused")
    assert notices.post_once(noticing.db, notice, Request("k2", "body")) == (first[0], "accepted")
    assert [row["more"] for row in noticing.all()] == [1]


def test_an_address_is_sealed_in_the_table_and_only_ours_opens_it(noticing: Noticing, world: World) -> None:
    noticing.target(url="discord://123456/very-secret")
    sealed = world.value("SELECT address FROM notice_targets")
    assert b"very-secret" not in bytes(sealed)
    assert "very-secret" not in world.value("SELECT row_to_json(g)::text FROM notice_targets g")
    assert unseal(sealed) == "discord://123456/very-secret"


def test_what_is_past_retention_goes_and_what_is_open_stays(noticing: Noticing, world: World) -> None:
    noticing.post("옛 일")
    notices.post_once(noticing.db, Notice(kind="external", title="옛 일"), Request("k1", "b"))
    world.time.advance(31 * 86_400)
    assert notices.prune(noticing.db, 30) == 0
    notices.sweep(noticing.db)
    assert notices.prune(noticing.db, 30) == 2
    assert world.value("SELECT count(*) FROM notice_requests") == 0


def test_no_statement_of_the_outbox_reads_a_table_from_end_to_end(
    world: World, ledger_env: dict[str, str]
) -> None:
    db: psycopg.Connection[Any] = world.db
    noticing = Noticing(db)
    noticing.target()
    db.execute(
        "INSERT INTO notices (kind, key, severity, title, first_at, made_at, last_at, open, open_until)"
        " SELECT 'old', n::text, 'info', 'x', t, t, t, false, t FROM generate_series(1, 20000) n,"
        " (SELECT ledger_now() AS t) x"
    )
    db.execute(
        "INSERT INTO notice_deliveries (notice_id, target_id, state, not_before)"
        " SELECT id, (SELECT max(id) FROM notice_targets), 'sent', made_at FROM notices"
    )
    db.execute("ANALYZE notices, notice_deliveries")
    before = scans(world)
    noticing.post(key="1")
    noticing.post(key="1")
    noticing.done(noticing.take()[0])
    notices.sweep(db)
    notices.over(db, 30)
    notices.prune(db, 30)
    assert scans(world) == before


def scans(world: World) -> dict[str, int]:
    world.db.execute("SELECT pg_stat_force_next_flush()")
    rows = world.rows(
        "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN ('notices', 'notice_deliveries')"
    )
    return {row["relname"]: row["seq_scan"] for row in rows}
