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
from tasks.tracking.rulings import Act, rehearsed, ruling
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
        (InDoubt("timeout"), "later"),
        (NEVER, "failed"),
    ],
)
def test_the_answer_to_an_instruction(outcome: Any, what: str | None) -> None:
    word = answers.instructed(item(), outcome, TERMS)
    assert (word.what if word else None) == what


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
