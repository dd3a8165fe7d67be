"""The emulated PlayAuto by itself: its control API, its codes, its switches, its receipts."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from ops.emulator import Emulator, Rule
from ops.emulator.playauto import PlayAuto
from ops.emulator.playauto.orders import HELD, NEW, PRINTED, SEOUL, SHIPPED, TO_SHIP
from runtime.clock import SystemClock
from tests.support.playauto_fixtures import log_in
from tests.support.waiting import eventually


class Caller:
    """Someone with a token, and someone at the controls."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator, self._headers = emulator, log_in(emulator)

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        return requests.request(
            method, f"{self._emulator.url}/playauto/{path}", json=body, headers=self._headers, timeout=10
        ).json()

    def control(self, method: str, name: str, body: Any = None) -> requests.Response:
        url = f"{self._emulator.url}/_control/playauto/{name}"
        return requests.request(method, url, json=body, timeout=10)

    def store(self, *bundles: str, number: str = "1", **more: Any) -> list[Any]:
        rows = [{"bundle_no": one, "carr_no": "4", "invoice_no": number} for one in bundles]
        answer: list[Any] = self("PUT", "order/setInvoice", {"orders": rows, **more})
        return answer


@pytest.fixture
def call(emulator: Emulator) -> Caller:
    return Caller(emulator)


def bundles(playauto: PlayAuto, state: str | None = None) -> list[str]:
    return [one["bundle_no"] for one in playauto.bundles(state)]


def test_a_world_is_made_by_one_call_and_tells_of_itself(call: Caller) -> None:
    shares = {NEW: 0.5, TO_SHIP: 0.5}
    made = call.control(
        "POST", "seed", {"orders": 1000, "shops": 3, "states": shares, "refuse": {"e2043": 0.1}, "seed": 5}
    ).json()
    assert made["orders"] == 1000
    assert 850 < made["bundles"] < 950  # a tenth travels with the order before it
    new = call.control("GET", f"bundles?state={NEW}&limit=10000").json()["bundles"]
    assert 350 < len(new) < 550
    refusing = [one for one in call.control("GET", "bundles").json()["bundles"] if one["refuses"]]
    assert 50 < len(refusing) < 150
    shown = call("POST", "orders", {"length": 3000})["results"]
    assert len({(one["shop_cd"], one["shop_id"]) for one in shown}) == 3


def test_the_same_seed_makes_the_same_world(emulator: Emulator) -> None:
    one, other = emulator.playauto("playauto-a"), emulator.playauto("playauto-b")
    for world in (one, other):
        world.seed(200, seed=3, refuse={"e2040": 0.2})
    assert [(row["bundle_no"], row["ord_status"], row["refuses"]) for row in one.bundles()] == [
        (row["bundle_no"], row["ord_status"], row["refuses"]) for row in other.bundles()
    ]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("seed", {"orders": 1, "states": {"모름": 1}}),
        ("seed", {"orders": "many"}),
        ("seed", {"orders": 1, "unknown": 1}),
        ("seed", {}),
        ("settings", {"unknown": 1}),
        ("settings", {"list_takes": "both"}),
        ("settings", {"auth_object": "yes"}),
        ("settings", {"job_fails": "often"}),
    ],
)
def test_a_wrong_control_request_says_what_is_wrong(call: Caller, name: str, body: dict[str, Any]) -> None:
    answer = call.control("POST", name, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_a_checker_reads_which_call_stored_which_number_and_how_often(
    call: Caller, emulator: Emulator, playauto: PlayAuto, tmp_path: Path
) -> None:
    playauto.seed(2, states={TO_SHIP: 1.0}, bundled=0.0)
    first, second = bundles(playauto)
    call.store(first, second)
    call.store(first, number="2")
    call.store(first, number="2", overwrite=True)
    call.store(first, number="2", overwrite=True)
    receipts = call.control("GET", "receipts?since=2").json()["receipts"]
    assert [(one["n"], one["invoice_no"], one["before"]) for one in receipts] == [
        (3, "2", "1"),
        (4, "2", "2"),
    ]
    summary = call.control("GET", "summary").json()
    counted = ("bundles", "stored", "stored_again", "overwritten")
    assert [summary[one] for one in counted] == [2, 4, 2, 1]
    written = (tmp_path / "receipts-playauto.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(one)["bundle_no"] for one in written] == [first, second, first, first]


@pytest.mark.parametrize(
    ("state", "complete", "after"),
    [
        (TO_SHIP, False, PRINTED), (TO_SHIP, True, SHIPPED), (HELD, True, HELD), (HELD, False, HELD),
        (PRINTED, True, SHIPPED), ("주문재확인", False, PRINTED), (NEW, False, NEW),
        ("반품완료", True, "반품완료"),
    ],
)  # fmt: skip
def test_a_number_moves_an_order_only_from_the_allowed_states(
    call: Caller, playauto: PlayAuto, state: str, complete: bool, after: str
) -> None:
    playauto.seed(1, states={state: 1.0})
    (bundle,) = bundles(playauto)
    (row,) = call.store(bundle, change_complete=complete)
    assert playauto.bundles()[0]["ord_status"] == after
    assert (row["result"] == "성공") is (state not in (NEW, "반품완료"))


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"bundle_no": "", "carr_no": "4", "invoice_no": "1"}, "e2002"),
        ({"carr_no": "99"}, "e2003"),
        ({"invoice_no": ""}, "e2004"),
        ({"invoice_no": "1" * 21}, "e2004"),
        ({"bundle_no": "1"}, "e2005"),
    ],
)
def test_each_fault_of_a_row_has_its_code(
    call: Caller, playauto: PlayAuto, row: dict[str, str], code: str
) -> None:
    playauto.seed(1, states={TO_SHIP: 1.0})
    whole = {"bundle_no": bundles(playauto)[0], "carr_no": "4", "invoice_no": "1"} | row
    (said,) = call("PUT", "order/setInvoice", {"orders": [whole]})
    assert (said["error_code"], said["result"]) == (code, "실패")


