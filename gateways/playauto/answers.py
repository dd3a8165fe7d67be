"""PlayAuto's answers, read strictly where they prove something and widely where its forms differ. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from gateways.classify import retry_after_s
from gateways.http import Reply
from gateways.playauto.errors import BY_CODE
from gateways.playauto.values import (
    AlreadySet,
    Carrier,
    InDoubt,
    Instructed,
    InstructOutcome,
    InvoiceOutcome,
    InvoiceRow,
    JobOutcome,
    JobReport,
    JobsStarted,
    Order,
    ReadBack,
    Refused,
    Stored,
    clean_number,
)

SEOUL = ZoneInfo("Asia/Seoul")
MESSAGE_MAX = 300
_DONE = frozenset({"성공", "success", "SUCCESS"})
_FAILED = frozenset({"실패", "fail", "FAIL"})


@dataclass(frozen=True, slots=True)
class Problem:
    """An error in PlayAuto's own form, whatever the HTTP status."""

    code: str
    message: str
    bundle_nos: tuple[str, ...] = ()

    @property
    def effect(self) -> str:
        known = BY_CODE.get(self.code)
        return known.effect if known else "retry"

    def outcome(self, *, whole: bool) -> Refused | InDoubt:
        """What it proves of a call that changes something."""
        if self.effect == "unknown":
            return InDoubt(self.code)
        known = BY_CODE.get(self.code)
        # A code that nobody documents: the natural key makes another try harmless.
        retryable = known.retryable if known else True
        return Refused(self.code, self.message, retryable, whole, self.bundle_nos)


def problem_of(reply: Reply) -> Problem | None:
    """The error of the whole call; None if it is none, or not said by PlayAuto."""
    body = reply.json()
    if isinstance(body, list) and len(body) == 1 and "bundle_no" not in _object(body[0]):
        body = body[0]
    problem = _problem(_object(body))
    return Problem("401", "HTTP 401") if problem is None and reply.status == 401 else problem


def token_refused(reply: Reply) -> bool:
    """Whether a new token may help: HTTP 401, or such a code under any status."""
    problem = problem_of(reply)
    return problem is not None and problem.effect == "token"


def token_of(reply: Reply) -> str | None:
    """The token of a login, whether it came in an array or as an object."""
    body = reply.json() if _good(reply) else None
    granted = _object(body[0] if isinstance(body, list) and body else body)
    token = granted.get("token")
    return token if isinstance(token, str) and token else None


def failure(reply: Reply) -> Refused | InDoubt | None:
    """Why the call as a whole did not come to an answer of its own; None if it did."""
    problem = problem_of(reply)
    if problem is not None:
        return problem.outcome(whole=True)
    if reply.cut:
        return InDoubt("body_cut", reply.status)
    if not _good(reply):
        return InDoubt(f"http_{reply.status}", reply.status, retry_after_s(reply))
    return None


def invoice_outcomes(reply: Reply, bundle_nos: Sequence[str]) -> dict[str, InvoiceOutcome]:
    """One outcome for each bundle that was sent. A bundle without a row of its own is in doubt."""
    failed = failure(reply)
    body = reply.json()
    if failed is None and not isinstance(body, list):
        failed = InDoubt("not_the_provider", reply.status)
    if failed is not None:
        return dict.fromkeys(bundle_nos, failed)
    said: dict[str, InvoiceOutcome] = {}
    for row in map(_object, body):
        said[_text(row.get("bundle_no"))] = _row_outcome(row)
    return {one: said.get(one, InDoubt("no_row", reply.status)) for one in bundle_nos}


def instruct_outcome(reply: Reply) -> InstructOutcome:
    """`{"results": "성공"}` alone is success."""
    failed = failure(reply)
    if failed is not None:
        return failed
    done = _text(_object(reply.json()).get("results")) in _DONE
    return Instructed() if done else InDoubt("not_the_provider", reply.status)


def jobs_outcome(reply: Reply) -> JobOutcome:
    """The numbers of the jobs that were begun."""
    failed = failure(reply)
    if failed is not None:
        return failed
    results = _object(reply.json()).get("results")
    rows = results if isinstance(results, list) else [results]
    numbers = tuple(number for one in rows if (number := _text(_object(one).get("work_no"))))
    return JobsStarted(numbers) if numbers else InDoubt("not_the_provider", reply.status)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of orders; `total` is how many PlayAuto says the question has, None where it does not say."""

    orders: tuple[Order, ...]
    total: int | None


def page_of(reply: Reply) -> Page | None:
    """A page of /orders; None if this is none."""
    body = _object(reply.json()) if _good(reply) else {}
    rows = body.get("results", body.get("result"))
    if not isinstance(rows, list) or body.get("error_code"):
        return None
    orders = tuple(order for one in rows if (order := order_of(_object(one))) is not None)
    if len(orders) < len(rows):
        return None
    counts = (body.get(name) for name in ("recordsFiltered", "recordsTotal"))
    numbers = [one for one in counts if isinstance(one, int) and not isinstance(one, bool)]
    return Page(orders, numbers[0] if numbers else None)


def order_of(row: Mapping[str, Any]) -> Order | None:
    """An order; None if it lacks one of its two numbers."""
    uniq, bundle_no = _text(row.get("uniq")), _text(row.get("bundle_no"))
    if not uniq or not bundle_no:
        return None
    return Order(
        uniq, bundle_no, _text(row.get("ord_status")), _text(row.get("carr_no")),
        _text(row.get("invoice_no")), _text(row.get("shop_cd")), _text(row.get("shop_id")),
        _text(row.get("shop_ord_no")), instant(row.get("wdate")), instant(row.get("invoice_send_time")),
        dict(row),
    )  # fmt: skip


def carriers_of(reply: Reply) -> list[Carrier] | None:
    """The carriers, whatever their fields are called; None if this is no list of them."""
    body = reply.json() if _good(reply) else None
    rows = body if isinstance(body, list) else _object(body).get("results", _object(body).get("result"))
    if not isinstance(rows, list):
        return None
    found = [Carrier(_first(one, _CODES), _first(one, _NAMES)) for one in map(_object, rows)]
    return found if all(one.code for one in found) else None


_CODES = ("carrier_code", "carr_no", "carr_code", "code")
_NAMES = ("carrier_name", "carr_name", "name")


def parse_callback(body: Any) -> JobReport | None:
    """A job's callback; None if this is none. Its sender is unproven."""
    said = _object(_object(body).get("results"))
    work_no = _text(said.get("work_no"))
    if not work_no:
        return None
    status = _text(said.get("status"))[:MESSAGE_MAX]
    state: Literal["succeeded", "failed", "unclear"] = (
        "failed" if status in _FAILED else "succeeded" if status in {*_DONE, "완료"} else "unclear"
    )
    return JobReport(
        work_no[:100], state, status, _text(said.get("job_name"))[:MESSAGE_MAX],
        _text(said.get("site_name"))[:MESSAGE_MAX], _text(said.get("shop_id"))[:MESSAGE_MAX],
        _messages(said.get("message")),
    )  # fmt: skip


