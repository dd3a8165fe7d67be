"""An image that is none, is damaged, too heavy or too large is refused before it is stored."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from beat.image_check import check_image
from beat.schedule_form import ImageFacts, Problem


def drawn(kind: str, size: tuple[int, int] = (64, 48)) -> bytes:
    out = BytesIO()
    Image.effect_noise(size, 90).convert("RGB").save(out, format=kind)
    return out.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def refusal(name: str, data: bytes, max_bytes: int = 10_000_000) -> Problem:
    found = check_image(name, data, max_bytes)
    assert isinstance(found, Problem)
    assert found.field == "images"
    assert name in found.reason
    return found


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_the_four_kinds_are_known_by_content_whatever_the_name_says(kind: str) -> None:
    data = drawn(kind)
    expected = ImageFacts("사진.pdf", f"image/{kind.lower()}", len(data), 64, 48)
    assert check_image("사진.pdf", data, 10_000_000) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg/>",
        b"%PDF-1.7\n1 0 obj",
        b"MZ\x90\0" * 100,
        "안녕하세요".encode() * 50,
        drawn("TIFF"),
        drawn("BMP"),
    ],
)
def test_what_is_no_image_is_refused_although_its_name_says_so(data: bytes) -> None:
    assert "JPEG, PNG, GIF or WebP" in refusal("promotion.jpg", data).hint


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_half_an_image_is_damaged(kind: str) -> None:
    data = drawn(kind)
    assert "damaged" in refusal("half", data[: len(data) // 2]).reason


def test_a_header_alone_is_damaged() -> None:
    assert "damaged" in refusal("head.jpg", b"\xff\xd8\xff\xe0" + b"\0" * 300).reason


def test_an_image_over_the_limit_is_told_both_sizes() -> None:
    data = drawn("PNG")
    problem = refusal("heavy.png", data, len(data) - 1)
    assert f"{len(data):,} bytes" in problem.reason
    assert f"{len(data) - 1:,}" in problem.hint
    assert isinstance(check_image("just.png", data, len(data)), ImageFacts)


@pytest.mark.parametrize("side", [8_000, 10_000, 60_000])
def test_a_small_file_that_claims_a_huge_picture_is_never_decoded(side: int) -> None:
    assert "50,000,000 pixels" in refusal("bomb.png", png_claiming(side, side)).hint
