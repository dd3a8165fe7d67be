"""From what the ledger knows and PlayAuto shows of an order to its next step, and from answers to words."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from gateways.errors import PlayAutoUnavailable
from gateways.playauto.values import (
    AlreadySet,
    InDoubt,
    Instructed,
    JobsStarted,
    NotSent,
    Order,
    Refused,
    Stored,
)
from models.ledger.tracking_worker import Item, Word
from tasks.tracking import answers
from tasks.tracking.parcels import halves
from tasks.tracking.rulings import Act, counts_since, is_partly_set, rehearsed, ruling
from tasks.tracking.terms import Terms, backoff_s, look_again_s

TERMS = Terms("default", True, True, False, False, retry_count=3, confirm_s=300.0, dry_run=False)
NUMBER = "123456789012"
ITEM = Item(
    chunk=1, id=7, order_no="A", bundle_no="B", carrier_code="4", tracking_number="1234-5678-9012",
    step="set", tries=0, misses=0, looks=0, exposed=False, stored_s=None, sends=0, sent_s=None,
    overwrite=False, error_code=None,
)  # fmt: skip
SENT_AT = dt.datetime(2026, 11, 27, tzinfo=dt.UTC)


def item(**changes: Any) -> Item:
    return replace(ITEM, **changes)


def shown(number: str = "", status: str = "출고대기", *, sent: bool = False, of: str = "4") -> list[Order]:
    sent_at = SENT_AT if sent else None
    return [Order("U", "B", status, of if number else "", number, "A001", "me", "S", None, sent_at)]


@pytest.mark.parametrize(
    ("one", "orders", "next_"),
    [
        (item(), shown(), Act.SET),
        (item(), [], Act.SET),
        (item(), shown(status="신규주문"), Act.INSTRUCT),
        (item(tries=3), shown(), Act.SET),
        (item(), shown(NUMBER), Act.SEND),
        (item(exposed=True, tries=1), shown(NUMBER), Act.SEND),
        (item(sends=1, sent_s=301.0), shown(NUMBER), Act.SEND),
        (item(overwrite=True), shown("999"), Act.OVERWRITE),
    ],
)
def test_what_is_missing_is_requested(one: Item, orders: list[Order], next_: Act) -> None:
    assert ruling(one, orders, TERMS) is next_


@pytest.mark.parametrize(
    ("one", "orders", "what", "code"),
    [
        (item(), shown(NUMBER, sent=True), "succeeded", None),
        (item(sends=1, sent_s=5.0), shown(NUMBER), "later", None),
        (item(sends=2, sent_s=301.0), shown(NUMBER), "unresolved", "send_unconfirmed"),
        (item(), shown("999"), "unresolved", "conflict"),
        (item(), shown(NUMBER, of="5"), "unresolved", "conflict"),
        (item(exposed=True, tries=1), shown("999"), "unresolved", "conflict"),
        (item(stored_s=5.0), shown(), "later", None),
        (item(stored_s=301.0), shown(), "unresolved", "not_shown"),
        (item(stored_s=5.0, overwrite=True), shown("999"), "later", None),
        (item(tries=4, error_code="e2043"), shown(), "failed", "e2043"),
        (item(tries=4), shown(), "failed", "in_doubt"),
        (item(tries=4, error_code="e2007"), shown(), "unresolved", "not_shown"),
        (item(tries=4, overwrite=True), shown("999"), "failed", "in_doubt"),
    ],
)
def test_what_is_seen_ends_it_or_has_it_wait(
    one: Item, orders: list[Order], what: str, code: str | None
) -> None:
    word = ruling(one, orders, TERMS)
    assert isinstance(word, Word)
    assert (word.what, word.code) == (what, code)


def test_without_the_shops_a_number_that_shows_is_enough() -> None:
    word = ruling(item(), shown(NUMBER), replace(TERMS, send_to_shop=False))
    assert isinstance(word, Word)
    assert word.what == "succeeded"


def test_without_instruction_a_new_order_is_left_to_playautos_word() -> None:
    assert ruling(item(), shown(status="신규주문"), replace(TERMS, instruct=False)) is Act.SET


def test_a_conflict_keeps_both_values() -> None:
    word = ruling(item(), shown("999", of="5"), TERMS)
    assert isinstance(word, Word)
    assert word.evidence == {
        "ours": {"carrier": "4", "number": NUMBER},
        "theirs": {"carrier": "5", "number": "999", "uniq": "U"},
    }


@pytest.mark.parametrize(
    ("orders", "code"),
    [(shown(), "would_upload"), (shown(NUMBER), "would_send"), (shown(NUMBER, sent=True), "already_uploaded"),
     (shown("999"), "conflict")],
)  # fmt: skip
def test_a_dry_run_says_what_would_be_done(orders: list[Order], code: str) -> None:
    word = rehearsed(item(), ruling(item(), orders, TERMS))
    assert word.code == code
    assert word.what in ("skipped", "unresolved")


def half(status: str = "출고대기", *, sent: bool = False) -> list[Order]:
    """A parcel of two orders, one of them with our number, the other with none."""
    return [*shown(NUMBER, sent=sent), *shown(status=status)]


def test_a_parcel_that_has_our_number_on_some_orders_gets_it_on_the_others() -> None:
    assert ruling(item(), half(), TERMS) is Act.SET
    assert ruling(item(), half("신규주문"), TERMS) is Act.INSTRUCT
    assert is_partly_set(item(), half())
    assert not is_partly_set(item(), shown("999"))
    assert ruling(item(stored_s=1.0), half(), TERMS) is Act.SEND
    waits = ruling(item(stored_s=1.0, sends=1, sent_s=1.0), half(sent=True), TERMS)
    ends = ruling(item(stored_s=301.0, sends=1, sent_s=301.0), half(sent=True), TERMS)
    assert isinstance(waits, Word)
    assert isinstance(ends, Word)
    assert (waits.what, ends.what) == ("later", "succeeded")


def test_a_cancelled_order_that_has_our_number_is_not_passed_on() -> None:
    word = ruling(item(), shown(NUMBER, status="취소완료"), TERMS)
    assert isinstance(word, Word)
    assert (word.what, word.code) == ("failed", "e2040")


def test_after_an_overwrite_only_a_later_sending_counts() -> None:
    now = SENT_AT + dt.timedelta(seconds=100.5)
    replaced = item(overwrite=True, tries=1)
    assert counts_since(item(stored_s=1.0, tries=1), now) is None
    assert counts_since(item(overwrite=True), now) is None
    assert counts_since(replaced, now) == SENT_AT + dt.timedelta(seconds=100)
    kept = replace(replaced, stored_s=10.0)
    assert counts_since(kept, now) == SENT_AT + dt.timedelta(seconds=90)
    assert counts_since(replace(kept, sent_s=12.0), now) == SENT_AT + dt.timedelta(seconds=88)
    assert counts_since(replace(kept, sent_s=500.0), now) == SENT_AT + dt.timedelta(seconds=90)
    died = replace(replaced, step="send", sends=1, sent_s=70.0)
    assert counts_since(died, now) == SENT_AT + dt.timedelta(seconds=30)
    assert ruling(kept, shown(NUMBER, sent=True), TERMS, counts_since(kept, now)) is Act.SEND
    earlier = replace(kept, stored_s=101.0)
    word = ruling(earlier, shown(NUMBER, sent=True), TERMS, counts_since(earlier, now))
    assert isinstance(word, Word)
    assert word.what == "succeeded"


BUSY = Refused("e2043", "", retryable=True)
NEVER = Refused("e2003", "", retryable=False)


@pytest.mark.parametrize(
    ("one", "outcome", "what", "mark", "code"),
    [
        (item(), AlreadySet(), "later", "doubt", "e2007"),
        (item(), InDoubt("timeout"), "later", "doubt", "in_doubt"),
        (item(tries=9), InDoubt("timeout"), "later", "doubt", "in_doubt"),
        (item(tries=2), BUSY, "later", None, "e2043"),
        (item(tries=3), BUSY, "failed", None, "e2043"),
        (item(), NEVER, "failed", None, "e2003"),
        (item(), NotSent("refused"), "later", None, "not_sent"),
        (item(tries=3), NotSent("refused"), "failed", None, "not_sent"),
    ],
)
def test_the_answer_to_storing_a_number(
    one: Item, outcome: Any, what: str, mark: str | None, code: str
) -> None:
    word = answers.set_(one, outcome, TERMS)
    assert word is not None
    assert (word.what, word.mark, word.code) == (what, mark, code)
    assert word.what != "failed" or word.message


@pytest.mark.parametrize(
    ("one", "outcome", "what", "mark"),
    [
        (item(), JobsStarted(("1",)), "later", "stored"),
        (item(), InDoubt("timeout"), "later", "stored"),
        (item(), NotSent("refused"), "later", "unsent"),
        (item(), BUSY, "later", "unsent"),
        (item(misses=3), BUSY, "failed", "unsent"),
        (item(), NEVER, "failed", "unsent"),
    ],
)
def test_the_answer_to_passing_a_number_on(one: Item, outcome: Any, what: str, mark: str) -> None:
    word = answers.sent(one, outcome, TERMS)
    assert (word.what, word.mark) == (what, mark)


@pytest.mark.parametrize(
    ("outcome", "what"),
    [
        (Instructed(), None),
        (Refused("e2009", "", retryable=False, whole=True, bundle_nos=("B",)), None),
        (Refused("e2009", "", retryable=False, whole=True), "later"),
        (Refused("e2009", "", retryable=False, whole=True, bundle_nos=("C",)), "later"),
        (InDoubt("timeout"), "later"),
        (NEVER, "failed"),
    ],
)
def test_the_answer_to_an_instruction(outcome: Any, what: str | None) -> None:
    word = answers.instructed(item(), outcome, TERMS)
    assert (word.what if word else None) == what


def test_only_a_refusal_for_one_of_the_orders_has_the_others_tried_again() -> None:
    assert answers.is_of_some_order(Refused("e2061", "", retryable=False, whole=True))
    for of_all in ("e1006", "400", "e2999", "e2043"):
        assert not answers.is_of_some_order(Refused(of_all, "", retryable=False, whole=True))
    assert not answers.is_of_some_order(NEVER)
    assert not answers.is_of_some_order(InDoubt("timeout"))


def test_what_is_tried_in_halves_keeps_its_parcels_whole() -> None:
    items = [item(id=n, bundle_no=bundle) for n, bundle in enumerate("ABACB")]
    assert halves(items) == [[0, 2], [1, 3, 4]]
    assert halves(items[::2][:2]) == [[0, 2]]


def test_an_instruction_that_is_never_confirmed_fails_in_the_end() -> None:
    for terms in (TERMS, replace(TERMS, retry_count=0)):
        waits = answers.instructed(item(misses=2), InDoubt("e1999"), terms)
        ends = answers.instructed(item(misses=3), InDoubt("e1999"), terms)
        assert waits is not None
        assert ends is not None
        assert (waits.what, waits.mark) == ("later", "miss")
        assert (ends.what, ends.code) == ("failed", "e1999")


def test_a_request_for_patience_costs_no_try_and_is_heeded() -> None:
    busy = PlayAutoUnavailable("for orders", "http_429", "http_429", retryable=True, retry_after_s=7.0)
    word = answers.unanswered(item(misses=9), busy, TERMS)
    assert (word.what, word.mark, word.wait_s) == ("later", None, 7.0)
    assert answers.unanswered(item(exposed=True), busy, TERMS).mark == "doubt"
    heard = answers.patience(busy)
    assert heard is not None
    assert heard.retry_after_s == 7.0


def test_a_surprise_ends_as_failed_only_if_nothing_may_have_been_stored() -> None:
    error = ValueError("odd")
    first = answers.surprised(item(), error, TERMS)
    assert (first.what, first.code) == ("later", "surprise")
    assert answers.surprised(item(misses=3), error, TERMS).what == "failed"
    assert answers.surprised(item(misses=3, exposed=True), error, TERMS).what == "unresolved"


def test_a_look_without_an_answer_is_no_end_of_what_may_have_been_stored() -> None:
    gone = PlayAutoUnavailable("for orders", "http_500", "it failed", retryable=True)
    assert answers.unanswered(item(misses=2), gone, TERMS).what == "later"
    assert answers.unanswered(item(misses=3), gone, TERMS).what == "failed"
    assert answers.unanswered(item(misses=9, exposed=True), gone, TERMS).what == "later"
    assert answers.unanswered(item(misses=10, exposed=True), gone, TERMS).what == "unresolved"


def test_only_what_is_said_of_the_account_stops_a_run() -> None:
    assert answers.shut(Refused("e1006", "", retryable=False, whole=True)) is not None
    assert answers.shut(Refused("e1006", "", retryable=False)) is None
    assert answers.shut(Refused("e2009", "", retryable=False, whole=True)) is None
    assert answers.shut(Stored()) is None


def test_tries_wait_twice_as_long_each_time_give_or_take_a_fifth() -> None:
    for tries, seconds in ((1, 2.0), (2, 4.0), (3, 8.0), (10, 60.0)):
        assert all(0.8 * seconds <= backoff_s(tries) <= 1.2 * seconds for _ in range(50))
    assert 24.0 <= look_again_s(9) <= 36.0
