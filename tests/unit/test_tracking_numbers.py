"""Tracking numbers: what the API takes, what is warned of, what is refused (C34, C92)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tracking.carriers import Family
from models.tracking.numbers import is_shortened, judge, normalise


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("123456789012", "123456789012"), ("1234-5678-9012", "123456789012"), (" 1234 5678 ", "12345678"),
        ("０１２３４５６７８９", "0123456789"), ("0012-3456", "00123456"), ("1234–5678", "12345678"),
        ("\ufeff1234\u200b5678", "12345678"), ("eg123456789kr", "EG123456789KR"), ("0012.0", "0012"),
    ],
)  # fmt: skip
def test_signs_go_and_zeros_stay_and_the_original_is_kept(given: str, plain: str) -> None:
    found = judge(given)
    assert (found.plain, found.error) == (plain, None)
    assert found.given == given.strip()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "empty"), ("", "empty"), ("  ", "empty"), ("---", "no digit"), ("없음", "signs"),
        ("ABC", "no digit"), ("1.23E+11", "shortened"), ("1.23456E+14", "shortened"), ("3E+11", "shortened"),
        ("123456789012,123456789013", "several"), ("1234/5678", "several"), ("12345번", "signs"),
        ("1" * 19 + "23", "takes 20"), ("#N/A", "several"), ("=1+1", "signs"), ("1234.5678", "signs"),
    ],
)  # fmt: skip
def test_what_can_be_no_number_is_an_error_that_says_why(given: str | None, reason: str) -> None:
    error = judge(given).error
    assert error is not None
    assert reason in error


@pytest.mark.parametrize(
    ("family", "number", "warning"),
    [
        (Family.CJ, "123456789012", None), (Family.CJ, "1234567890", None), (Family.CJ, "12345678901", "11"),
        (Family.CJ, "12345678901A", "letters"),
        (Family.HANJIN, "123456789012", None), (Family.HANJIN, "12345678901234", None),
        (Family.HANJIN, "1234567890123", "13"),
        (Family.LOTTE, "123456789013", None), (Family.LOTTE, "123456789012", "check digit"),
        (Family.LOTTE, "12345678901", "12 digits"),
        (Family.LOGEN, "12345678901", None), (Family.LOGEN, "123456789012", "11 digits"),
        (Family.EPOST, "6123456789012", None), (Family.EPOST, "8123456789012", "begin"),
        (Family.EPOST, "612345678901", "13"), (Family.EPOST, "EG123456789KR", None),
        (Family.COUPANG, "anything1", None), (None, "1", "repeated"), (None, "000000000000", "repeated"),
        (Family.CJ, "111111111111", "repeated"),
    ],
)  # fmt: skip
def test_a_number_that_looks_wrong_for_its_carrier_is_warned_of_and_may_go(
    family: Family | None, number: str, warning: str | None
) -> None:
    found = judge(number, family)
    assert found.error is None
    assert len(found.warnings) == (warning is not None)
    assert warning is None or warning in found.warnings[0]


@given(st.from_regex(r"[0-9]{10,14}", fullmatch=True))
def test_hyphens_never_change_what_is_uploaded(number: str) -> None:
    hyphened = "-".join([number[:4], number[4:8], number[8:]])
    assert normalise(hyphened) == number
    assert judge(hyphened, Family.CJ).warnings == judge(number, Family.CJ).warnings


@given(st.text())
def test_whatever_is_given_the_api_gets_twenty_letters_of_ascii_or_nothing(text: str) -> None:
    found = judge(text)
    assert found.error is not None or (
        found.plain.isascii() and found.plain.isalnum() and len(found.plain) <= 20
    )


def test_a_shortened_number_is_known() -> None:
    assert is_shortened("1.23E+11")
    assert not is_shortened("12345E6789")
