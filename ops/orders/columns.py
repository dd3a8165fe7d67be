"""Names that a file may use for what we need of an order. Everything else in it is left aside."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Final

from ops.exchange.values import BadFile

#: Column -> the names that files give it, beside its own. `carrier` holds a name or a code.
NAMES: Final = {
    "order_no": "주문번호 자사주문번호 주문no orderno ordernumber",
    "shop_order_no": "쇼핑몰주문번호 마켓주문번호 몰주문번호 판매처주문번호 shopordno",
    "playauto_uniq": "주문고유번호 고유번호 플레이오토주문번호 플레이오토고유번호 uniq",
    "bundle_no": "묶음번호 묶음배송번호 묶음주문번호 bundle",
    "carrier": "택배사 택배사명 택배 배송사 배송업체 운송사 운송업체 carriername carrname courier",
    "carrier_code": "택배사코드 택배코드 배송사코드 carrno",
    "tracking_number": "송장번호 운송장번호 송장 운송장 등기번호 invoiceno trackingno tracking waybill",
    "shop_name": "쇼핑몰 쇼핑몰명 판매처 판매처명 판매채널 마켓 마켓명 shop mall",
    "shop_code": "쇼핑몰코드 판매처코드 shopcd sitecode",
    "order_status": "주문상태 상태 주문처리상태 ordstatus status",
    "playauto_uploaded": "업로드여부 송장업로드 송장전송여부 플레이오토업로드 uploaded",
}
#: What identifies an order, best first: the first of these that a file has is its order number.
KEYS: Final = ("order_no", "playauto_uniq", "shop_order_no")
_BARE: Final = re.compile(r"\([^)]*\)|[\s_\-*./:]+")
_KNOWN: Final = {name: column for column, names in NAMES.items() for name in names.split()} | {
    column.replace("_", ""): column for column in NAMES
}


def column_of(heading: str) -> str | None:
    """The column that a heading means; None: it is left aside. Blanks, signs and (필수) do not matter."""
    return _KNOWN.get(_BARE.sub("", heading.strip().lstrip("\ufeff").lower()))


def columns_of(headings: Sequence[str], line: int) -> dict[int, str]:
    """Place -> column of a heading line. Raises BadFile if it names no order, or one column twice."""
    found = {place: column for place, name in enumerate(headings) if (column := column_of(name)) is not None}
    doubled = sorted({one for one in found.values() if list(found.values()).count(one) > 1})
    if doubled:
        both = [headings[place].strip() for place, column in found.items() if column in doubled]
        raise BadFile(
            f"line {line} names {', '.join(doubled)} twice: {', '.join(both)}.", "Take one of them out."
        )
    if not set(KEYS) & set(found.values()):
        near = [hint for name in headings if (hint := _meant(name))]
        hint = f" Perhaps {'; '.join(near)}?" if near else ""
        raise BadFile(f"line {line} names no order number.", f"Call a column 주문번호 or order_no.{hint}")
    if len(found) == 1:
        known = ", ".join(NAMES)
        raise BadFile(f"line {line} names nothing but the order number.", f"What is known of: {known}.")
    return found


def is_heading(cells: Sequence[str]) -> bool:
    """Whether a line looks like the one that names the columns: it names two that we know."""
    return len({column_of(cell) for cell in cells} - {None}) >= 2


def _meant(name: str) -> str | None:
    near = difflib.get_close_matches(_BARE.sub("", name.lower()), list(_KNOWN), n=1, cutoff=0.7)
    return f"{name.strip()!r} means {near[0]}" if near and column_of(name) is None else None
