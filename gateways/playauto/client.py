"""PlayAuto for one account: read orders, instruct, store tracking numbers, send them on.

Calls that change something answer with values (`values`): done, refused, proven not sent, or in doubt. A
question that has no answer raises PlayAutoUnavailable; "there is none" is always PlayAuto's own word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from itertools import islice

from gateways.errors import PlayAutoUnavailable
from gateways.http import Reply
from gateways.playauto import answers, dialect
from gateways.playauto.caller import Caller
from gateways.playauto.errors import told
from gateways.playauto.values import (
    ROWS_MAX,
    Carrier,
    Choices,
    InDoubt,
    InstructOutcome,
    InvoiceOutcome,
    InvoiceRow,
    JobOutcome,
    NotSent,
    Order,
    OrderQuery,
    Refused,
)
from runtime.clock import clock


class Client:
    """One account's PlayAuto. Thread-safe."""

    def __init__(self, caller: Caller, choices: Choices | None = None) -> None:
        self._caller = caller
        self.choices = choices or Choices()

    def log_in(self) -> Refused | NotSent | None:
        """Log in anew, so that a login that works no more is seen; None: it works."""
        token = self._caller.log_in()
        return None if isinstance(token, str) else token

    def carriers(self) -> list[Carrier]:
        """PlayAuto's carriers with the codes that `InvoiceRow.carr_no` takes. Raises PlayAutoUnavailable."""
        reply = self._caller.ask("GET", dialect.CARRIERS)
        found = answers.carriers_of(reply) if isinstance(reply, Reply) else None
        if found is None:
            raise _unavailable("for its carriers", reply)
        return found

    def orders(self, query: OrderQuery | None = None, *, page: int = 1000, again: int = 0) -> Iterator[Order]:
        """Orders, oldest first, each once, read in pages of `page` (3,000 at most) as they are needed; in
        smaller ones where PlayAuto says that an answer is above 10 MB. A page without an answer is asked for
        `again` so many times, after 1, 2, 4 … s. Raises PlayAutoUnavailable, also in the middle: what came
        before is true, but not all."""
        if not 1 <= page <= ROWS_MAX:
            raise ValueError(f"a page has 1 to {ROWS_MAX} orders, not {page}")
        seen: set[str] = set()
        for found in self._pages(query or OrderQuery(), page, again):
            for order in found:
                if order.uniq not in seen:
                    seen.add(order.uniq)
                    yield order

    def orders_by_bundle(self, bundle_nos: Collection[str]) -> dict[str, list[Order]]:
        """What PlayAuto has under these numbers now (read-back); an empty list where it shows nothing.

        Only orders collected within `choices.read_back_days` are seen. Raises PlayAutoUnavailable, so that a
        question without an answer is never taken for "there is none"."""
        found: dict[str, list[Order]] = {one: [] for one in bundle_nos}
        today = (clock().now() + timedelta(days=1)).astimezone(answers.SEOUL).date()
        since = today - timedelta(days=self.choices.read_back_days)
        waiting = (one for one in found if one)
        while chunk := list(islice(waiting, self.choices.look_up_chunk)):
            for page in self._pages(OrderQuery(since, today, bundles=chunk), ROWS_MAX):
                ours = [one for one in page if one.bundle_no in found]
                if not ours:
                    raise PlayAutoUnavailable(
                        "by bundle",
                        "filter_ignored",
                        "it showed other orders than asked for",
                        retryable=False,
                    )
                for one in ours:
                    found[one.bundle_no].append(one)
        return found

    def instruct(self, bundle_nos: Sequence[str], *, write_by: float | None = None) -> InstructOutcome:
        """신규주문 → 출고대기, for exactly these bundles (3,000 at most). One that is no new order has
        PlayAuto refuse them all (e2009), and `Refused.bundle_nos` names it. Raises ValueError for none, since
        PlayAuto takes that for every new order."""
        _check_count(len(bundle_nos), "bundles")
        body = dialect.instruction_body(bundle_nos)
        reply = self._caller.ask("PUT", dialect.INSTRUCTION, body, write_by=write_by)
        return answers.instruct_outcome(reply) if isinstance(reply, Reply) else reply

    def set_invoices(
        self,
        rows: Sequence[InvoiceRow],
        *,
        overwrite: bool = False,
        change_complete: bool = False,
        write_by: float | None = None,
    ) -> dict[str, InvoiceOutcome]:
        """Store tracking numbers, 3,000 bundles at most, in one call: an outcome for each bundle number.

        `overwrite`: take the place of a number that is there. Without it a repeat answers AlreadySet, and a
        look at the order says whose number it is (`answers.read_back`). `change_complete`: 출고완료 instead
        of 운송장출력. Numbers go without hyphens and blanks; rows that could only be refused do not go.
        `write_by`: monotonic instant after which nothing may be written any more (then NotSent).
        Raises ValueError for more than 3,000 rows."""
        _check_count(len(rows), "rows")
        cleaned = [one.cleaned() for one in rows]
        refused = dialect.refused_here(cleaned)
        outcomes: dict[str, InvoiceOutcome] = dict(refused)
        good = list({one.bundle_no: one for one in cleaned if one.bundle_no not in refused}.values())
        if not good:
            return outcomes
        body = dialect.invoice_body(good, overwrite=overwrite, change_complete=change_complete)
        reply = self._caller.ask("PUT", dialect.SET_INVOICE, body, write_by=write_by)
        sent = [one.bundle_no for one in good]
        if isinstance(reply, Reply):
            return outcomes | answers.invoice_outcomes(reply, sent)
        return outcomes | dict.fromkeys(sent, reply)

    def send_invoices(
        self, orders: Sequence[Order], callback_url: str | None = None, *, write_by: float | None = None
    ) -> JobOutcome:
        """Have PlayAuto send the stored numbers of these orders (3,000 at most) on to their marketplaces.

        The jobs end later. Their callback (`answers.parse_callback`) may come late, twice or never;
        `Order.sent_at` is what proves it. Doing it twice sends the same number twice. Raises ValueError for
        none or too many."""
        _check_count(len(orders), "orders")
        if not orders:
            raise ValueError("there is no order to send on")
        body = dialect.send_body(orders, callback_url, self.choices)
        reply = self._caller.ask("POST", dialect.SEND_INVOICE, body, write_by=write_by)
        return answers.jobs_outcome(reply) if isinstance(reply, Reply) else reply

    def close(self) -> None:
        """Close idle connections."""
        self._caller.close()

    def _pages(self, query: OrderQuery, length: int, again: int = 0) -> Iterator[Sequence[Order]]:
        """By what came, not by what was asked for: a page may be shorter than that without being the last."""
        start = tries = 0
        while True:
            reply = self._caller.ask("POST", dialect.ORDERS, dialect.orders_body(query, start, length))
            page = answers.page_of(reply) if isinstance(reply, Reply) else None
            if page is None:
                if length > 1 and _too_long(reply):
                    length = max(1, length // 2)
                    continue
                failed = _unavailable("for orders", reply)
                if tries >= again or not failed.retryable:
                    raise failed
                clock().wait(2.0**tries)
                tries += 1
                continue
            if not page.orders:
                return
            tries = 0
            yield page.orders
            start += len(page.orders)
            if len(page.orders) < length and (page.total is None or start >= page.total):
                return


def _check_count(count: int, what: str) -> None:
    if count > ROWS_MAX:
        raise ValueError(f"PlayAuto takes {ROWS_MAX} {what} in one call, not {count}; cut them into chunks")


def _too_long(reply: Reply | NotSent | InDoubt | Refused) -> bool:
    problem = answers.problem_of(reply) if isinstance(reply, Reply) else None
    return problem is not None and problem.effect == "split"


def _unavailable(what: str, reply: Reply | NotSent | InDoubt | Refused) -> PlayAutoUnavailable:
    said = answers.failure(reply) if isinstance(reply, Reply) else reply
    if isinstance(said, Refused):
        reason = f"{told(said.code)} ({said.message})" if said.message else told(said.code)
        return PlayAutoUnavailable(what, said.code, reason, retryable=said.retryable)
    reason = said.reason if said is not None else "not_the_provider"
    wait_s = said.retry_after_s if isinstance(said, InDoubt) else None
    return PlayAutoUnavailable(what, reason, reason, retryable=True, retry_after_s=wait_s)
