"""POST /orders of an emulated PlayAuto: filters, order, pages, and the rows that are shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any

from ops.emulator.playauto.orders import CARRIERS, INDEXED, NEW, SEOUL, SHOPS, Order, Orders
from ops.emulator.playauto.rules import MESSAGES, PlayAutoRules, Wrong

LENGTH = 500
Test = Callable[[Order], bool]


def _receiver(order: Order) -> str:
    return f"받는이{order.n % 5000}"


_DATES: dict[str, Callable[[Order], float | None]] = {
    "wdate": lambda one: one.placed, "ord_time": lambda one: one.placed, "pay_time": lambda one: one.placed,
    "ord_confirm_time": lambda one: one.placed, "api_read_time": lambda one: one.placed,
    "mdate": lambda one: one.changed, "ord_status_mdate": lambda one: one.changed,
    "ship_plan_date": lambda one: one.placed, "out_order_time": lambda one: one.out_at,
    "out_time": lambda one: one.out_at, "invoice_send_time": lambda one: one.sent_at,
    "claim_com_time": lambda _one: None,
}  # fmt: skip
_WORDS: dict[str, Callable[[Order], str]] = {
    "bundle_no": lambda one: one.bundle_no, "uniq": lambda one: one.uniq,
    "shop_ord_no": lambda one: one.shop_ord_no, "invoice_no": lambda one: one.invoice_no,
    "to_name": _receiver, "shop_id": lambda one: one.shop_id,
    "c_sale_cd": lambda one: f"P{one.n % 97:05}", "sku_cd": lambda one: f"S{one.n % 997:05}",
    "shop_sale_no": lambda one: f"G{one.n % 97:07}", "shop": lambda one: one.shop_cd,
}  # fmt: skip
_MULTI = ("bundle_no", "shop_ord_no", "invoice_no", "c_sale_cd", "sku_cd", "shop_sale_no", "shop")


def search(orders: Orders, rules: PlayAutoRules, body: dict[str, Any], until: float) -> bytes:
    """The page as JSON, orders as they were at `until`. Raises Wrong."""
    start, length = _page(body, rules)
    found, tests = _candidates(orders, body), _tests(rules, body)
    if tests:
        found = [one for one in found if all(test(one) for test in tests)]
    if body.get("bundle_yn") is True:
        found = list({one.bundle_no: one for one in reversed(found)}.values())[::-1]
    page = _sliced(found, start, length, str(body.get("orderby", "wdate desc")))
    rows = [row(orders.shown(one, until)) for one in page]
    if rules.pad_bytes:
        rows = [one | {"misc1": "x" * rules.pad_bytes} for one in rows]
    answer = {
        rules.result_key: rows, "results_prod": [_product(one) for one in page], "recordsTotal": len(found),
        "recordsFiltered": len(found), "recordsTotalCount": len(orders),
    }  # fmt: skip
    encoded = json.dumps(answer, ensure_ascii=False).encode()
    if len(encoded) > rules.answer_max_bytes:
        raise Wrong("e1017", "응답 데이터가 10MB를 초과했습니다.")
    return encoded


def row(order: Order) -> dict[str, Any]:
    """An order as /orders and /order/{uniq} show it."""
    placed = _stamp(order.placed)
    return {
        "sol_no": 1, "uniq": order.uniq, "bundle_no": order.bundle_no, "ord_status": order.ord_status,
        "carr_no": order.carr_no or None, "carr_name": CARRIERS.get(order.carr_no),
        "invoice_no": order.invoice_no or None, "shop_cd": order.shop_cd,
        "shop_name": SHOPS[order.shop % len(SHOPS)][1], "shop_id": order.shop_id,
        "shop_ord_no": order.shop_ord_no, "shop_sale_no": f"G{order.n % 97:07}",
        "shop_sale_name": f"상품 {order.n % 97}", "c_sale_cd": f"P{order.n % 97:05}", "sale_cnt": 1,
        "pay_amt": 10_000 + order.n % 90 * 100, "sales": 10_000 + order.n % 90 * 100,
        "to_name": _receiver(order), "to_tel": "", "to_htel": f"010-0000-{order.n % 10_000:04}",
        "to_zipcd": "04524", "to_addr1": "서울특별시 중구 세종대로 110", "to_addr2": f"{order.n % 900 + 1}호",
        "wdate": placed, "ord_time": placed, "pay_time": placed, "mdate": _stamp(order.changed),
        "out_time": _stamp(order.out_at), "invoice_send_time": _stamp(order.sent_at),
    }  # fmt: skip


def day(body: dict[str, Any], name: str, code: str) -> date | None:
    """A date of a request; None if it names none. Raises Wrong with this code if it is no date."""
    text = body.get(name)
    if text in (None, ""):
        return None
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        raise Wrong(code, f"{name} 날짜 형식이 올바르지 않습니다.") from None


def days(body: dict[str, Any]) -> tuple[date, date] | None:
    """The range of a request; None without one."""
    first, last = day(body, "sdate", "e1010"), day(body, "edate", "e1011")
    if first is None or last is None:
        return None
    if first > last:
        raise Wrong("e2065", MESSAGES["e2065"])
    return first, last


def _page(body: dict[str, Any], rules: PlayAutoRules) -> tuple[int, int]:
    start, length = body.get("start", 0), body.get("length", LENGTH)
    if not isinstance(start, int) or not isinstance(length, int) or start < 0 or length < 1:
        raise Wrong("400", "start, length는 숫자여야 합니다.")
    if length > rules.rows_max:
        raise Wrong("400", f"length는 최대 {rules.rows_max}입니다.")
    return start, length


def _candidates(orders: Orders, body: dict[str, Any]) -> Sequence[Order]:
    """What an index narrows it down to, oldest first; else all."""
    key = _index_key(body)
    if key is not None:
        words = _words(body) or [str(body["search_word"])]
        return _in_order(one for word in words for one in orders.found(key, word))
    between = days(body)
    if between and body.get("date_type", "wdate") == "wdate":
        start, end = orders.placed_between(*between)
        return orders.all[start:end]
    return orders.all


def _index_key(body: dict[str, Any]) -> str | None:
    """The indexed column that this search names exactly."""
    if _words(body):
        return str(body.get("multi_type")) if body.get("multi_type") in INDEXED else None
    exact = body.get("search_type") == "exact" and body.get("search_word")
    return str(body["search_key"]) if exact and body.get("search_key") in INDEXED else None


def _in_order(found: Iterable[Order]) -> list[Order]:
    unique = {one.n: one for one in found}
    return [unique[n] for n in sorted(unique)]


def _sliced(found: Sequence[Order], start: int, length: int, order_by: str) -> Sequence[Order]:
    if order_by.strip().lower().endswith("asc"):
        return found[start : start + length]
    end = max(len(found) - start, 0)
    return found[max(end - length, 0) : end][::-1]


def _tests(rules: PlayAutoRules, body: dict[str, Any]) -> list[Test]:
    """What is left to ask of each candidate."""
    tests: list[Test] = []
    status = body.get("status") or ["ALL"]
    if "ALL" not in status:
        tests.append(lambda one: one.ord_status in status)
    if rules.hide_new and body.get("bundle_yn") is False:
        tests.append(lambda one: one.ord_status != NEW)
    if body.get("shop_cd"):
        tests.append(lambda one: one.shop_cd == body["shop_cd"])
    if body.get("shop_id"):
        tests.append(lambda one: one.shop_id == body["shop_id"])
    return [*tests, *_of_days(body), *_of_words(body)]


def _of_days(body: dict[str, Any]) -> list[Test]:
    between, kind = days(body), str(body.get("date_type", "wdate"))
    if kind not in _DATES:
        raise Wrong("400", "date_type이 올바르지 않습니다.")
    if between is None or (kind == "wdate" and _index_key(body) is None):
        return []  # `placed_between` has seen to it
    first, read = between[0], _DATES[kind]
    last = between[1]

    def within(order: Order) -> bool:
        at = read(order)
        return at is not None and first <= datetime.fromtimestamp(at, SEOUL).date() <= last

    return [within]


def _of_words(body: dict[str, Any]) -> list[Test]:
    tests: list[Test] = []
    if words := frozenset(_words(body)):
        kind = str(body.get("multi_type"))
        if kind not in _MULTI:
            raise Wrong("400", "multi_type이 올바르지 않습니다.")
        of_multi = _WORDS[kind]
        tests.append(lambda one: of_multi(one) in words)
    if word := str(body.get("search_word") or ""):
        key = str(body.get("search_key") or "")
        read = [_WORDS[key]] if key in _WORDS else list(_WORDS.values())
        exact = body.get("search_type") == "exact"
        tests.append(
            lambda one: any(said == word if exact else word in said for said in (of(one) for of in read))
        )
    return tests


def _words(body: dict[str, Any]) -> list[str]:
    said = body.get("multi_search_word") or ""
    lines = said if isinstance(said, list) else str(said).split("\n")
    return [str(one).strip() for one in lines if str(one).strip()]


def _product(order: Order) -> dict[str, Any]:
    return {
        "uniq": order.uniq, "bundle_no": order.bundle_no, "prod_no": order.n % 97,
        "sku_cd": f"S{order.n % 997:05}", "prod_name": f"상품 {order.n % 97}", "pack_unit": 1, "out_cnt": 1,
    }  # fmt: skip


def _stamp(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, SEOUL).strftime("%Y-%m-%d %H:%M:%S")
