"""Which of the bot's messages in a room is ours, told by content and never by the device's clock."""

from __future__ import annotations

import unicodedata

import pytest

from gateways.iris.device import Row
from gateways.iris.recognise import PHOTO, PHOTOS, TEXT, candidates, unexplained


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("안녕하세요 🙂👨‍👩‍👧", "안녕하세요 🙂👨‍👩‍👧"),
        (unicodedata.normalize("NFD", "각난닭"), unicodedata.normalize("NFC", "각난닭")),
        ("첫 줄\r\n둘째 줄", "첫 줄\n둘째 줄"),
        ("  글 \n", "글"),
        ("مرحبا שלום", "مرحبا שלום"),
        ("{time} {{a}} {", "{time} {{a}} {"),
    ],
)
def test_a_text_is_recognised_as_kakaotalk_shows_it(sent: str, shown: str) -> None:
    assert candidates([Row(5, TEXT, shown)], "text", sent, 0) == (("5",),)


@pytest.mark.parametrize("shown", ["안녕하세요!", "안녕", "", "안녕 하세요"])
def test_another_text_is_not_ours_but_stays_unexplained(shown: str) -> None:
    rows = [Row(5, TEXT, shown)]
    found = candidates(rows, "text", "안녕하세요", 0)
    assert (found, unexplained(rows, found)) == ((), ("5",))


def test_the_same_text_twice_gives_both_the_older_first() -> None:
    rows = [Row(5, TEXT, "글"), Row(7, TEXT, "글")]
    assert candidates(rows, "text", "글", 0) == (("5",), ("7",))


def test_a_photo_that_says_what_the_text_says_is_no_text() -> None:
    assert candidates([Row(5, PHOTO, "사진")], "text", "사진", 0) == ()


def test_photos_are_told_by_kind_and_number() -> None:
    assert candidates([Row(4, TEXT, "글"), Row(5, PHOTO, "사진")], "image", None, 1) == (("5",),)
    assert candidates([Row(5, PHOTOS, "사진 2장")], "image", None, 2) == (("5",),)
    single = [Row(5, PHOTO, "사진"), Row(6, PHOTO, "사진")]
    assert candidates(single, "image", None, 2) == (("5", "6"),)
    assert candidates(single[:1], "image", None, 2) == ()
