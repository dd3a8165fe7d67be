"""From a line to an order: what its cells mean, what is wrong with it, what is worth knowing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from models.store.orders import OrderLine
from models.tracking.carriers import Carrier, Carriers, Family, family_of
from models.tracking.numbers import is_shortened, judge
from ops.orders.columns import KEYS
from ops.orders.lines import Line

_LONGEST: Final = {"shop_code": 50, "carrier_code": 20}
_USUAL: Final = 100
#: Where a lost digit means another order or parcel.
_NUMBERS: Final = ("order_no", "shop_order_no", "playauto_uniq", "bundle_no", "tracking_number")
_AS_FORMULA: Final = re.compile(r'="(.*)"', re.S)  # how exporters keep Excel from eating zeros
_YES: Final = frozenset({"1", "y", "yes", "true", "o", "예", "완료", "전송완료", "업로드완료"})
_NO: Final = frozenset({"0", "n", "no", "false", "x", "아니오", "아니요", "미완료", "미전송", "대기"})
_LOST: Final = (
    "a spreadsheet has shortened it to {}, its digits are lost: format the column as text, export anew"
)


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about one line: the column it is about, and a sentence."""

    line: int
    order_no: str
    column: str
    said: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A line with its order, None if it cannot be taken; then ``problems`` say why."""

    order: OrderLine | None
    problems: tuple[Remark, ...] = ()
    warnings: tuple[Remark, ...] = ()


class Judge:
    """Judges the lines of one file by its columns and the account's list of carriers."""

    def __init__(self, columns: Mapping[int, str], carriers: Carriers) -> None:
        self._columns = columns
        self._key = next(key for key in KEYS if key in columns.values())
        self._carriers = carriers
        self._most = max(columns) + 1
        self._carrier: Callable[[str, str], _Named] = lru_cache(4096)(self._find_carrier)

    def judge(self, line: Line) -> Judged:
        """What a line says of its order."""
        values = {column: text for place, column in self._columns.items() if (text := _clean(line, place))}
        problems = [*self._spoilt(line), *_unfit(values)]
        named = self._carrier(values.get("carrier", ""), values.get("carrier_code", ""))
        problems += [("carrier", said) for said in named.problems]
        warnings = [("carrier", said) for said in named.warnings]
        if "tracking_number" in values:
            number = judge(values["tracking_number"], named.family)
            problems += [("tracking_number", number.error)] if number.error else []
            warnings += [("tracking_number", said) for said in number.warnings]
        uploaded = _yes_or_no(values.get("playauto_uploaded"), problems)
        order_no = values.get(self._key, "")
        if not order_no:
            problems.insert(0, (self._key, "it is empty"))
        remarks = tuple(Remark(line.number, order_no, column, said) for column, said in _once(problems))
        told = tuple(Remark(line.number, order_no, column, said) for column, said in warnings)
        if remarks:
            return Judged(None, remarks, told)
        return Judged(_order(line.number, order_no, values, named, uploaded), (), told)

    def _spoilt(self, line: Line) -> list[tuple[str, str]]:
        found = [
            (self._columns[place], said) for place, said in line.spoilt.items() if place in self._columns
        ]
        if len(line.cells) < self._most:
            found.append(("line", f"it ends after {len(line.cells)} cells, {self._most} are needed"))
        return found

    def _find_carrier(self, given: str, code: str) -> _Named:
        by_code = self._carriers.resolve(code) if code else None
        by_name = self._carriers.resolve(given) if given else None
        if by_code and by_name and by_code.code != by_name.code:
            return _Named(None, given, None, (f"the code {code} and {given!r} are not the same carrier",), ())
        found = by_code or by_name
        if found is None and (given or code):
            return self._unknown(given or code)
        name = given if given and not given.isdigit() else (found.name if found else None)
        return _Named(found, name, family_of(name or (found.name if found else None)), (), ())

    def _unknown(self, given: str) -> _Named:
        """Not taken for an error: the order is there, and waits once PlayAuto lists the carrier."""
        if not self._carriers:
            said = f"{given!r} gets its code once PlayAuto's list of carriers is there; it is not there yet"
        else:
            near = self._carriers.similar(given)
            meant = f": did you mean {' or '.join(near)}?" if near else ""
            said = f"PlayAuto lists no carrier {given!r} for this account, so the order does not wait{meant}"
        return _Named(None, given, family_of(given), (), (said,))


@dataclass(frozen=True, slots=True)
class _Named:
    """A carrier as a line names it."""

    carrier: Carrier | None
    name: str | None
    family: Family | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def _clean(line: Line, place: int) -> str:
    """A cell without what a spreadsheet or an exporter put around it."""
    if place >= len(line.cells):
        return ""
    text = line.cells[place].strip().strip("\ufeff\u200b\u00a0")
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    wrapped = _AS_FORMULA.fullmatch(text)
    return (wrapped[1] if wrapped else text.removeprefix("'")).strip()


def _unfit(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """What no column can hold, or what a spreadsheet made of a number."""
    found = []
    for column, text in values.items():
        most = _LONGEST.get(column, _USUAL)
        if len(text) > most:
            found.append((column, f"it has {len(text)} letters, at most {most} can be kept"))
        if any(unicodedata.category(letter) == "Cc" for letter in text):
            found.append((column, "it holds a line break or another control character"))
    return found + [
        (column, _LOST.format(values[column]))
        for column in _NUMBERS
        if column in values and is_shortened(values[column])
    ]


def _yes_or_no(text: str | None, problems: list[tuple[str, str]]) -> int | None:
    if text is None:
        return None
    if text.lower() in _YES | _NO:
        return int(text.lower() in _YES)
    problems.append(("playauto_uploaded", f"{text!r} is neither yes nor no: write 1 or 0"))
    return None


def _once(problems: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The first problem of each column: what follows from it says nothing more."""
    return list({column: (column, said) for column, said in reversed(problems)}.values())[::-1]


def _order(
    line: int, order_no: str, values: Mapping[str, str], named: _Named, uploaded: int | None
) -> OrderLine:
    return OrderLine(
        line, order_no, values.get("shop_code"), values.get("shop_name"), values.get("shop_order_no"),
        values.get("playauto_uniq"), values.get("bundle_no"),
        named.carrier.code if named.carrier else None, named.name, values.get("tracking_number"),
        values.get("order_status"), uploaded,
    )  # fmt: skip
