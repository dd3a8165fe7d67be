"""Carriers as people write them, and the one of an account's list that they mean.

The codes are PlayAuto's and differ between lists, so none stands here: an account's list is asked. Names
do not differ, only their spelling does.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

K = TypeVar("K")


class Family(StrEnum):
    """A carrier whose numbers have a known form, or that is written in many ways."""

    CJ = "cj"
    HANJIN = "hanjin"
    LOTTE = "lotte"
    LOGEN = "logen"
    EPOST = "epost"
    COUPANG = "coupang"


_NAMES: Final = {
    Family.CJ: "cj대한통운 대한통운 cj 씨제이 씨제이대한통운 cjgls 씨제이gls cjlogistics cjkorea",
    Family.HANJIN: "한진 hanjin hanjinexpress",
    Family.LOTTE: "롯데 롯데글로벌로지스 롯데글로벌 롯데로지스틱스 현대 현대로지스틱스 lotte lottegls",
    Family.LOGEN: "로젠 logen ilogen",
    Family.EPOST: "우체국 우체국소포 우편소포 epost koreapost koreapostoffice",
    Family.COUPANG: "쿠팡 쿠팡cls 쿠팡로지스틱스 쿠팡로지스틱스서비스 쿠팡로켓 쿠팡로켓배송 coupang",
}
_FAMILY: Final = {name: family for family, names in _NAMES.items() for name in names.split()}
_NOISE: Final = re.compile(r"\(주\)|㈜|주식회사|택배|express$|parcel$|[\s\W_]+")


@dataclass(frozen=True, slots=True)
class Carrier:
    """One carrier: PlayAuto's code, and its name, None where no list says it."""

    code: str
    name: str | None


def bare_name(name: str) -> str:
    """A name without what people write differently: blanks, signs, capitals, (주), 택배."""
    return _NOISE.sub("", unicodedata.normalize("NFKC", name).casefold())


def family_of(name: str | None) -> Family | None:
    """The family that a carrier's name belongs to; None for any other carrier, or no name."""
    return None if name is None else _FAMILY.get(bare_name(name))


class Carriers:
    """An account's list of carriers, asked by code or by name."""

    def __init__(self, listed: Iterable[tuple[str, str]] = ()) -> None:
        self.listed = tuple(Carrier(code, name) for code, name in listed)
        self._by_code = {one.code.lstrip("0") or "0": one for one in self.listed}
        self._by_name = _unique((bare_name(one.name or ""), one) for one in self.listed)
        self._by_family = _unique((family_of(one.name), one) for one in self.listed)

    def __bool__(self) -> bool:
        """Whether there is a list at all."""
        return bool(self.listed)

    def resolve(self, given: str) -> Carrier | None:
        """The carrier that a code or a name means, None if the list has none such or several.

        Without a list a code is believed, and no name is.
        """
        text = unicodedata.normalize("NFKC", given).strip()
        by_code = self._by_code.get(text.lstrip("0") or "0")
        if by_code is not None or (text.isascii() and text.isdigit()):
            return by_code if self else Carrier(text, None)
        return self._by_name.get(bare_name(text)) or self._of_family(text)

    def name_of(self, code: str) -> str | None:
        """The name that the list gives a code."""
        found = self._by_code.get(code.lstrip("0") or "0")
        return found.name if found else None

    def similar(self, given: str) -> list[str]:
        """Names of the list that may be meant, nearest first, three at most."""
        names = {bare_name(one.name or ""): one.name or one.code for one in self.listed}
        return [
            names[near] for near in difflib.get_close_matches(bare_name(given), list(names), n=3, cutoff=0.5)
        ]

    def _of_family(self, text: str) -> Carrier | None:
        family = family_of(text)
        return self._by_family.get(family) if family is not None else None


def _unique(found: Iterable[tuple[K, Carrier]]) -> dict[K, Carrier]:
    """Those keys that mean one carrier; what means several means none."""
    pairs = list(found)
    counts = Counter(key for key, _ in pairs)
    return {key: one for key, one in pairs if counts[key] == 1}
