"""Image bytes in the database (B63-B70), which works on any number of machines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.store.session import ledger_now
from models.tables import Image

_SUFFIX = {"image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}
_SEOUL = ZoneInfo("Asia/Seoul")


@dataclass(frozen=True, slots=True)
class NewImage:
    """An image that was judged to be one, by its content. Size in bytes is that of `data`."""

    original_name: str
    mime: str
    data: bytes
    width: int
    height: int


def keep_images(session: Session, images: Sequence[NewImage]) -> list[dict[str, Any]]:
    """Store each image, once per content and name; answer what `message_images` says of them (B27)."""
    return [described(_keep(session, image)) for image in images]


def described(image: Image) -> dict[str, Any]:
    """An image as `kb_schedule.message_images` lists it."""
    return {
        "id": image.id,
        "filename": image.filename,
        "original_name": image.original_name,
        "mime_type": image.mime_type,
        "file_size": image.file_size,
    }


def _keep(session: Session, image: NewImage) -> Image:
    digest = hashlib.sha256(image.data).hexdigest()
    same = select(Image).where(Image.sha256 == digest, Image.original_name == image.original_name).limit(1)
    held = session.scalar(same)
    if held is not None:
        return held
    made = Image(
        filename=_next_filename(session, image),
        original_name=image.original_name,
        mime_type=image.mime,
        sha256=digest,
        file_size=len(image.data),
        width=image.width,
        height=image.height,
        data=image.data,
    )
    session.add(made)
    session.flush()
    return made


def _next_filename(session: Session, image: NewImage) -> str:
    """Generated, dated, numbered: promotion_20250714_001.jpg (B64); a Korean name becomes `image`."""
    stem = image.original_name.rsplit(".", 1)[0].lower()
    slug = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40] or "image"
    day = ledger_now(session).astimezone(_SEOUL).strftime("%Y%m%d")
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('jeongsi.image_name'))"))
    named = select(Image.filename).where(Image.filename.like(f"{slug}\\_{day}\\_%"))
    last = session.scalar(named.order_by(func.length(Image.filename).desc(), Image.filename.desc()).limit(1))
    number = 1 if last is None else int(last.rsplit("_", 1)[1].split(".")[0]) + 1
    return f"{slug}_{day}_{number:03d}.{_SUFFIX[image.mime]}"
