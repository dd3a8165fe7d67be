"""Pieces that a channel takes: nothing lost, nothing that shows as one character cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.splitting import split

FAMILY = "👨‍👩‍👧‍👦"
WHOLE = ["👍🏽", FAMILY, "🇰🇷", "각", "é", "한", "❤️", "가"]


def test_a_text_that_fits_stays_as_it_is() -> None:
    assert split("짧은 글 ", 200) == ["짧은 글 "]


def test_lines_are_kept_whole_where_they_can_be() -> None:
    text = "\n".join(["가" * 60, "나" * 60, "다" * 60, "라" * 60])
    assert split(text, 200) == ["가" * 60 + "\n" + "나" * 60 + "\n" + "다" * 60, "라" * 60]


def test_words_are_kept_whole_where_lines_cannot_be() -> None:
    pieces = split(("단어 " * 100).strip(), 200)
    assert all(len(piece) <= 200 and piece == piece.strip() for piece in pieces)
    assert " ".join(pieces) == ("단어 " * 100).strip()


@pytest.mark.parametrize("whole", WHOLE)
@pytest.mark.parametrize("before", range(8))
def test_what_shows_as_one_character_is_never_cut(whole: str, before: int) -> None:
    text = "x" * before + whole * 30
    pieces = split(text, 20)
    assert "".join(pieces) == text
    assert all(len(piece) <= 20 for piece in pieces)
    for piece in pieces[:-1]:
        assert piece.lstrip("x").replace(whole, "") == ""


@given(st.text(st.characters(codec="utf-8"), max_size=700), st.integers(2, 200))
def test_nothing_but_white_space_at_a_cut_is_lost(text: str, limit: int) -> None:
    pieces = split(text, limit)
    assert all(len(piece) <= limit for piece in pieces) or len(text) <= limit or not text.strip()
    assert "".join("".join(pieces).split()) == "".join(text.split())