def test_a_bundle_with_two_numbers_is_refused_with_both_rows(call: Caller, playauto: PlayAuto) -> None:
    playauto.seed(1, states={TO_SHIP: 1.0})
    (bundle,) = bundles(playauto)
    rows = [{"bundle_no": bundle, "carr_no": "4", "invoice_no": one} for one in ("1", "2")]
    said = call("PUT", "order/setInvoice", {"orders": rows})
    assert [one["error_code"] for one in said] == ["e2006", "e2006"]
    assert not playauto.changes.all()


def test_an_instruction_without_bundles_moves_every_new_order_of_the_days(
    call: Caller, playauto: PlayAuto
) -> None:
    playauto.seed(100, states={NEW: 1.0}, bundled=0.0, days=10)
    today = SystemClock().now().astimezone(SEOUL).date()
    body = {"auto_bundle": False, "sdate": f"{today - timedelta(days=2)}", "edate": f"{today}"}
    assert call("PUT", "order/instruction", {"auto_bundle": False})["error_code"] == "400"
    assert call("PUT", "order/instruction", body) == {"results": "성공"}
    assert 20 <= len(bundles(playauto, TO_SHIP)) <= 30
    assert (
        call("PUT", "order/instruction", {"bundle_codes": ["1"], "auto_bundle": False})["error_code"]
        == "e2005"
    )
    assert call("PUT", "order/instruction", {"bundle_codes": ["1"]})["error_code"] == "400"


