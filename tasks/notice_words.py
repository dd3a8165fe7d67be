"""What a notice says, in Korean and English: short, with ids and the command to run next.

The words stand in words/notices.json: kind -> language -> title and lines, filled in with the watch's facts.
"""

from __future__ import annotations

import datetime as dt
import json
from functools import lru_cache
from importlib import resources
from typing import Any, Final
from zoneinfo import ZoneInfo

from models.ledger.notices import Delivery
from runtime.settings import get_settings

LISTED: Final = 10
_SEOUL = ZoneInfo("Asia/Seoul")


@lru_cache(maxsize=1)
def words() -> dict[str, Any]:
    """All of it."""
    text = resources.files("tasks").joinpath("words/notices.json").read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


def told(kind: str, /, **facts: Any) -> tuple[str, str]:
    """Title and text of a notice in the language of the settings."""
    said = words()[kind][get_settings().notice_language]
    title = str(said["title"]).format(**facts)
    return title if len(title) <= 200 else f"{title[:199]}…", "\n".join(said["text"]).format(**facts)


def extra(delivery: Delivery) -> list[str]:
    """What a delivery says besides its notice: how often since, since when, and what was held back for it."""
    said, lines = words()["again"][get_settings().notice_language], []
    if delivery.repeats and delivery.standing:
        lines.append(said["still"].format(at=hour(delivery.first_at)))
    elif delivery.repeats:
        lines.append(said["more"].format(n=delivery.told, at=hour(delivery.first_at)))
    if delivery.held_count:
        named = ", ".join(delivery.held) + (" …" if delivery.held_count > len(delivery.held) else "")
        lines.append(said["held"].format(n=delivery.held_count, list=named))
    return lines


def hour(at: dt.datetime | None) -> str:
    """An instant on Korea's wall clock."""
    return "?" if at is None else at.astimezone(_SEOUL).strftime("%m-%d %H:%M:%S")


def listed(items: list[str], number: int) -> str:
    """The first ten, and how many there are besides."""
    shown = ", ".join(items[:LISTED])
    return shown if number <= len(items[:LISTED]) else f"{shown} … (+{number - len(items[:LISTED])})"
