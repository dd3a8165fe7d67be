"""The orders of an emulated PlayAuto, found by number without looking at the others."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

SEOUL = ZoneInfo("Asia/Seoul")
NEW, TO_SHIP, HELD, PRINTED, RECHECK = "신규주문", "출고대기", "출고보류", "운송장출력", "주문재확인"
SHIPPING, SHIPPED, DELIVERED = "배송중", "출고완료", "배송완료"
TAKES_INVOICE = frozenset({TO_SHIP, HELD, PRINTED, RECHECK, SHIPPING})
STATES = (
    NEW, TO_SHIP, HELD, PRINTED, RECHECK, SHIPPING, SHIPPED, DELIVERED, "결제완료", "구매결정",
    "취소요청", "취소완료", "반품요청", "반품완료", "교환요청", "교환완료",
)  # fmt: skip
CARRIERS = {
    "1": "우체국택배", "4": "CJ대한통운", "5": "한진택배", "6": "로젠택배", "8": "롯데택배",
    "36": "쿠팡로켓배송",
}  # fmt: skip
SHOPS = (
    ("A001", "옥션"), ("A006", "지마켓"), ("A077", "스마트스토어"), ("A112", "11번가"), ("B378", "쿠팡"),
    ("A027", "인터파크"), ("B719", "카카오선물하기"), ("A032", "롯데온"),
)  # fmt: skip
INDEXED = ("bundle_no", "uniq", "shop_ord_no", "invoice_no")
_UNIQ, _BUNDLE, _SHOP_ORDER = 3_000_000_000_000_000, 3_772_225_500_000_000, 202_600_000_000


@dataclass(slots=True)
class Order:
    """One order of one shop. Times are epoch seconds."""

    n: int
    bundle_no: str
    shop: int
    placed: float
    ord_status: str
    carr_no: str = ""
    invoice_no: str = ""
    changed: float = 0.0
    out_at: float | None = None
    sent_at: float | None = None
    refuses: str | None = None
    refused: int = 0

    @property
    def uniq(self) -> str:
        return str(_UNIQ + self.n)

    @property
    def shop_ord_no(self) -> str:
        return str(_SHOP_ORDER + self.n)

    @property
    def shop_cd(self) -> str:
        return SHOPS[self.shop % len(SHOPS)][0]

    @property
    def shop_id(self) -> str:
        return f"seller{self.shop + 1}"


_Shown = tuple[float, str, str, str, float, float | None, float | None]


class Orders:
    """All orders in the order of their placing. Not thread-safe: the API holds one lock for a call."""

    def __init__(self) -> None:
        self.all: list[Order] = []
        self._placed: list[float] = []
        self._bundles: dict[str, list[Order]] = {}
        self._invoices: dict[str, set[int]] = {}
        self._before: dict[int, list[_Shown]] = {}

    def __len__(self) -> int:
        return len(self.all)

    def clear(self) -> None:
        """No orders."""
        self.__init__()  # type: ignore[misc]

    def add(self, placed: float, status: str, shop: int, *, bundle_no: str | None = None) -> Order:
        """The newest order; into an older one's bundle, if named."""
        n = len(self.all)
        placed = max(placed, self._placed[-1]) if self._placed else placed
        order = Order(n, bundle_no or str(_BUNDLE + n), shop, placed, status, changed=placed)
        self.all.append(order)
        self._placed.append(placed)
        self._bundles.setdefault(order.bundle_no, []).append(order)
        return order

    def seed(
        self,
        count: int,
        now: float,
        *,
        seed: int = 0,
        shops: int = 5,
        states: Mapping[str, float] | None = None,
        refuse: Mapping[str, float] | None = None,
        bundled: float = 0.1,
        days: float = 30.0,
    ) -> None:
        """`count` more orders, placed evenly over the last `days`.

        `states`: state -> share (신규주문 and 출고대기 by default); `refuse`: error code of setInvoice ->
        share of bundles that answer with it; `bundled`: share that travels with the order before it.
        Raises ValueError for a state that does not exist and for shares above 1."""
        chance, codes = random.Random(seed), dict(refuse or {})
        shares = dict(states or {NEW: 0.5, TO_SHIP: 0.5})
        _check(count, shops, shares, codes)
        start, step = now - days * 86_400, days * 86_400 / max(count, 1)
        last: Order | None = None
        for n in range(count):
            if last is not None and chance.random() < bundled:
                added = self.add(start + n * step, last.ord_status, last.shop, bundle_no=last.bundle_no)
                added.refuses = last.refuses
                continue
            state = chance.choices(list(shares), list(shares.values()))[0]
            last = self.add(start + n * step, state, chance.randrange(shops))
            last.refuses = _drawn(codes, chance.random())
            if state in (SHIPPING, SHIPPED, DELIVERED):
                self.change(last, last.placed, carr_no="4", invoice_no=f"6{last.n:011}", sent_at=last.placed)
        self._before.clear()

    def by_uniq(self, uniq: str) -> Order | None:
        """The order with this number of PlayAuto's own."""
        return self._at(uniq, _UNIQ)

    def bundle(self, bundle_no: str) -> list[Order]:
        """The orders that travel together under this number."""
        return self._bundles.get(bundle_no, [])

    def bundles(self) -> Iterator[str]:
        """Every bundle's number, oldest first."""
        return iter(self._bundles)

    def found(self, key: str, word: str) -> list[Order]:
        """Those whose `key`, one of INDEXED, is exactly `word`."""
        match key:
            case "bundle_no":
                return self.bundle(word)
            case "uniq":
                return [one] if (one := self.by_uniq(word)) else []
            case "shop_ord_no":
                return [one] if (one := self._at(word, _SHOP_ORDER)) else []
            case "invoice_no":
                return [self.all[n] for n in sorted(self._invoices.get(word, ()))]
            case _:
                raise KeyError(key)

    def placed_between(self, first: date, last: date) -> tuple[int, int]:
        """Positions in `all` from the first to behind the last order of these Korean days."""
        end = datetime.combine(last, time(), SEOUL) + timedelta(days=1)
        start = datetime.combine(first, time(), SEOUL)
        return bisect_left(self._placed, start.timestamp()), bisect_right(
            self._placed, end.timestamp() - 0.001
        )

    def change(self, order: Order, at: float, **fields: Any) -> None:
        """Write to an order; what it was stays visible to a lagging reader."""
        self._before.setdefault(order.n, []).append((at, *_seen(order)))
        if "invoice_no" in fields and order.invoice_no != fields["invoice_no"]:
            self._invoices.get(order.invoice_no, set()).discard(order.n)
            self._invoices.setdefault(fields["invoice_no"], set()).add(order.n)
        for name, value in fields.items():
            setattr(order, name, value)
        order.changed = at

    def shown(self, order: Order, until: float) -> Order:
        """The order as it was at `until`."""
        for at, status, carr_no, invoice_no, changed, out_at, sent_at in self._before.get(order.n, ()):
            if at > until:
                return Order(
                    order.n, order.bundle_no, order.shop, order.placed, status, carr_no, invoice_no,
                    changed, out_at, sent_at,
                )  # fmt: skip
        return order

    def _at(self, number: str, base: int) -> Order | None:
        n = int(number) - base if number.isascii() and number.isdigit() else -1
        return self.all[n] if 0 <= n < len(self.all) else None


def _seen(order: Order) -> tuple[str, str, str, float, float | None, float | None]:
    return (
        order.ord_status, order.carr_no, order.invoice_no, order.changed, order.out_at, order.sent_at,
    )  # fmt: skip


def _check(count: int, shops: int, states: Mapping[str, float], codes: Mapping[str, float]) -> None:
    if unknown := set(states) - set(STATES):
        raise ValueError(
            f"there is no order state {', '.join(sorted(unknown))}; known are {', '.join(STATES)}"
        )
    if count < 0 or shops < 1 or sum(codes.values()) > 1 or min([*states.values(), *codes.values()]) < 0:
        raise ValueError("a number of orders, at least one shop, and shares between 0 and 1 are needed")


def _drawn(shares: Mapping[str, float], point: float) -> str | None:
    for name, share in shares.items():
        if point < share:
            return name
        point -= share
    return None
