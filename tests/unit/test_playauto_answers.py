"""PlayAuto's answers, held against those of its pages and of working clients; the emulator says the same."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests

from gateways.http import Reply
from gateways.playauto import answers, dialect
from gateways.playauto.errors import BY_CODE, ERRORS, told
from gateways.playauto.values import Account, Choices, InvoiceRow, Order, OrderQuery, Refused
from ops.emulator import Emulator
from ops.emulator.playauto.orders import TO_SHIP
from tests.support.playauto_fixtures import PAIRS, filled, log_in, matches

ROW = {"bundle_no": "3772225519903274", "uniq": "3000000000000001"}
CARRIERS = [{"carrier_code": "4", "carrier_name": "CJ대한통운"}]
NUMBER = InvoiceRow(ROW["bundle_no"], "4", "377811119999")


def reply_of(body: Any, status: int = 200, *, cut: bool = False) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return Reply(status, {"Content-Type": "application/json"}, raw, cut, 1.0)


def order(**fields: Any) -> Order:
    row = {**ROW, "ord_status": "운송장출력", "carr_no": "4", "invoice_no": "377811119999", **fields}
    found = answers.order_of(row)
    assert found is not None
    return found


@pytest.mark.parametrize("name", PAIRS)
def test_an_answer_means_what_playauto_says(name: str) -> None:
    pair = PAIRS[name]
    said = filled(pair["response"], ROW)
    body = (
        [{"carrier_code": "4", "carrier_name": "CJ대한통운"}] if "carriers" in pair["read"] else said["body"]
    )
    reply, read = reply_of(body, said["status"]), pair["read"]
    assert pair["source"]
    if "token" in read:
        assert (answers.token_of(reply) is not None) is read["token"]
    if "carriers" in read:
        assert answers.carriers_of(reply)
    if "effect" in read:
        problem = answers.problem_of(reply)
        assert problem is not None
        assert problem.effect == read["effect"]
    if "kind" in read:
        outcome = read_by_path(pair["request"]["path"], reply)
        assert outcome.kind == read["kind"]
        assert getattr(outcome, "code", None) == read.get("code")
        assert getattr(outcome, "retryable", None) == read.get("retryable")


def read_by_path(path: str, reply: Reply) -> Any:
    if path == dialect.SET_INVOICE:
        return answers.invoice_outcomes(reply, [ROW["bundle_no"]])[ROW["bundle_no"]]
    return answers.instruct_outcome(reply) if path == dialect.INSTRUCTION else answers.jobs_outcome(reply)


@pytest.mark.parametrize("name", PAIRS)
def test_the_emulator_answers_as_playauto(name: str) -> None:
    pair = PAIRS[name]
    with Emulator(seed=7) as emulator:
        playauto = emulator.playauto()
        playauto.seed(1, **{"states": {TO_SHIP: 1.0}, **pair.get("seed", {})})
        row = playauto.bundles()[0]
        headers = log_in(emulator)
        playauto.rules.change(pair.get("settings", {}))
        if pair.get("token") == "ended":
            playauto.expire_tokens()
        asked, said = filled(pair["request"], row), filled(pair["response"], row)
        answer = requests.request(
            asked["method"], f"{emulator.url}/playauto{asked['path']}", json=asked["body"], headers=headers,
            timeout=5,
        )  # fmt: skip
        assert answer.status_code == said["status"]
        assert matches(said["body"], answer.json()), answer.json()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_every_code_says_in_both_languages_what_it_means_and_what_to_do(error: Any) -> None:
    """C92: the error of a failed upload is a sentence that says what to do."""
    assert error.means in told(error.code)
    assert error.todo in told(error.code)
    assert error.todo_ko in told(error.code, "ko")
    assert error.means_ko in told(error.code, "ko")


def test_every_code_stands_in_the_operators_page_as_the_table_has_it() -> None:
    page = (Path(__file__).parents[2] / "docs" / "playauto.md").read_text(encoding="utf-8")
    for error in ERRORS:
        row = next(line for line in page.splitlines() if line.startswith(f"| {error.code} |"))
        for said in (error.means, error.means_ko, error.todo, error.todo_ko):
            assert f"| {said} |" in row


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_an_error_counts_whatever_the_status_it_comes_under(error: Any, status: int) -> None:
    reply = reply_of({"error_code": error.code, "messages": ["거절"]}, status)
    outcome = answers.instruct_outcome(reply)
    if error.effect == "unknown":
        assert outcome.kind == "in_doubt"
        return
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.message, outcome.whole) == (error.code, "거절", True)
    assert outcome.retryable is (error.effect in ("retry", "token"))


def test_only_what_may_succeed_by_itself_is_retryable() -> None:
    """C44: backoff is for what a later try can mend."""
    assert {code for code, error in BY_CODE.items() if error.retryable} == {
        "401", "e1001", "e1002", "e1003", "e1004", "e1005", "e1999", "e2043", "e2999",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"<html>sign in</html>", 200, "not_the_provider"),
        ({"message": "Too Many Requests"}, 429, "http_429"),
        ({"message": "Internal server error"}, 500, "http_500"),
        (b"<h1>Not Found</h1>", 404, "http_404"),
        (b"", 307, "http_307"),
        ([], 200, "no_row"),
        ([{"bundle_no": "another", "result": "성공"}], 200, "no_row"),
        ([{"bundle_no": ROW["bundle_no"]}], 200, "no_result"),
        ([{"bundle_no": ROW["bundle_no"], "result": "실패", "error_code": "e2999"}], 200, "e2999"),
        ({"results": "성공"}, 200, "not_the_provider"),
    ],
)
def test_what_playauto_did_not_say_of_a_bundle_is_in_doubt(body: Any, status: int, reason: str) -> None:
    outcome = answers.invoice_outcomes(reply_of(body, status), [ROW["bundle_no"]])[ROW["bundle_no"]]
    assert (outcome.kind, getattr(outcome, "reason", None)) == ("in_doubt", reason)


def test_half_an_answer_stores_nothing() -> None:
    whole = [{"bundle_no": ROW["bundle_no"], "result": "성공", "message": ""}]
    outcome = answers.invoice_outcomes(reply_of(whole, cut=True), [ROW["bundle_no"]])
    assert outcome[ROW["bundle_no"]].kind == "in_doubt"


def test_bundles_of_one_answer_get_their_own_outcomes_though_their_numbers_are_no_texts() -> None:
    rows = [
        {"bundle_no": 1, "result": "성공", "message": ""},
        {"bundle_no": "2", "result": "실패", "error_code": "e2005", "messages": ["없음", "확인"]},
        {"bundle_no": "3", "result": "실패", "message": "모름"},
        {"bundle_no": "4", "result": "실패", "error_code": "e7777", "messages": []},
    ]
    said = answers.invoice_outcomes(reply_of(rows), ["1", "2", "3", "4"])
    assert [one.kind for one in said.values()] == ["stored", "refused", "refused", "refused"]
    assert said["2"] == Refused("e2005", "없음; 확인", retryable=False)
    assert said["3"] == Refused("no_code", "모름", retryable=True)
    assert said["4"] == Refused("e7777", "", retryable=True)


@pytest.mark.parametrize("key", ["results", "result"])
def test_orders_are_read_by_either_name(key: str) -> None:
    row = {**ROW, "ord_status": "배송중", "carr_no": 4, "wdate": "2026-11-02 09:30:00",
           "invoice_send_time": "2026-11-03 10:00:00"}  # fmt: skip
    page = answers.page_of(reply_of({key: [row], "recordsFiltered": 7, "recordsTotal": 9}))
    assert page is not None
    assert page.total == 7
    assert (page.orders[0].carr_no, page.orders[0].invoice_no) == ("4", "")
    assert page.orders[0].sent_at is not None
    assert page.orders[0].sent_at.isoformat() == "2026-11-03T10:00:00+09:00"


@pytest.mark.parametrize(
    "body", [{}, [], {"results": None}, {"results": [{}]}, {"results": [], "error_code": "e2999"}, b"<html>"]
)
def test_what_is_no_page_of_orders_is_not_read_as_an_empty_one(body: Any) -> None:
    assert answers.page_of(reply_of(body)) is None


def test_nobodys_address_is_printed_with_an_order() -> None:
    assert "홍길동" not in repr(order(to_name="홍길동"))


@pytest.mark.parametrize("fields", [("carrier_code", "carrier_name"), ("carr_no", "carr_name")])
def test_carriers_are_read_by_either_name(fields: tuple[str, str]) -> None:
    rows = [dict(zip(fields, ("4", "CJ대한통운"), strict=True))]
    for body in (rows, {"results": rows}):
        found = answers.carriers_of(reply_of(body))
        assert found is not None
        assert (found[0].code, found[0].name) == ("4", "CJ대한통운")
    assert answers.carriers_of(reply_of([{"unknown": "4"}])) is None


@pytest.mark.parametrize(
    ("fields", "number", "sent"),
    [
        ({}, "ours", False),
        ({"invoice_no": "3778-1111-9999", "invoice_send_time": "2026-11-03 10:00:00"}, "ours", True),
        ({"invoice_no": None, "carr_no": None}, "none", False),
        ({"invoice_no": "111111111111"}, "other", False),
        ({"carr_no": "5"}, "other", False),
        ({"invoice_no": "３７７８１１１１９９９９"}, "ours", False),
    ],
)
def test_a_look_at_the_orders_says_whose_number_it_is(
    fields: dict[str, Any], number: str, sent: bool
) -> None:
    found = answers.read_back(NUMBER, [order(**fields)])
    assert (found.number, found.sent) == (number, sent)


def test_a_bundle_counts_as_done_only_with_all_its_orders() -> None:
    at = "2026-11-03 10:00:00"
    half = [order(invoice_send_time=at), order(uniq="2", invoice_no="")]
    assert answers.read_back(NUMBER, half).number == "partly"
    assert answers.read_back(NUMBER, [order(invoice_send_time=at), order(uniq="2")]).sent is False
    assert answers.read_back(NUMBER, []).number == "unknown"


def test_letters_of_a_number_are_compared_whatever_their_case() -> None:
    ours = InvoiceRow(ROW["bundle_no"], "4", "EG123456789KR")
    theirs = order(invoice_no="eg 123456789 kr")
    assert answers.read_back(ours, [theirs]).number == "ours"
    assert answers.differing(ours, [theirs]) is None
    assert ours.cleaned() == InvoiceRow(ours.bundle_no, "4", "EG123456789KR")


def test_a_parcels_cancelled_orders_are_not_waited_for_and_not_passed_on() -> None:
    at = "2026-11-03 10:00:00"
    gone = order(uniq="2", invoice_no="", ord_status="취소완료")
    kept = order(uniq="3", ord_status="취소철회")
    found = answers.read_back(NUMBER, [order(invoice_send_time=at), gone])
    assert (found.number, found.sent, found.claimed) == ("ours", True, False)
    assert answers.read_back(NUMBER, [order(ord_status="반품요청")]).claimed
    assert answers.to_send([order(), gone, kept]) == [order(), kept]


def test_a_sending_before_the_number_was_replaced_is_none() -> None:
    at = "2026-11-03 10:00:00"
    one = order(invoice_send_time=at)
    since = answers.instant("2026-11-03 10:00:01")
    assert answers.to_send([one]) == []
    assert answers.to_send([one], since) == [one]
    assert answers.read_back(NUMBER, [one], since).sent is False
    assert answers.read_back(NUMBER, [one], answers.instant(at)).sent is True


@pytest.mark.parametrize(
    ("status", "state"),
    [("실패", "failed"), ("성공", "succeeded"), ("완료", "succeeded"), ("?", "unclear")],
)
def test_a_callback_is_read(status: str, state: str) -> None:
    body = {"results": {"work_no": 700001, "job_name": "송장전송", "site_name": "옥션", "site_nick": "옥션",
                        "shop_id": "seller1", "status": status, "message": ["로그인 실패"]}}  # fmt: skip
    report = answers.parse_callback(body)
    assert report is not None
    assert (report.work_no, report.state, report.messages) == ("700001", state, ("로그인 실패",))


@pytest.mark.parametrize(
    "body", [None, [], {}, {"results": []}, {"results": {"status": "성공"}}, {"results": {"work_no": True}}]
)
def test_what_is_no_callback_is_none(body: Any) -> None:
    assert answers.parse_callback(body) is None


def test_a_callback_with_monstrous_fields_is_cut() -> None:
    report = answers.parse_callback({"results": {"work_no": "9" * 9999, "message": ["x" * 9999]}})
    assert report is not None
    assert (len(report.work_no), len(report.messages[0])) == (100, answers.MESSAGE_MAX)


def test_an_instruction_without_bundles_cannot_be_written() -> None:
    for bundles in ([], [""], ["1", ""]):
        with pytest.raises(ValueError, match="every new order"):
            dialect.instruction_body(bundles)
    assert dialect.instruction_body(["1"])["bundle_codes"] == ["1"]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (InvoiceRow("", "4", "1"), "e2002"),
        (InvoiceRow("1", "", "1"), "e2003"),
        (InvoiceRow("1", "CJ", "1"), "e2003"),
        (InvoiceRow("1", "4", " - "), "e2004"),
        (InvoiceRow("1", "4", "1" * 21), "e2004"),
        (InvoiceRow("1", "4", "송장"), "e2004"),
    ],
)
def test_a_row_that_could_only_be_refused_is_refused_here(row: InvoiceRow, code: str) -> None:
    """C92: a malformed carrier or number is named before it goes out."""
    refused = dialect.refused_here([row.cleaned()])
    assert [one.code for one in refused.values()] == [code]


def test_one_bundle_with_two_numbers_is_refused_and_the_others_are_not() -> None:
    rows = [InvoiceRow("1", "4", "1"), InvoiceRow("1", "4", "2"), InvoiceRow("2", "4", "1")]
    assert {one: refused.code for one, refused in dialect.refused_here(rows).items()} == {"1": "e2006"}


def test_a_number_keeps_its_zeros_and_loses_its_hyphens() -> None:
    assert InvoiceRow("1", "4", "0012-3456 7890").cleaned().invoice_no == "001234567890"


def test_what_a_sending_job_is_given_is_a_choice_in_one_place() -> None:
    orders = [order(), order(uniq="2")]
    assert dialect.send_body(orders, None, Choices())["list"] == [ROW["uniq"], "2"]
    assert dialect.send_body(orders, None, Choices(send_by="bundle_no"))["list"] == [ROW["bundle_no"]]


def test_days_that_run_backwards_are_refused_before_anything_is_asked() -> None:
    with pytest.raises(ValueError, match="swap them"):
        OrderQuery(date(2026, 2, 2), date(2026, 2, 1))


def test_a_login_is_whole_or_refused_and_never_printed() -> None:
    for login in ({"email": "a"}, {"password": "p"}, {}):
        with pytest.raises(ValueError, match="API key"):
            Account("key", **login)
    account = Account("key-1", "me@example.com", "hunter2")
    assert not {"key-1", "me@example.com", "hunter2"} & set(repr(account).replace("'", " ").split())
    assert dialect.auth_body(Account("k", authentication_key="a")) == {"authentication_key": "a"}
    assert account.id != Account("key-1", "me@example.com", "hunter3").id
