"""From flags, and a schedule as it stands, to a form; and the form's check against the room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from beat.image_check import check_image
from beat.recurrence import RuleError, Window, parse_rules
from beat.schedule_form import (
    Checked,
    ImageFacts,
    Planned,
    Problem,
    RoomFacts,
    ScheduleForm,
    check,
    rules_from_columns,
)
from beat.schedule_form.content import order_of
from beat.schedule_form.values import MAX_IMAGE_BYTES
from models.store import (
    Neighbour,
    NewImage,
    find_room,
    images_of,
    ledger_now,
    neighbours,
    reading,
    room_ids,
)
from models.tables import Schedule
from ops.cli.errors import refused
from ops.cli.schedule_flags import Flags, hours, validity, words
from runtime.settings import get_settings

TIMING = frozenset({"type", "date", "time", "weekdays", "peak_hours", "cron"})
_PLAIN = ("title", "room", "text", "send_order", "interval", "date", "time", "cron", "tz", "valid_from",
          "valid_until", "misfire", "grace", "priority", "accept_limit")  # fmt: skip
_OF_RULE = {"date": "date", "time": "time", "weekdays": "weekdays", "hours": "peak_hours", "expr": "cron"}


@dataclass(frozen=True, slots=True)
class Pictures:
    """Image files as read: what may be kept, what the form says of them, what is wrong with others."""

    kept: tuple[NewImage, ...] = ()
    facts: tuple[ImageFacts, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_images(paths: Sequence[str]) -> Pictures:
    """Read and judge image files by their content; never more of one than may be sent."""
    kept, facts, problems = [], [], []
    for path in map(Path, paths):
        try:
            with path.open("rb") as file:
                data = file.read(MAX_IMAGE_BYTES + 1)
        except OSError as error:
            problems.append(Problem("images", f"{path} cannot be read: {error.strerror}", "name a file"))
            continue
        found = check_image(path.name, data)
        if isinstance(found, Problem):
            problems.append(found)
            continue
        facts.append(found)
        kept.append(NewImage(path.name, found.mime, data, found.width, found.height))
    return Pictures(tuple(kept), tuple(facts), tuple(problems))


def new_form(flags: Flags, pictures: Pictures = Pictures()) -> ScheduleForm:
    """The form that the flags alone make."""
    base = ScheduleForm(title="", room="", grace=get_settings().grace_s)
    return replace(base, **typed(flags), images=pictures.facts)


def typed(flags: Flags) -> dict[str, Any]:
    """The form's fields that were typed, images aside."""
    given = flags.given()
    found = {name: getattr(flags, name) for name in _PLAIN if name in given}
    if "type" in given:
        found["types"] = tuple(flags.type or ())
    if flags.weekdays:
        found["weekdays"] = words(flags.weekdays)
    if flags.peak_hours:
        found["peak_hours"] = hours(flags.peak_hours)
    if flags.validity:
        found["validity"] = validity(flags.validity)
    return found


def edited_form(
    schedule: Schedule, stored: Sequence[ImageFacts], flags: Flags, pictures: Pictures
) -> ScheduleForm:
    """The schedule as it stands with the flags over it. `--type` begins its timing anew."""
    form = form_of(schedule, stored)
    given = flags.given()
    if "type" in given:
        form = replace(form, rules=None, date=None, time=None, weekdays=(), peak_hours=(), cron=None)
    changes = typed(flags)
    if flags.image is not None:
        changes["images"] = pictures.facts
    if "send_order" not in given and order_of(replace(form, send_order=None)) == form.send_order:
        changes["send_order"] = None  # nobody chose it, so it follows the content
    return replace(form, **changes)


def form_of(schedule: Schedule, stored: Sequence[ImageFacts]) -> ScheduleForm:
    """A saved schedule as the form that would make it."""
    form = ScheduleForm(
        title=schedule.title, room=schedule.target_room_id, description=schedule.description,
        text=schedule.message_text, images=stored, send_order=schedule.send_order,
        interval=schedule.send_interval_seconds, tz=schedule.tz, valid_from=schedule.valid_from,
        valid_until=schedule.valid_until, misfire=schedule.misfire, grace=schedule.grace_seconds,
        validity="auto" if schedule.validity_seconds is None else schedule.validity_seconds,
        priority=schedule.priority, accept_limit=schedule.accept_limit,
    )  # fmt: skip
    return replace(form, **_timing(rules_from_columns(columns_of(schedule))))


def columns_of(schedule: Schedule) -> dict[str, Any]:
    """A schedule's row as a mapping of column names."""
    return {column.name: getattr(schedule, column.name) for column in Schedule.__table__.columns}


def stored_facts(schedule: Schedule) -> list[ImageFacts]:
    """What is known of a saved schedule's images."""
    with reading() as session:
        return [
            ImageFacts(one.original_name, one.mime_type, one.file_size, one.width or 0, one.height or 0)
            for one in images_of(session, schedule)
        ]


def _timing(rules: list[dict[str, Any]]) -> dict[str, Any]:
    """Rules as the flags that make them; as rules where no flags can (two different times in a union)."""
    merged: dict[str, Any] = {"types": tuple(rule["kind"] for rule in rules)}
    for rule in rules:
        for key, value in rule.items():
            if key == "kind":
                continue
            field = _OF_RULE.get(key)
            held = tuple(value) if isinstance(value, list) else value
            if field is None or merged.setdefault(field, held) != held:
                return {"rules": rules}
    return merged


def checked(
    form: ScheduleForm, pictures: Pictures, *, but: int | None = None, only: frozenset[str] = frozenset()
) -> Checked:
    """The form, checked against its room and by the ledger's clock. Raises BadInput with every problem.

    `but`: the schedule that is being changed. `only`: judge nothing but these fields.
    """
    with reading() as session:
        now, known = ledger_now(session), room_ids(session)
        room = find_room(session, form.room)
        beside = neighbours(session, form.room, but=but) if room is not None else []
    facts = None
    if room is not None:
        facts = RoomFacts(room.room_id, room.type, room.gap_ms / 1000, room.quota, others=_planned(beside))
    result = check(form, now=now, room=facts, known_rooms=known)
    problems = list(pictures.problems)
    if isinstance(result, list):
        lacking = bool(pictures.problems) and not form.images  # then "needs an image" is said already
        problems += [one for one in result if not (lacking and one.field == "images")]
    problems = [one for one in problems if not only or one.field in only]
    if problems or isinstance(result, list):
        raise refused(problems)
    return result


def _planned(beside: Sequence[Neighbour]) -> list[Planned]:
    found = []
    for one in beside:
        try:
            window = Window(one.valid_from, one.valid_until)
            found.append(Planned(one.title, parse_rules(one.rules), one.tz, window))
        except RuleError:  # raw SQL may have left one that no rule can read; it sends nothing
            continue
    return found


def now_of_ledger() -> datetime:
    """The instant by which the ledger decides."""
    with reading() as session:
        return ledger_now(session)
