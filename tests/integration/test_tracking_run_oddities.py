"""Parcels, orders and answers that nobody foresaw hold no other order up, and no run for ever."""

from __future__ import annotations

import pytest

from models.ledger import tracking
from models.queries import tracking as queries
from ops.emulator import Emulator, Rule
from ops.emulator.playauto import PlayAuto
from tasks.tracking.crew import Crew
from tests.support.uploading import Uploading
from tests.support.waiting import eventually


@pytest.fixture
def playauto(up: Uploading) -> PlayAuto:
    return up.playauto


def test_a_parcel_that_is_partly_set_is_completed_and_delays_no_other(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    """One order of a parcel has our number and another none, whichever PlayAuto shows first."""
    up.account()
    up.orders(4)
    for n, number in ((1, "600000000001"), (2, "")):
        first = playauto.orders.bundle(up.value(f"SELECT bundle_no FROM orders WHERE order_no = 'O-{n}'"))[0]
        other = playauto.orders.add(playauto.now(), "출고대기", 0, bundle_no=first.bundle_no)
        playauto.orders.change(first, playauto.now(), carr_no=number and "4", invoice_no=number)
        if not number:
            playauto.orders.change(other, playauto.now(), carr_no="4", invoice_no="600000000002")
    number_ = up.start()
    assert up.until_over(number_).success == 4, up.left(number_)
    assert playauto.changes.summary()["sent"] == 4


def test_a_number_is_ours_in_small_letters_too(up: Uploading, crew: Crew, playauto: PlayAuto) -> None:
    up.account()
    up.orders(2)
    up.db.execute("UPDATE orders SET tracking_number = 'EG123456789KR' WHERE order_no = 'O-1'")
    bundle = up.value("SELECT bundle_no FROM orders WHERE order_no = 'O-1'")
    playauto.orders.change(
        playauto.orders.bundle(bundle)[0], playauto.now(), carr_no="4", invoice_no="eg123456789kr"
    )
    assert up.until_over(up.start()).success == 2
    assert playauto.changes.summary()["overwritten"] == 0


def test_an_instruction_that_never_has_an_answer_ends_the_run(
    up: Uploading, crew: Crew, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.tracking.terms.LONGEST_WAIT_S", 0.1)
    up.account(retry_count=0)
    up.orders(3, instructed=False)
    emulator.faults.add(Rule("500_before", path="instruction", count=None))
    number = up.start()
    ended = up.until_over(number)
    assert (ended.reason, ended.failed) == ("all_failed", 3)
    assert [one.error_code for one in queries.errors(up.db, number)] == ["http_500"]


def test_our_number_is_passed_on_though_another_one_was_before(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    up.account()
    up.orders(2)
    theirs = up.value("SELECT bundle_no FROM orders WHERE order_no = 'O-1'")
    for one in playauto.orders.bundle(theirs):
        playauto.orders.change(
            one, playauto.now(), carr_no="5", invoice_no="777777777777", sent_at=playauto.now() - 60
        )
    up.until_over(up.start())
    (found,) = queries.conflicts(up.db)
    ours = tracking.use_ours(up.db, [found.detail_id], who="mina")
    assert ours.job is not None
    assert up.until_over(ours.job).success == 1
    passed_on = [one.invoice_no for one in playauto.changes.all() if one.call == "SEND_INVOICE"]
    assert sorted(passed_on) == ["600000000001", "600000000002"]


def test_looks_that_are_to_wait_cost_no_try(up: Uploading, crew: Crew, emulator: Emulator) -> None:
    up.account(retry_count=0, batch_size=10)
    up.orders(10)
    emulator.faults.add(Rule("429", path="/orders", count=2))
    assert up.until_over(up.start()).success == 10


def test_an_order_that_cannot_be_passed_on_fails_alone(up: Uploading, crew: Crew, playauto: PlayAuto) -> None:
    """PlayAuto refuses the whole call for it and does not say which one it is."""
    up.account()
    up.orders(9)
    merged = playauto.orders.bundle(up.value("SELECT bundle_no FROM orders WHERE order_no = 'O-4'"))[0]
    playauto.rules.merged = {merged.uniq}
    number = up.start()
    ended = up.until_over(number)
    assert (ended.success, ended.failed) == (8, 1), up.left(number)
    assert [(one.error_code, one.examples) for one in queries.errors(up.db, number)] == [("e2061", ["O-4"])]
    assert playauto.changes.summary()["sent"] == 8
    assert playauto.changes.summary()["sent_again"] == 0
    assert up.value("SELECT max(sends) FROM tracking_upload_details WHERE state = 'succeeded'") == 1


@pytest.mark.parametrize("named", [True, False])
def test_an_order_that_is_new_no_more_holds_no_other_up(
    named: bool, up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    up.account()
    up.orders(9, instructed=False)
    moved = playauto.orders.bundle(up.value("SELECT bundle_no FROM orders WHERE order_no = 'O-4'"))[0]
    playauto.rules.names_bundles = named
    playauto.rules.read_lag_s = 1.0
    playauto.orders.change(moved, playauto.now(), ord_status="출고대기")
    assert up.until_over(up.start()).success == 9
    up.assert_each_once(9)


def test_a_cancelled_order_of_a_parcel_is_not_passed_on(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    up.account()
    up.orders(2)
    first = playauto.orders.bundle(up.value("SELECT bundle_no FROM orders WHERE order_no = 'O-1'"))[0]
    gone = playauto.orders.add(playauto.now(), "취소완료", 0, bundle_no=first.bundle_no)
    playauto.rules.merged = {gone.uniq}  # so that naming it would be refused
    assert up.until_over(up.start()).success == 2
    assert playauto.changes.summary()["sent"] == 2


def test_a_number_is_known_as_stored_though_the_run_is_cancelled_right_after_it(
    up: Uploading, crew: Crew, playauto: PlayAuto
) -> None:
    """The request that stores comes before the one that replaces, and the run is stopped between them."""
    up.account(overwrite=True)
    up.orders(2)
    for one in playauto.orders.bundle(up.value("SELECT bundle_no FROM orders WHERE order_no = 'O-2'")):
        playauto.orders.change(one, playauto.now(), carr_no="5", invoice_no="777777777777")
    playauto.rules.latency_s = 0.5
    number = up.start()
    eventually(lambda: playauto.changes.summary()["stored"] == 1, 10)
    assert tracking.cancel(up.db, number, who="mina") == "cancelled"
    up.until_over(number, 10)
    said = dict(
        up.db.execute(
            "SELECT order_no, error_message FROM tracking_upload_details WHERE job_id = %s", (number,)
        ).fetchall()
    )
    assert said == {
        "O-1": "PlayAuto has the number; it was not passed on to the shop",
        "O-2": "not begun",
    }
    assert playauto.changes.summary()["overwritten"] == 0
