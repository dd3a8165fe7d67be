"""Bodies for PlayAuto. Pure. Their answers are read in `answers`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any, Literal

from gateways.playauto.errors import told
from gateways.playauto.values import INVOICE_MAX, Account, Choices, InvoiceRow, Order, OrderQuery, Refused

AUTH, ORDERS, CARRIERS = "/auth", "/orders", "/carriers"
INSTRUCTION, SET_INVOICE = "/order/instruction", "/order/setInvoice"
SEND_INVOICE = "/work/addWorkSelect/v1.1"
_CARRIER = re.compile(r"\d{1,5}", re.ASCII)
_NUMBER = re.compile(rf"[0-9A-Za-z]{{1,{INVOICE_MAX}}}", re.ASCII)


def auth_body(account: Account) -> dict[str, str]:
    """Either form of a login."""
    if account.authentication_key:
        return {"authentication_key": account.authentication_key}
    return {"email": account.email or "", "password": account.password or ""}


def orders_body(query: OrderQuery, start: int, length: int) -> dict[str, Any]:
    """One page, oldest first: what is collected meanwhile comes behind, so no page shifts."""
    body: dict[str, Any] = {
        "start": start, "length": length, "orderby": "wdate asc", "status": list(query.states) or ["ALL"],
    }  # fmt: skip
    if query.first or query.last:
        body["date_type"] = query.date_type
        body["sdate"] = _day(query.first or date(2000, 1, 1))
        body["edate"] = _day(query.last or date(2099, 12, 31))
    if query.shop_cd:
        body["shop_cd"] = query.shop_cd
    if query.shop_id:
        body["shop_id"] = query.shop_id
    if query.search:
        key, word = query.search
        body |= {"search_key": key, "search_word": word, "search_type": "exact"}
    if query.bundles:
        body |= {"multi_type": "bundle_no", "multi_search_word": "\n".join(query.bundles)}
    return body


def instruction_body(bundle_nos: Sequence[str]) -> dict[str, Any]:
    """Never without bundles: PlayAuto then moves every new order. Raises ValueError for none."""
    if not bundle_nos or not all(bundle_nos):
        raise ValueError("an instruction needs bundle numbers; without them it would move every new order")
    return {"bundle_codes": list(bundle_nos), "auto_bundle": False, "dupl_doubt_except_yn": "N"}


def invoice_body(rows: Sequence[InvoiceRow], *, overwrite: bool, change_complete: bool) -> dict[str, Any]:
    """The numbers of several bundles."""
    return {
        "orders": [
            {"bundle_no": one.bundle_no, "carr_no": one.carr_no, "invoice_no": one.invoice_no} for one in rows
        ],
        "overwrite": overwrite, "change_complete": change_complete, "dupl_doubt_except_yn": "N",
    }  # fmt: skip


def send_body(orders: Sequence[Order], callback_url: str | None, choices: Choices) -> dict[str, Any]:
    """The job that sends the numbers of these orders on."""
    by_uniq = choices.send_by == "uniq"
    numbers = dict.fromkeys(one.uniq if by_uniq else one.bundle_no for one in orders)
    body: dict[str, Any] = {
        "work_type": "SEND_INVOICE", "list": list(numbers), "show_shop_info_yn": True,
    }  # fmt: skip
    return body | ({"api_callback_url": callback_url} if callback_url else {})


def refused_here(rows: Sequence[InvoiceRow]) -> dict[str, Refused]:
    """Bundles that PlayAuto would refuse for what the rows say themselves, by its own code; they are not
    sent, so that they cost nobody else's chunk."""
    first: dict[str, InvoiceRow] = {}
    refused: dict[str, Refused] = {}
    for one in rows:
        code = _fault_of(one) or ("e2006" if first.setdefault(one.bundle_no, one) != one else None)
        if code is not None:
            refused[one.bundle_no] = Refused(code, told(code), retryable=False)
    return refused


def _fault_of(row: InvoiceRow) -> Literal["e2002", "e2003", "e2004"] | None:
    if not row.bundle_no:
        return "e2002"
    if not _CARRIER.fullmatch(row.carr_no):
        return "e2003"
    return None if _NUMBER.fullmatch(row.invoice_no) else "e2004"


def _day(day: date) -> str:
    return day.isoformat()