def read_back(row: InvoiceRow, orders: Collection[Order], since: datetime | None = None) -> ReadBack:
    """What the orders of the row's bundle say of its number; `since`: as `to_send` takes it."""
    if not orders:
        return ReadBack("unknown", sent=False)
    states = tuple(dict.fromkeys(one.status for one in orders))
    going = [one for one in orders if not is_claimed(one)]
    counted = going or list(orders)
    bare = [one for one in counted if not clean_number(one.invoice_no)]
    sent = not any(_unsent(one, since) for one in counted if one not in bare or len(bare) == len(counted))
    number: Literal["ours", "partly", "none", "other"]
    if differing(row, orders) is not None:
        number = "other"
    elif not any(clean_number(one.invoice_no) for one in orders):
        number = "none"
    else:
        number = "partly" if bare else "ours"
    return ReadBack(number, sent, states, claimed=not going)


def differing(row: InvoiceRow, orders: Iterable[Order]) -> Order | None:
    """The first order that has another carrier or number than the row."""
    wanted = (row.carr_no.strip(), clean_number(row.invoice_no))
    for one in orders:
        number = clean_number(one.invoice_no)
        if number and (one.carr_no, number) != wanted:
            return one
    return None


def to_send(orders: Iterable[Order], since: datetime | None = None) -> list[Order]:
    """Those that have not gone on to their marketplace and still may. What went on before `since` took
    another number along."""
    return [one for one in orders if _unsent(one, since) and not is_claimed(one)]


def is_claimed(order: Order) -> bool:
    """Whether it is cancelled, returned or exchanged, or somebody wishes so (models/sql: order_claim)."""
    return _CLAIM.search(order.status) is not None and _WITHDRAWN.search(order.status) is None


_CLAIM = re.compile(r"교환|반품|회수|수거|취소|환불|출고\s*중지|exchange|return|cancel|refund", re.IGNORECASE)
_WITHDRAWN = re.compile(r"철회|거부|거절|반려|reject|withdraw", re.IGNORECASE)


def _unsent(order: Order, since: datetime | None) -> bool:
    return order.sent_at is None or (since is not None and order.sent_at < since)


def instant(text: object) -> datetime | None:
    """PlayAuto's `YYYY-MM-DD HH:MM:SS`, which is Korean time. None for nothing, and for zeros."""
    try:
        at = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return None if at is None else at.replace(tzinfo=at.tzinfo or SEOUL)


def _row_outcome(row: Mapping[str, Any]) -> InvoiceOutcome:
    problem = _problem(row)
    if problem is None:
        if _text(row.get("result")) in _DONE:
            return Stored()
        failed = _text(row.get("result")) in _FAILED
        return Problem("no_code", _said(row)).outcome(whole=False) if failed else InDoubt("no_result")
    return AlreadySet(problem.message) if problem.effect == "already" else problem.outcome(whole=False)


def _problem(body: Mapping[str, Any]) -> Problem | None:
    code = _text(body.get("error_code"))
    if not code:
        return None
    named = body.get("bundle_codes")
    bundles = tuple(map(_text, named)) if isinstance(named, list) else ()
    return Problem(code[:20], _said(body), bundles)


def _said(body: Mapping[str, Any]) -> str:
    return "; ".join(_messages(body.get("messages") or body.get("message")))[:MESSAGE_MAX]


def _messages(said: object) -> tuple[str, ...]:
    rows: Iterable[object] = said if isinstance(said, list) else [said]
    return tuple(text[:MESSAGE_MAX] for one in rows if (text := _text(one)))


def _good(reply: Reply) -> bool:
    return 200 <= reply.status < 300 and not reply.cut


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(row: Mapping[str, Any], names: Iterable[str]) -> str:
    return next((text for name in names if (text := _text(row.get(name)))), "")


def _text(value: object) -> str:
    """Numbers as text: PlayAuto writes some ids either way."""
    if isinstance(value, bool) or value is None:
        return ""
    return str(value).strip() if isinstance(value, str | int) else ""
