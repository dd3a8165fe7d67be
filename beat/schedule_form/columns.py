"""A checked form as `kb_schedule` columns, and rules back from such columns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time
from typing import Any

from beat.recurrence import WEEKDAYS
from beat.schedule_form.content import order_of
from beat.schedule_form.timing import Timing
from beat.schedule_form.values import RoomFacts, ScheduleForm


def columns_of(form: ScheduleForm, timing: Timing, room: RoomFacts) -> dict[str, Any]:
    """Columns with Python values (date, time, aware datetimes), every schedule column named (B18 to B35)."""
    return {
        "title": form.title,
        "description": form.description,
        "target_room_id": room.room_id,
        "target_room_type": room.type,
        "message_text": form.text,
        "send_order": order_of(form),
        "send_interval_seconds": form.interval,
        **_rule_columns(timing.objects),
        "tz": form.tz,
        "valid_from": timing.window.valid_from,
        "valid_until": timing.window.valid_until,
        "misfire": form.misfire,
        "grace_seconds": form.grace,
        "validity_seconds": None if form.validity == "auto" else form.validity,
        "priority": form.priority,
        "accept_limit": form.accept_limit,
    }


def _rule_columns(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """One rule goes into its own columns, several into `rules` as a union."""
    columns: dict[str, Any] = dict.fromkeys(
        ("schedule_date", "schedule_time", "schedule_weekdays", "peak_hours", "cron_expr", "rules")
    )
    if len(objects) > 1 or objects[0]["kind"] == "at":
        return {**columns, "schedule_type": "union", "rules": objects}
    rule = objects[0]
    columns["schedule_type"] = rule["kind"]
    if "date" in rule:
        columns["schedule_date"] = date.fromisoformat(rule["date"])
    if "time" in rule:
        columns["schedule_time"] = time.fromisoformat(rule["time"])
    if "weekdays" in rule:
        columns["schedule_weekdays"] = ",".join(sorted(rule["weekdays"], key=WEEKDAYS.index))
    if "hours" in rule:
        columns["peak_hours"] = ",".join(str(hour) for hour in sorted(rule["hours"]))
    if "expr" in rule:
        columns["cron_expr"] = rule["expr"]
    return columns


def rules_from_columns(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rule objects of a `kb_schedule` row, as the database's own trigger makes them.

    Values may be Python's or text. Nothing is checked: `parse_rules` says what cannot be read.
    """
    kind = columns["schedule_type"]
    rule: dict[str, Any] = {"kind": kind}
    match kind:
        case "union":
            return [dict(found) for found in columns["rules"] or ()]
        case "once":
            # Postgres writes no zeros behind a fraction, Python six digits.
            wall = str(columns["schedule_time"])
            wall = wall.rstrip("0") if "." in wall else wall
            rule |= {"date": str(columns["schedule_date"]), "time": wall}
        case "daily":
            rule |= {"time": str(columns["schedule_time"])}
        case "weekly":
            days = columns["schedule_weekdays"].split(",")
            rule |= {"time": str(columns["schedule_time"]), "weekdays": days}
        case "peak":
            rule |= {"hours": [int(hour) for hour in columns["peak_hours"].split(",")]}
        case "cron":
            rule |= {"expr": columns["cron_expr"]}
    return [rule]
