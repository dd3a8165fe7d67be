"""Tracking numbers: what the API takes of them, and what looks wrong for their carrier.

Only what no carrier can have given is an error: nothing at all, letters of no alphabet, more than PlayAuto
takes. Everything else is a warning, because the carriers publish no rules; those here are what
shlee322/delivery-tracker and PlayAuto's own pages agree on (docs/tracking.md).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from models.tracking.carriers import Family

MOST: Final = 20  # PlayAuto's invoice_no
_SIGNS: Final = re.compile(r"[\s\-‐‑‒–—―−\u200b\u200c\u200d\ufeff]+")
_FRACTION: Final = re.compile(r"(\d+)\.0+")  # a number that went through a float on its way
_POWER: Final = re.compile(r"\d([.,]\d+)?[Ee]\+?\d{1,2}")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was given and as the API takes it; an error forbids its upload, a warning does not."""

    given: str
    plain: str
    error: str | None = None
    warnings: tuple[str, ...] = ()


def normalise(given: str) -> str:
    """What the API takes: no blanks, no hyphens, wide letters made narrow. Leading zeros stay."""
    plain = _SIGNS.sub("", unicodedata.normalize("NFKC", given)).upper()
    whole = _FRACTION.fullmatch(plain)
    return whole[1] if whole else plain


def judge(given: str | None, family: Family | None = None) -> Number:
    """Look a number over, by its carrier's rule if that is known (`carriers.family_of`)."""
    text = (given or "").strip()
    plain = normalise(text)
    error = _error(text, plain)
    if error is not None:
        return Number(text, plain, error)
    found = [_PLACEHOLDER] if len(set(plain)) == 1 else []
    rule = _RULES.get(family) if family is not None else None
    worse = rule(plain) if rule is not None else None
    return Number(text, plain, None, tuple([*found, worse] if worse and not found else found))


_PLACEHOLDER: Final = "one digit repeated: it looks like a placeholder"


def is_shortened(text: str) -> bool:
    """Whether a spreadsheet has made a power of ten of it (1.23E+11): its digits are lost."""
    return _POWER.fullmatch(text.strip()) is not None


def _error(text: str, plain: str) -> str | None:
    if not plain:
        return "it is empty" if not text else "there is no digit in it"
    if is_shortened(text):
        return "a spreadsheet has shortened it, its digits are lost: format the column as text, export anew"
    if re.search(r"[,;/|]", text):
        return "it holds several numbers: one order carries one, split the order in PlayAuto"
    if not (plain.isascii() and plain.isalnum()):
        return "it holds signs that no tracking number has"
    if not any(letter.isdigit() for letter in plain):
        return "there is no digit in it"
    if len(plain) > MOST:
        return f"it has {len(plain)} letters, PlayAuto takes {MOST}"
    return None


def _digits(plain: str, lengths: tuple[int, ...], name: str) -> str | None:
    if plain.isdigit() and len(plain) in lengths:
        return None
    usual = " or ".join(str(one) for one in lengths)
    return f"{name} numbers have {usual} digits, this one has {_counted(plain)}"


def _counted(plain: str) -> str:
    return str(len(plain)) if plain.isdigit() else "letters"


def _lotte(plain: str) -> str | None:
    wrong = _digits(plain, (12,), "롯데")
    if wrong is None and int(plain[:11]) % 7 != int(plain[11]):
        return "its check digit is wrong for 롯데: a digit may be mistyped"
    return wrong


def _epost(plain: str) -> str | None:
    if re.fullmatch(r"[A-Z]{2}\d{9}[A-Z]{2}", plain):
        return None  # international mail
    wrong = _digits(plain, (13,), "우체국")
    if wrong is None and plain[0] not in "1234567":
        return "우체국 numbers begin with 1 to 7 (parcels with 6 or 7)"
    return wrong


_RULES: Final[dict[Family, Callable[[str], str | None]]] = {
    Family.CJ: lambda plain: _digits(plain, (10, 12), "CJ대한통운"),
    Family.HANJIN: lambda plain: _digits(plain, (10, 12, 14), "한진"),
    Family.LOTTE: _lotte,
    Family.LOGEN: lambda plain: _digits(plain, (11,), "로젠"),
    Family.EPOST: _epost,
}