def test_orders_are_found_exactly_in_part_by_lists_and_by_day(call: Caller, playauto: PlayAuto) -> None:
    playauto.seed(300, bundled=0.0, days=3)
    rows = call("POST", "orders", {"length": 3000, "orderby": "wdate asc"})["results"]
    one, two = rows[7], rows[9]

    def found(**body: Any) -> list[str]:
        return [row["uniq"] for row in call("POST", "orders", {"orderby": "wdate asc", **body})["results"]]

    for key in ("uniq", "bundle_no", "shop_ord_no"):
        assert found(search_key=key, search_word=one[key], search_type="exact") == [one["uniq"]]
        assert found(search_key=key, search_word=one[key][:-1], search_type="exact") == []
        assert one["uniq"] in found(search_key=key, search_word=one[key][:-1], search_type="partial")
    for key in ("bundle_no", "shop_ord_no"):
        both = found(multi_type=key, multi_search_word=f"{two[key]}\n{one[key]}\n0")
        assert both == [one["uniq"], two["uniq"]]
    call.store(*[row["bundle_no"] for row in rows if row["ord_status"] == TO_SHIP][:1], number="777")
    assert len(found(multi_type="invoice_no", multi_search_word="777")) == 1
    day = rows[-1]["wdate"][:10]
    of_day = [row["uniq"] for row in rows if row["wdate"].startswith(day)]
    assert found(sdate=day, edate=day, date_type="wdate", length=3000) == of_day
    assert found(start=298, length=3000) == [rows[298]["uniq"], rows[299]["uniq"]]
    assert call("GET", f"order/{one['uniq']}")["bundle_no"] == one["bundle_no"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"sdate": "tomorrow", "edate": "2026-01-01"}, "e1010"),
        ({"sdate": "2026-01-01", "edate": "13/01"}, "e1011"),
        ({"sdate": "2026-01-02", "edate": "2026-01-01"}, "e2065"),
        ({"length": 3001}, "400"),
        ({"multi_type": "nothing", "multi_search_word": "1"}, "400"),
        ({"date_type": "nothing"}, "400"),
    ],
)
def test_a_wrong_question_has_its_code_under_http_200(call: Caller, body: dict[str, Any], code: str) -> None:
    assert call("POST", "orders", body)["error_code"] == code


def test_an_answer_above_ten_megabytes_is_an_error(call: Caller, playauto: PlayAuto) -> None:
    playauto.seed(3000, bundled=0.0)
    playauto.rules.pad_bytes = 4000
    assert call("POST", "orders", {"length": 3000})["error_code"] == "e1017"
    assert len(call("POST", "orders", {"length": 1500})["results"]) == 1500


def test_an_answer_takes_as_long_as_it_is_told_to_and_others_take_theirs_beside_it(
    call: Caller, playauto: PlayAuto
) -> None:
    playauto.seed(4, states={TO_SHIP: 1.0}, bundled=0.0)
    playauto.rules.latency_s = 0.3
    clock = SystemClock()
    began = clock.monotonic()
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda one: call.store(one), bundles(playauto)))
    assert all(row["result"] == "성공" for answer in answers for row in answer)
    assert 0.3 <= clock.monotonic() - began < 0.9


def test_a_look_up_that_lags_by_rule_shows_the_world_as_it_was_made(
    call: Caller, emulator: Emulator, playauto: PlayAuto
) -> None:
    playauto.seed(1, states={TO_SHIP: 1.0})
    call.store(*bundles(playauto))
    emulator.faults.add(Rule("lookup_lag", path="orders"))
    shown = [call("POST", "orders", {})["results"][0] for _ in range(2)]
    assert [one["invoice_no"] for one in shown] == [None, "1"]
    assert [one["ord_status"] for one in shown] == [TO_SHIP, PRINTED]


def test_collecting_brings_new_orders_after_a_while(call: Caller, playauto: PlayAuto) -> None:
    playauto.rules.change({"scrap_orders": 5, "job_delay_s": 0.05})
    asked = {"act": "ScrapOrder", "params": {"site_code": "A001", "site_id": ["seller1"]}}
    assert call("POST", "work/addWork/v1.2", asked)["results"][0]["work_no"]
    eventually(lambda: len(bundles(playauto, NEW)) == 5)
    assert call.control("GET", "jobs").json()["jobs"][0]["state"] == "done"
    assert call("POST", "work/addWork/v1.2", {"act": "Other"})["error_code"] == "400"


def test_a_stopped_emulator_keeps_its_world_and_goes_on_with_its_jobs(
    emulator: Emulator, call: Caller, playauto: PlayAuto
) -> None:
    playauto.seed(1, states={TO_SHIP: 1.0})
    playauto.rules.job_delay_s = 0.3
    call.store(*bundles(playauto))
    call("POST", "work/addWorkSelect/v1.1", {"work_type": "SEND_INVOICE", "list": bundles(playauto)})
    emulator.stop()
    assert playauto.changes.summary()["sent"] == 0
    emulator.start()
    assert Caller(emulator)("POST", "orders", {})["recordsTotal"] == 1
    eventually(lambda: playauto.changes.summary()["sent"] == 1)
    emulator.reset()
    assert len(playauto.orders) == 0
