"""What changes orders in an emulated PlayAuto: instruction, setInvoice, and the jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ops.emulator.playauto.orders import (
    CARRIERS,
    HELD,
    NEW,
    PRINTED,
    SHIPPED,
    SHIPPING,
    SHOPS,
    TAKES_INVOICE,
    TO_SHIP,
    Order,
    Orders,
)
from ops.emulator.playauto.receipts import Call, Change
from ops.emulator.playauto.rules import MESSAGES, PlayAutoRules, Wrong
from ops.emulator.playauto.search import days

INVOICE_MAX = 20
_UNMOVED = frozenset({HELD, SHIPPING})


class Writer:
    """One call that changes orders at one instant; `changes` is what it did. Without `effect` it only says
    so. Used under the API's lock."""

    def __init__(
        self, orders: Orders, rules: PlayAutoRules, at: float, request: int, *, effect: bool = True
    ) -> None:
        self._orders, self._rules, self._at, self._request, self._effect = orders, rules, at, request, effect
        self.changes: list[Change] = []

    def instruct(self, body: dict[str, Any]) -> dict[str, Any]:
        """PUT /order/instruction. Without bundle_codes it moves every new order of the range."""
        if not isinstance(body.get("auto_bundle"), bool):
            raise Wrong("400", "auto_bundle은 필수입니다.")
        codes = body.get("bundle_codes")
        bundles = self._in_range(body) if not codes else [str(one) for one in codes]
        if unknown := [one for one in bundles if not self._orders.bundle(one)]:
            raise self._named("e2005", unknown)
        old = [one for one in bundles if any(order.ord_status != NEW for order in self._orders.bundle(one))]
        if old:
            raise self._named("e2009", old)
        for bundle_no in bundles:
            self._write("instruction", bundle_no, ord_status=TO_SHIP)
        return {"results": "성공"}

    def _named(self, code: str, bundles: list[str]) -> Wrong:
        named = {"bundle_codes": bundles} if self._rules.names_bundles else {}
        return Wrong(code, MESSAGES[code], **named)

    def set_invoice(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """PUT /order/setInvoice: a row for each bundle, in the order of the request."""
        rows = body.get("orders")
        if not isinstance(rows, list) or not rows or not all(isinstance(one, dict) for one in rows):
            raise Wrong("400", "orders는 필수입니다.")
        if len(rows) > self._rules.rows_max:
            raise Wrong("e2044", MESSAGES["e2044"])
        asked = [tuple(str(one.get(name) or "").strip() for name in _ROW) for one in rows]
        several = _unequal(asked)
        done = [self._set_one(one, several, body) for one in asked]
        return [_said(one[0], code) for one, code in zip(asked, done, strict=True)]

    def send_invoice(self, chosen: list[Order], fails: bool) -> list[str]:
        """The effect of a SEND_INVOICE job; the messages of what failed."""
        if fails:
            return ["쇼핑몰 로그인에 실패했습니다."]
        bare = [one for one in chosen if not one.invoice_no]
        for bundle_no in dict.fromkeys(one.bundle_no for one in chosen if one.invoice_no):
            self._write("SEND_INVOICE", bundle_no, ord_status=SHIPPING, sent_at=self._at, out_at=self._at)
        return [f"[{one.shop_ord_no}] 송장번호가 없습니다." for one in bare]

    def _set_one(self, row: tuple[str, ...], several: set[str], body: dict[str, Any]) -> str | None:
        """The error code of this bundle, None if the number is in."""
        bundle_no, carr_no, invoice_no = row
        if (code := self._refusal(row, several, overwrite=body.get("overwrite") is True)) is not None:
            return code
        status = self._orders.bundle(bundle_no)[0].ord_status
        fields: dict[str, Any] = {"carr_no": carr_no, "invoice_no": invoice_no}
        if status not in _UNMOVED:
            complete = body.get("change_complete") is True
            fields |= {"ord_status": SHIPPED, "out_at": self._at} if complete else {"ord_status": PRINTED}
        self._write("setInvoice", bundle_no, **fields)
        return None

    def _refusal(self, row: tuple[str, ...], several: set[str], *, overwrite: bool) -> str | None:
        bundle_no, carr_no, invoice_no = row
        if not bundle_no:
            return "e2002"
        if bundle_no in several:
            return "e2006"
        if carr_no not in CARRIERS:
            return "e2003"
        if not invoice_no or len(invoice_no) > INVOICE_MAX:
            return "e2004"
        orders = self._orders.bundle(bundle_no)
        if not orders:
            return "e2005"
        first = orders[0]
        if first.refuses == "e2043" and first.refused < self._rules.transient_tries:
            first.refused += self._effect
            return "e2043"
        if first.refuses not in (None, "e2043"):
            return first.refuses
        if first.invoice_no and not overwrite:
            return "e2007"
        if first.ord_status == NEW:
            return "e2001"
        return None if first.ord_status in TAKES_INVOICE else "e2040"

    def _write(self, call: Call, bundle_no: str, **fields: Any) -> None:
        orders = self._orders.bundle(bundle_no)
        before = orders[0].invoice_no
        if self._effect:
            for order in orders:
                self._orders.change(order, self._at, **fields)
            first = orders[0]
            self.changes.append(
                Change(call, self._at, self._request, bundle_no, first.carr_no, first.invoice_no, before)
            )

    def _in_range(self, body: dict[str, Any]) -> list[str]:
        between = days(body)
        if between is None:
            raise Wrong("400", "bundle_codes 또는 sdate, edate가 필요합니다.")
        start, end = self._orders.placed_between(*between)
        new = (one.bundle_no for one in self._orders.all[start:end] if one.ord_status == NEW)
        return list(dict.fromkeys(new))


_ROW = ("bundle_no", "carr_no", "invoice_no")


def by_shop(orders: list[Order]) -> dict[tuple[str, str, str], list[Order]]:
    """Orders by the shop (code, name, id) that they belong to."""
    shops: dict[tuple[str, str, str], list[Order]] = {}
    for one in orders:
        key = (one.shop_cd, SHOPS[one.shop % len(SHOPS)][1], one.shop_id)
        shops.setdefault(key, []).append(one)
    return shops


def listed(orders: Orders, numbers: list[Any], rules: PlayAutoRules) -> list[Order]:
    """The orders that a SEND_INVOICE list names. Raises Wrong for one that it does not know."""
    read: dict[str, Callable[[str], list[Order]]] = {
        "uniq": lambda number: orders.found("uniq", number),
        "bundle_no": orders.bundle,
        "either": lambda number: orders.found("uniq", number) or orders.bundle(number),
    }
    found: dict[int, Order] = {}
    for number in map(str, numbers):
        if number in rules.merged or not (named := read[rules.list_takes](number)):
            raise Wrong("e2061", MESSAGES["e2061"])
        found |= {one.n: one for one in named}
    return list(found.values())


def _unequal(asked: list[tuple[str, ...]]) -> set[str]:
    """Bundles that are named with more than one carrier or number."""
    first: dict[str, tuple[str, ...]] = {}
    return {one[0] for one in asked if first.setdefault(one[0], one) != one}


def _said(bundle_no: str, code: str | None) -> dict[str, Any]:
    if code is None:
        return {"bundle_no": bundle_no, "result": "성공", "message": ""}
    return {"bundle_no": bundle_no, "result": "실패", "error_code": code, "messages": [MESSAGES[code]]}
