"""A run by one process's crew against the emulated PlayAuto: every end, and what the receipts say of it."""

from __future__ import annotations

import pytest

from models.ledger import tracking
from models.queries import tracking as queries
from ops.emulator import Emulator, Rule
from ops.emulator.playauto import PlayAuto
from runtime import redis_keys
from runtime.redis_client import lock_redis
from tasks.tracking import callbacks, progress
from tasks.tracking.crew import Crew
from tests.support.uploading import Uploading
from tests.support.waiting import eventually


@pytest.fixture
def playauto(up: Uploading) -> PlayAuto:
    return up.playauto


def test_a_run_stores_each_number_and_passes_it_on_once(up: Uploading, crew: Crew) -> None:
    """C40, C41, C45-C47, C77-C83: three steps in bulk, read back, marked."""
    up.account(batch_size=50)
    up.orders(120, instructed=False)
    number = up.start()
    crew.wake()
    ended = up.until_over(number)
    assert (ended.status, ended.reason, ended.total, ended.success) == ("completed", "done", 120, 120)
    up.assert_each_once(120)
    assert queries.pending_count(up.db) == 0
    assert up.value("SELECT count(*) FROM orders WHERE uploaded_at IS NOT NULL") == 120
    shown = eventually(lambda: (progress.seen(number) or {}).get("percent") == 100.0)
    assert shown
    assert (progress.seen(number) or {})["success"] == 120
    eventually(lambda: lock_redis().get(redis_keys.tracking_account("default")) is None)


def test_without_the_shops_a_run_ends_when_the_numbers_are_read_back(up: Uploading, crew: Crew) -> None:
    up.account(send_to_shop=False)
    up.orders(10)
    assert up.until_over(up.start()).success == 10
    up.assert_each_once(10, sent=False)


def test_a_parcel_of_several_orders_is_stored_and_passed_on_once(up: Uploading, crew: Crew) -> None:
    up.account(batch_size=3)
    up.orders(10)
    up.db.execute(
        "INSERT INTO orders (order_no, bundle_no, carrier_code, tracking_number)"
        " SELECT order_no || '-b', bundle_no, carrier_code, tracking_number FROM orders"
    )
    up.playauto.rules.latency_s = 0.05
    assert up.until_over(up.start()).success == 20
    up.assert_each_once(10)


def test_orders_that_can_only_be_refused_cost_no_request_and_hold_nobody_up(
    up: Uploading, crew: Crew
) -> None:
    """C82, C92."""
    up.account()
    up.orders(5)
    up.db.execute("UPDATE orders SET bundle_no = NULL WHERE order_no = 'O-1'")
    up.db.execute("UPDATE orders SET carrier_code = '대한' WHERE order_no = 'O-2'")
    up.db.execute("UPDATE orders SET tracking_number = '123456789012345678901' WHERE order_no = 'O-3'")
    number = up.start()
    ended = up.until_over(number)
    assert (ended.status, ended.reason, ended.success, ended.failed) == ("completed", "some_failed", 2, 3)
    assert {one.error_code for one in queries.errors(up.db, number)} == {"e2002", "e2003", "e2004"}
    assert all(one.message for one in queries.errors(up.db, number))


