"""Orders from PlayAuto itself: read page by page, staged, compared, then written as a whole or not.

Nothing of a person is taken: of each order its numbers, shop, state, carrier and tracking number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import psycopg

from gateways.playauto.client import Client
from gateways.playauto.values import Order, OrderQuery
from models.store.orders import Kept, Merge, OrderImport, OrderLine
from ops.orders.judge import Remark
from ops.orders.take import Found, clash

PAGE: Final = 3_000
AGAIN: Final = 3
_LONGEST: Final = 100
_KEPT: Final = "it was uploaded as {kept.had!r}, PlayAuto has {kept.given!r} now: look at it there"
_DIFFERS: Final = "{kept.had!r} waits here, PlayAuto has {kept.given!r}: ours stays, its upload will tell"


@dataclass(slots=True)
class Read(Found):
    """What came of a question: also how many of its orders PlayAuto has a number for already."""

    uploaded: int = 0


class PlayAutoImport:
    """One import into one account: `read`, then `save`."""

    def __init__(self, db: psycopg.Connection[Any], account: str) -> None:
        self._orders = OrderImport(db, account, source="playauto")

    def read(self, client: Client, query: OrderQuery, step: Callable[[int], None] = lambda _: None) -> Read:
        """Stage all that PlayAuto shows and compare it with what is there; nothing is written to `orders`.

        Raises PlayAutoUnavailable if a page does not come after all; then there is nothing to save.
        """
        found = Read()
        lines = _lines(client.orders(query, page=PAGE, again=AGAIN))
        while batch := list(islice(lines, PAGE)):
            # A list first: a COPY that waited for the network would run into the server's limits.
            self._orders.stage(batch)
            found.lines += len(batch)
            found.uploaded += sum(one.playauto_uploaded or 0 for one in batch)
            step(len(batch))
        found.plan = self._orders.compare()
        found.problems = [clash(one) for one in self._orders.clashes()]
        kept = self._orders.kept()
        found.kept = len(kept)
        found.warnings = [_remark(one, _DIFFERS) for one in self._orders.differing()]
        found.warnings += [_remark(one, _KEPT) for one in kept]
        return found

    def save(self) -> Merge:
        """Write them, all or none; answers what was written. Raises a StoreError."""
        return self._orders.merge()


def _lines(orders: Iterator[Order]) -> Iterator[OrderLine]:
    for number, order in enumerate(orders, 1):
        yield line_of(number, order)


def line_of(number: int, order: Order) -> OrderLine:
    """What is kept of an order. A carrier without a number says nothing: it is the shop's usual one."""
    has = bool(order.invoice_no)
    sent = has or order.sent_at is not None
    return OrderLine(
        number, order.uniq, order.shop_cd or None, _short(order.raw.get("shop_name")),
        order.shop_ord_no or None, order.uniq, order.bundle_no, (order.carr_no or None) if has else None,
        _short(order.raw.get("carr_name")) if has else None, order.invoice_no or None, _short(order.status),
        1 if sent else None, order.sent_at is not None,
    )  # fmt: skip


def _short(value: object) -> str | None:
    return value.strip()[:_LONGEST] or None if isinstance(value, str) else None


def _remark(one: Kept, words: str) -> Remark:
    return Remark(one.line, one.order_no, "tracking_number", words.format(kept=one))
