"""Small pictures drawn on the spot, so that the demo ships no files."""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import Any

import psycopg
from PIL import Image, ImageDraw
from psycopg.types.json import Jsonb

_WIDTH, _HEIGHT = 480, 270
_POSTERS = {
    "여름-프로모션.png": ("#fee500", "#3c1e1e"),
    "오늘의-실적.png": ("#1f6feb", "#dbeafe"),
    "안전-운행.png": ("#0f7b55", "#d1fae5"),
}


def store_pictures(db: psycopg.Connection[Any]) -> None:
    """Put the demo's pictures into `images`; those that stand already are left alone."""
    for number, (name, (ground, ink)) in enumerate(_POSTERS.items(), start=1):
        data = _poster(ground, ink)
        db.execute(
            "INSERT INTO images (filename, original_name, mime_type, sha256, file_size, width, height, data)"
            " VALUES (to_char(ledger_now() AT TIME ZONE 'Asia/Seoul', '\"demo_\"YYYYMMDD') || %s, %s,"
            " 'image/png', %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (f"_{number:03}.png", name, hashlib.sha256(data).hexdigest(), len(data), _WIDTH, _HEIGHT, data),
        )


def pictures(db: psycopg.Connection[Any], count: int, first: int = 0) -> Jsonb | None:
    """`count` of the stored pictures as `message_images` lists them, beginning with number `first`."""
    if not count:
        return None
    rows = db.execute(
        "SELECT DISTINCT ON (original_name) id, filename, original_name, mime_type, file_size FROM images"
        " WHERE original_name = ANY (%s) ORDER BY original_name, id",
        (list(_POSTERS),),
    ).fetchall()
    keys = ("id", "filename", "original_name", "mime_type", "file_size")
    held = [dict(zip(keys, row, strict=True)) for row in rows]
    return Jsonb([held[(first + number) % len(held)] for number in range(count)])


def _poster(ground: str, ink: str) -> bytes:
    """A few bars and a line, as a chart of the day would have them."""
    image = Image.new("RGB", (_WIDTH, _HEIGHT), ground)
    draw = ImageDraw.Draw(image)
    heights = (60, 95, 80, 130, 165, 150, 190)
    for number, height in enumerate(heights):
        left = 40 + number * 58
        draw.rectangle((left, _HEIGHT - 30 - height, left + 36, _HEIGHT - 30), fill=ink)
    draw.line((30, _HEIGHT - 30, _WIDTH - 30, _HEIGHT - 30), fill=ink, width=4)
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