def test_a_refusal_that_passes_is_tried_again_up_to_the_limit(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    """C41, C44, C81: per order, not per run."""
    up.account(retry_count=1)
    up.orders(6, refuse={"e2043": 0.5})
    number = up.start()
    ended = up.until_over(number)
    assert ended.success == 6
    up.assert_each_once(6)
    assert up.value("SELECT max(retry_attempt) FROM tracking_upload_details") == 1


def test_a_refusal_that_stays_ends_with_its_reason_and_can_be_redriven(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    up.account(retry_count=0)
    playauto.rules.transient_tries = 1
    up.orders(3, refuse={"e2043": 1.0})
    first = up.start()
    ended = up.until_over(first)
    assert (ended.status, ended.reason, ended.failed) == ("failed", "all_failed", 3)
    again = tracking.redrive(up.db, first, "e2043", who="mina")
    assert again.job is not None
    assert up.until_over(again.job).success == 3
    up.assert_each_once(3)


@pytest.mark.parametrize(
    ("fault", "path"),
    [("500_after", "setInvoice"), ("accept_then_drop", "addWorkSelect"), ("500_after", "instruction")],
)
def test_a_lost_answer_is_read_back_and_nothing_is_done_twice(
    fault: str, path: str, up: Uploading, crew: Crew, emulator: Emulator
) -> None:
    up.account(batch_size=20)
    up.orders(20, instructed=path != "instruction")
    emulator.faults.add(Rule(fault, path=path, count=1))
    number = up.start()
    assert up.until_over(number).success == 20, up.left(number)
    up.assert_each_once(20)


def test_an_order_with_another_number_is_a_conflict_for_a_person(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    up.account()
    up.orders(3)
    theirs = up.value("SELECT bundle_no FROM orders WHERE order_no = 'O-1'")
    for one in playauto.orders.bundle(theirs):
        playauto.orders.change(one, playauto.now(), carr_no="5", invoice_no="777777777777")
    number = up.start()
    ended = up.until_over(number)
    assert (ended.success, ended.failed) == (2, 1)
    (found,) = queries.conflicts(up.db)
    assert (found.order_no, found.their_carrier, found.their_number) == ("O-1", "5", "777777777777")
    assert found.our_number == "600000000001"
    ours = tracking.use_ours(up.db, [found.detail_id], who="mina")
    assert ours.job is not None
    assert up.until_over(ours.job).success == 1
    assert playauto.orders.bundle(theirs)[0].invoice_no == "600000000001"
    assert queries.conflicts(up.db) == []


def test_what_playauto_has_already_is_neither_stored_nor_sent_again(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    up.account()
    up.orders(2)
    for n in (1, 2):
        bundle = up.value(f"SELECT bundle_no FROM orders WHERE order_no = 'O-{n}'")
        for one in playauto.orders.bundle(bundle):
            playauto.orders.change(
                one, playauto.now(), carr_no="4", invoice_no=f"60000000000{n}", sent_at=playauto.now()
            )
    assert up.until_over(up.start()).success == 2
    assert playauto.changes.summary()["stored"] == 0
    assert playauto.changes.summary()["sent"] == 0


def test_an_unconfirmed_sending_is_repeated_once_and_then_a_persons(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    up.account()
    up.orders(2)
    playauto.rules.job_lost = 1.0
    number = up.start()
    ended = up.until_over(number, 40)
    assert [(one.error_code, one.state, one.orders) for one in queries.errors(up.db, number)] == [
        ("send_unconfirmed", "unresolved", 2)
    ]
    assert ended.failed == 2
    assert up.value("SELECT max(sends) FROM tracking_upload_details") == 2
    playauto.rules.job_lost = 0.0
    again = up.start()  # another run does not send it a third time
    assert up.until_over(again).failed == 2
    by_hand = tracking.redrive(up.db, again, "send_unconfirmed", who="mina")
    assert by_hand.job is not None
    assert up.until_over(by_hand.job).success == 2


def test_a_callback_triggers_the_look_and_a_foreign_one_changes_nothing(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    up.account()
    up.orders(2)
    playauto.rules.job_delay_s = 1.0
    number = up.start()
    work = eventually(lambda: up.value("SELECT work_no FROM tracking_works"), 10)
    assert callbacks.heard({"results": {"work_no": "999", "status": "완료"}})
    assert callbacks.heard({"results": {"work_no": work, "status": "실패", "message": "로그인"}})
    assert not callbacks.heard({"hello": 1})
    assert up.until_over(number).success == 2
    up.assert_each_once(2)


def test_a_cancelled_run_stops_within_seconds_and_its_orders_wait_on(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    up.account(batch_size=5)
    up.orders(100)
    playauto.rules.latency_s = 0.1
    number = up.start()
    eventually(lambda: up.job(number).success > 0, 20)
    assert tracking.cancel(up.db, number, who="mina") == "cancelled"
    ended = up.until_over(number, 6)
    assert (ended.status, ended.reason) == ("failed", "cancelled")
    assert ended.success + ended.failed + ended.skipped == 100
    assert ended.error_message is not None
    assert ended.error_message.startswith("cancelled by mina: ")
    playauto.rules.latency_s = 0.0
    assert up.until_over(up.start()).reason == "done"
    up.assert_each_once(100)


def test_more_runs_than_threads_share_them_and_each_can_be_cancelled(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    names = ("default", "b", "c")
    for name in names:
        up.account(name=name, batch_size=1)
    up.orders(240)
    up.db.execute("UPDATE orders SET account = (ARRAY['default', 'b', 'c'])[1 + id % 3]")
    playauto.rules.latency_s = 0.1
    jobs = [up.start(account=name, dry_run=True) for name in names]
    crew.wake()
    eventually(lambda: all(up.job(one).skipped for one in jobs), 6)
    assert tracking.cancel(up.db, jobs[2], who="mina") == "cancelled"
    assert up.until_over(jobs[2], 6).reason == "cancelled"
    assert [up.job(one).status for one in jobs[:2]] == ["running", "running"]


def test_a_dry_run_changes_nothing_and_groups_what_is_wrong(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    up.account()
    up.orders(5)
    up.db.execute("UPDATE orders SET bundle_no = NULL WHERE order_no = 'O-1'")
    number = up.start(dry_run=True)
    ended = up.until_over(number)
    assert (ended.status, ended.dry_run) == ("completed", True)
    found = {one.error_code: one.orders for one in queries.errors(up.db, number)}
    assert found == {"would_upload": 4, "e2002": 1}
    assert playauto.changes.all() == []
    assert queries.pending_count(up.db) == 5


def test_an_account_that_is_shut_out_stops_its_run_at_once(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    up.account(batch_size=2)
    up.orders(10)
    playauto.rules.not_approved = ("me@example.com",)  # type: ignore[assignment]
    ended = up.until_over(up.start())
    assert (ended.status, ended.reason) == ("failed", "login_refused")
    assert queries.pending_count(up.db) == 10


def test_a_token_that_ends_in_mid_run_is_renewed(up: Uploading, crew: Crew, playauto: PlayAuto) -> None:
    up.account(batch_size=5)
    up.orders(60)
    playauto.rules.latency_s = 0.05
    number = up.start()
    eventually(lambda: up.job(number).success > 0, 20)
    playauto.expire_tokens()
    assert up.until_over(number).success == 60
    up.assert_each_once(60)


def test_the_end_of_a_run_is_told_to_the_accounts_own_webhooks(
    up: Uploading, crew: Crew, emulator: Emulator
) -> None:
    """C04, C43, C84, C90."""
    up.account(
        notify_slack=True, slack_webhook="https://hooks.slack.com/services/T0/B0/x",
        discord_webhook="https://discord.com/api/webhooks/1/x",
    )  # fmt: skip
    up.orders(2)
    up.until_over(up.start())
    rows = up.db.execute(
        "SELECT g.name, g.kinds, n.severity, n.title FROM notice_deliveries d"
        " JOIN notices n ON n.id = d.notice_id JOIN notice_targets g ON g.id = d.target_id"
    ).fetchall()
    assert [row[:3] for row in rows] == [("tracking-default-slack", ["tracking.run.default"], "info")]
    assert "2" in rows[0][3]


def test_a_webhook_that_nobody_can_read_fails_no_run(up: Uploading, crew: Crew) -> None:
    up.account(notify_slack=True, slack_webhook="sealed:nonsense")
    up.orders(1)
    assert up.until_over(up.start()).status == "completed"


def test_numbers_that_look_wrong_are_held_back_if_the_account_wants_it(up: Uploading, crew: Crew) -> None:
    up.account(number_policy="hold")
    up.orders(2)
    up.db.execute("INSERT INTO carriers (account, code, name) VALUES ('default', '4', 'CJ대한통운')")
    up.db.execute("UPDATE orders SET tracking_number = '12345' WHERE order_no = 'O-1'")
    number = up.start()
    assert up.until_over(number).success == 1
    assert [one.error_code for one in queries.errors(up.db, number)] == ["odd_number"]


def test_a_playauto_whose_looks_lag_behind_is_waited_for(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    up.account()
    up.orders(5)
    playauto.rules.read_lag_s = 1.0
    assert up.until_over(up.start()).success == 5
    up.assert_each_once(5)
