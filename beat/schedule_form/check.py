"""The one door: every problem of a form at once, or everything needed to save it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from beat.schedule_form.columns import columns_of
from beat.schedule_form.content import content_problems, content_warnings, room_problems
from beat.schedule_form.limits import limit_findings
from beat.schedule_form.timing import read_timing
from beat.schedule_form.values import MAX_TEXT, Checked, Problem, RoomFacts, ScheduleForm


def check(
    form: ScheduleForm,
    *,
    now: datetime,
    room: RoomFacts | None,
    known_rooms: Sequence[str] = (),
    text_limit: int = MAX_TEXT,
) -> Checked | list[Problem]:
    """What may be saved, or every reason why not (never only the first).

    `room` is None when there is no such room; `known_rooms` then serves the hint. `now` is aware: an
    instant that equals it still counts (ruling 1). Nothing is read or written here. Rulings 8 and 18,
    acceptance A37, B19 to B35, B80, B130.
    """
    problems = room_problems(form, room, known_rooms) + content_problems(form, room, text_limit)
    timing, wrong = read_timing(form, now)
    problems += wrong
    warnings = content_warnings(form)
    if timing is not None:
        refused, warned = limit_findings(form, timing, room)
        problems += refused
        warnings += warned
    if problems or timing is None or room is None:
        return problems
    return Checked(timing.rules, timing.first, columns_of(form, timing, room), tuple(warnings))
