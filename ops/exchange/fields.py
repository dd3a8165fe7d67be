"""From a record to a form: words and types put right, nothing judged that the form's own check judges."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from beat.schedule_form import Problem, ScheduleForm
from ops.exchange.columns import WEEKDAYS, word
from ops.exchange.values import Picture, Record, Row

STATUSES: Final = ("active", "inactive", "completed", "error")
LEVELS: Final = ("headquarters", "distributor", "agency", "branch")
_TEXTS: Final = {  # column, field of the form; content is kept to the last blank, words are not
    "title": "title", "description": "description", "message_text": "text",
}  # fmt: skip
_WORDS: Final = {
    "target_room_id": "room", "target_room_type": "room_type", "send_order": "send_order",
    "schedule_date": "date", "schedule_time": "time", "cron_expr": "cron", "tz": "tz",
    "valid_from": "valid_from", "valid_until": "valid_until", "misfire": "misfire",
}  # fmt: skip
_NUMBERS: Final = {
    "send_interval_seconds": "interval", "grace_seconds": "grace", "priority": "priority",
    "validity_seconds": "validity",
}  # fmt: skip
_SHORT_HOUR: Final = re.compile(r"\d:\d\d(:\d\d)?")  # 9:00, as Excel saves 09:00
_YES: Final = frozenset({"true", "yes", "y", "1", "예", "동의"})
_NO: Final = frozenset({"false", "no", "n", "0", "아니오", "아니요"})


def row_of(record: Record, base: ScheduleForm) -> Row:
    """The record as a row; `base` carries what a file need not say (room, grace, accept_limit)."""
    values = {name: value for name, value in record.values.items() if value is not None and value != ""}
    problems = list(record.problems)
    changes = _texts(values, problems) | _numbers(values) | _lists(values, problems)
    changes |= _accept(values, problems)
    status = _choice(values, "status", STATUSES, "active", problems)
    creator = (
        _choice(values, "created_by_type", LEVELS, "headquarters", problems),
        _name(values, "created_by_id", problems),
        _name(values, "created_by_mb_id", problems),
    )
    notes = list(record.notes)
    if status == "error":
        status = "inactive"
        notes.append("it stood in error, so it is taken as inactive: look at it, then resume it")
    skip = "already done (its status is completed)" if status == "completed" else None
    pictures = _pictures(values.get("message_images"), problems)
    return Row(
        record.place, replace(base, **changes), pictures, status, creator, tuple(problems), tuple(notes), skip
    )


def _texts(values: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for column, field in (_TEXTS | _WORDS).items():
        if column not in values:
            continue
        value = values[column]
        if not isinstance(value, str):
            problems.append(Problem(column, f"{_brief(value)} is not a text", "put it in quotes"))
            continue
        found[field] = value if column in _TEXTS else word(column, value.strip())
    if _SHORT_HOUR.fullmatch(found.get("time", "")):
        found["time"] = f"0{found['time']}"
    return found


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    return {field: number(values[column]) for column, field in _NUMBERS.items() if column in values}


def number(value: object) -> Any:
    """A whole number if a text is one; anything else stays as it is, for the check to refuse."""
    if isinstance(value, str):
        bare = value.strip()
        return int(bare) if re.fullmatch(r"-?[0-9]{1,18}", bare) else bare
    return value


def _lists(values: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kinds = _pieces(values.get("schedule_type"), r"[,+;/\s]+")
    if kinds:
        found["types"] = tuple(word("schedule_type", str(kind)) for kind in kinds)
    if kinds == ["union"]:
        found["types"] = ()
    elif isinstance(values.get("schedule_type"), str) and len(kinds) > 1:
        whole = word("schedule_type", values["schedule_type"])
        found["types"] = (whole,) if whole != values["schedule_type"] else found["types"]  # 매일 반복
    if "schedule_weekdays" in values:
        days = _pieces(values["schedule_weekdays"], r"[,;/·\s]+")
        if len(days) == 1 and re.fullmatch("[월화수목금토일]{2,7}", str(days[0])):
            days = list(days[0])  # 월수금
        found["weekdays"] = tuple(WEEKDAYS.get(str(day).strip().lower(), day) for day in days)
    if "peak_hours" in values:
        found["peak_hours"] = _hours(values["peak_hours"])
    if "rules" in values:
        found["rules"] = _rules(values["rules"], problems)
    elif kinds == ["union"]:
        problems.append(Problem("rules", "a union needs its rules", '[{"kind": "regular"}]'))
    return found


def _pieces(value: object, separator: str) -> list[Any]:
    if isinstance(value, str):
        return [piece for piece in re.split(separator, value.strip()) if piece]
    if isinstance(value, list):
        return [json.dumps(one) if isinstance(one, dict | list) else one for one in value]
    return [] if value is None else [str(value)]


def _hours(value: object) -> tuple[Any, ...]:
    found: list[Any] = []
    for piece in _pieces(value, r"[,;\s]+"):
        span = re.fullmatch(r"(\d{1,2})-(\d{1,2})", piece) if isinstance(piece, str) else None
        found += range(int(span[1]), int(span[2]) + 1) if span else [number(piece)]
    return tuple(found)


def _rules(value: object, problems: list[Problem]) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, list):
        problems.append(Problem("rules", "they are not a list of objects", '[{"kind": "regular"}]'))
        return None
    return value


def _accept(values: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    value = values.get("accept_limit")
    if value is None:
        return {}
    bare = str(value).strip().lower()
    if bare in _YES | _NO:
        return {"accept_limit": True} if bare in _YES else {}
    problems.append(Problem("accept_limit", f"{_brief(value)} is neither yes nor no", "true or false"))
    return {}


def _choice(
    values: Mapping[str, Any], column: str, known: tuple[str, ...], default: str, problems: list[Problem]
) -> str:
    given = values.get(column, default)
    found = word(column, given.strip()) if isinstance(given, str) else given
    if found in known:
        return str(found)
    problems.append(Problem(column, f"{_brief(given)} is unknown", f"one of {', '.join(known)}"))
    return default


def _name(values: Mapping[str, Any], column: str, problems: list[Problem]) -> str:
    given = values.get(column, "")
    good = isinstance(given, str) and len(given) <= 50 and "\0" not in given and _encodes(given)
    if not good:
        problems.append(Problem(column, f"{_brief(given)} cannot be kept", "a text of up to 50 characters"))
    return given if good else ""


def _encodes(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _pictures(value: object, problems: list[Problem]) -> tuple[Picture, ...]:
    if isinstance(value, str):
        bare = value.strip()
        if not bare.startswith(("[", "{")):
            return tuple(Picture(filename=name.strip()) for name in re.split(r"[;\n]", bare) if name.strip())
        try:
            value = json.loads(bare)
        except (ValueError, RecursionError):
            problems.append(Problem("message_images", "it is not JSON that can be read", "a list of images"))
            return ()
    if isinstance(value, dict):
        value = value.get("images")
    found = []
    for one in value if isinstance(value, list) else [value] if value is not None else []:
        picture = _picture(one)
        if isinstance(picture, Problem):
            problems.append(picture)
        else:
            found.append(picture)
    return tuple(found)


def _picture(one: object) -> Picture | Problem:
    """One image of the customer's JSON (B63-B70), ours, or just a file name."""
    if isinstance(one, str):
        return Picture(filename=one)
    if not isinstance(one, dict):
        return Problem("message_images", f"{_brief(one)} is no image", "a file name, or an object with one")
    names = [one.get("filename"), one.get("file_path"), one.get("original_name")]
    named = [re.split(r"[/\\]", name)[-1] for name in names if isinstance(name, str) and name]
    if not named:
        return Problem("message_images", "an image has no filename", "name it")
    original = one.get("original_name")
    size = one.get("file_size")
    data = None
    if one.get("data") is not None:
        try:
            data = base64.b64decode(one["data"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            return Problem("message_images", f"the data of {named[0]} is not base64", "export it anew")
    return Picture(
        filename=named[0],
        original_name=original if isinstance(original, str) and original else named[0],
        size=size if type(size) is int else None,
        data=data,
    )


def _brief(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
