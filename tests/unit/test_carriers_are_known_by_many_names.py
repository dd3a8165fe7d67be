"""A carrier is found by its code, its name, and the ways in which people write that name (C33, C86)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tracking.carriers import Carrier, Carriers, Family, family_of

LIST = [("1", "우체국택배"), ("4", "CJ대한통운"), ("5", "한진택배"), ("6", "로젠택배"), ("8", "롯데택배"),
        ("23", "경동택배"), ("46", "CU 편의점택배"), ("99", "우체국EMS")]  # fmt: skip
KNOWN = Carriers(LIST)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("4", "4"), ("04", "4"), (" 4 ", "4"), ("４", "4"),
        ("CJ대한통운", "4"), ("CJ 대한통운", "4"), ("cj대한통운", "4"), ("대한통운", "4"), ("CJ", "4"),
        ("씨제이대한통운", "4"), ("CJ대한통운택배", "4"), ("CJ-GLS", "4"), ("(주)CJ대한통운", "4"),
        ("㈜ 한진", "5"), ("한진", "5"), ("한진 택배", "5"), ("Hanjin Express", "5"),
        ("롯데", "8"), ("롯데글로벌로지스", "8"), ("현대택배", "8"),
        ("로젠", "6"), ("우체국", "1"), ("우체국 소포", "1"), ("우체국EMS", "99"),
        ("경동", "23"), ("CU편의점", "46"),
    ],
)  # fmt: skip
def test_a_carrier_is_found_however_it_is_written(given: str, code: str) -> None:
    found = KNOWN.resolve(given)
    assert found is not None
    assert found.code == code


@pytest.mark.parametrize("given", ["", " ", "7", "현진", "퀵서비스", "CJ대한통운 우체국"])
def test_what_the_list_does_not_hold_is_no_carrier(given: str) -> None:
    assert KNOWN.resolve(given) is None


def test_a_code_is_believed_while_there_is_no_list_and_a_name_is_not() -> None:
    nobody = Carriers()
    assert not nobody
    assert nobody.resolve("4") == Carrier("4", None)
    assert nobody.resolve("CJ대한통운") is None


def test_codes_are_the_lists_own_and_need_not_be_digits() -> None:
    other = Carriers([("CJGLS", "대한통운"), ("12", "한진")])
    assert other.resolve("CJ대한통운") == Carrier("CJGLS", "대한통운")
    assert other.resolve("CJGLS") == Carrier("CJGLS", "대한통운")
    assert other.resolve("4") is None


def test_a_name_that_may_mean_two_means_none_but_its_own_name_means_itself() -> None:
    two = Carriers([("4", "CJ대한통운"), ("40", "대한통운")])
    assert two.resolve("씨제이") is None
    assert two.resolve("대한통운") == Carrier("40", "대한통운")


def test_names_that_may_be_meant_are_named() -> None:
    assert KNOWN.similar("경둥택배") == ["경동택배"]


def test_a_family_is_of_whole_names_only() -> None:
    assert family_of("CJ대한통운") is Family.CJ
    assert family_of("우체국EMS") is None
    assert family_of(None) is None


@given(st.text())
def test_any_text_can_be_asked_for(text: str) -> None:
    found = KNOWN.resolve(text)
    assert found is None or found in KNOWN.listed
