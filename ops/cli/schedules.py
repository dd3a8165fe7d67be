"""`jeongsi schedule`: add, list, show and next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.errors import BadInput, refused, warned
from ops.cli.options import As, Json, acting, example, group
from ops.cli.output import facts, iso, local, note, print_json, say, short, table
from ops.cli.schedule_flags import Flags, takes_flags
from ops.cli.times import instant

if TYPE_CHECKING:
    from datetime import datetime

    from beat.recurrence import Rules, Window
    from models.tables import Schedule

app = group("Schedules: what is sent, where and when.")

ScheduleId = Annotated[int, typer.Argument(metavar="ID", help="The schedule's number, from `schedule list`.")]


@app.command(
    epilog=example(
        "jeongsi schedule add --title '장부' --room hq-alerts --type regular --text '지금 {time}'",
        "jeongsi schedule add --title '주간 공지' --room gangnam-notice --type weekly "
        "--weekdays monday,friday --time 09:00 --text '이번 주 공지' --image poster.jpg",
        "jeongsi schedule add --title '피크' --room hq-alerts --type regular --type peak --peak-hours 8-19 "
        "--text '지금 {time}' --accept-limit",
    )
)
@takes_flags
def add(flags: Flags, who: As = None, as_json: Json = False) -> None:
    """Add a schedule. Everything that is wrong is said at once, and nothing is saved then."""
    from models.store import create_schedule, transaction
    from ops.cli.forms import checked, new_form, read_images

    pictures = read_images(flags.image or ())
    found = checked(new_form(flags, pictures), pictures)
    note(warned(found.warnings))
    with transaction(acting(who)) as session:
        schedule = create_schedule(session, found.columns, images=pictures.kept)
    if schedule.status == "error":
        raise BadInput(f"Schedule {schedule.id} is saved, but cannot run: {schedule.error_reason}.")
    if as_json:
        print_json({"id": schedule.id, "first": iso(found.first, schedule.tz)})
        return
    say(f"Schedule {schedule.id}: {in_words(schedule)}")
    say(f"First: {local(found.first, schedule.tz)}")


@app.command(
    "list",
    epilog=example("jeongsi schedule list", "jeongsi schedule list --room hq-alerts --status active --json"),
)
def list_(
    room: Annotated[str | None, typer.Option("--room", help="Only those of this room.")] = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Only active, inactive, completed or error.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also finished one-off messages and demo sends.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List schedules that people made; deleted ones are gone from here, their log stays."""
    from models.store import reading, schedules

    if status not in (None, "active", "inactive", "completed", "error"):
        raise BadInput(
            f"--status: there is no status {status!r}.", "One of active, inactive, completed, error."
        )
    with reading() as session:
        found = schedules(session, room=room, status=status)
    shown = [one for one in found if everything or _of_interest(one)]
    if as_json:
        print_json([described(one) for one in shown])
        return
    rows = [
        (one.id, short(one.title), one.target_room_id, in_words(one), one.status,
         local(one.next_send_at, one.tz), one.send_count)
        for one in shown
    ]  # fmt: skip
    table(("id", "title", "room", "when", "status", "next", "sent"), rows,
          empty="There is no such schedule. Add one: `jeongsi schedule add --help`.")  # fmt: skip


@app.command(epilog=example("jeongsi schedule show 812"))
def show(schedule: ScheduleId, as_json: Json = False) -> None:
    """Show one schedule whole, with its next five slots."""
    from models.store import reading, schedule_of

    with reading() as session:
        found = schedule_of(session, schedule)
    if as_json:
        print_json(described(found))
        return
    described_ = described(found) | {
        name: local(getattr(found, name), found.tz)
        for name in ("valid_from", "valid_until", "last_sent_at", "next_send_at", "created_at", "updated_at")
    }
    described_["images"] = "\n".join(one["original_name"] for one in described_["images"])
    described_.pop("rules")
    described_["next"] = "\n".join(local(at, found.tz) for at in _saved_instants(schedule, None, 5)[0])
    facts({name.replace("_", " "): value for name, value in described_.items()})


@app.command(
    "next",
    epilog=example(
        "jeongsi schedule next 812",
        "jeongsi schedule next --type peak --peak-hours 8,9 "
        "--after 2026-11-21T08:50:00+09:00 --count 4 --json",
    ),
)
@takes_flags
def next_(
    flags: Flags,
    schedule: Annotated[
        int | None, typer.Argument(metavar="[ID]", help="A saved schedule; else describe one by flags.")
    ] = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="ISO", help="From when on, with offset; else now.")
    ] = None,
    count: Annotated[int, typer.Option("--count", help="How many.", min=1, max=10_000)] = 10,
    as_json: Json = False,
) -> None:
    """Say when a schedule is due next, saved or not. Nothing is written.

    --json prints a list of ISO 8601 instants with offset; it is shorter than --count if the schedule ends.
    """
    start = instant(after, "after") if after is not None else None
    if schedule is not None and flags.given():
        raise BadInput("Give either a schedule's number or the flags of one, not both.")
    if schedule is not None:
        found, tz = _saved_instants(schedule, start, count)
    else:
        found, tz = _imagined_instants(flags, start, count)
    if as_json:
        print_json([iso(at, tz) for at in found])
        return
    say("\n".join(f"{local(at, tz)} {tz}" for at in found) or "It is never due again.")


def _saved_instants(schedule_id: int, after: datetime | None, count: int) -> tuple[list[datetime], str]:
    from beat.recurrence import Window, parse_rules
    from beat.schedule_form import rules_from_columns
    from models.store import ledger_now, reading, schedule_of
    from ops.cli.forms import columns_of

    with reading() as session:
        saved, now = schedule_of(session, schedule_id), ledger_now(session)
    if saved.status != "active":
        note(f"Note: schedule {schedule_id} is {saved.status}: nothing is sent while it is.")
    rules = parse_rules(rules_from_columns(columns_of(saved)))
    return _instants(
        rules, saved.tz, after or now, count, Window(saved.valid_from, saved.valid_until)
    ), saved.tz


def _imagined_instants(flags: Flags, after: datetime | None, count: int) -> tuple[list[datetime], str]:
    from datetime import UTC, datetime

    from beat.schedule_form.timing import read_timing
    from ops.cli.forms import new_form
    from runtime.clock import clock

    form = new_form(flags)
    # With --after the question is hypothetical, so only what could never have been due is refused.
    timing, problems = read_timing(form, datetime(1970, 1, 2, tzinfo=UTC) if after else clock().now())
    if timing is None:
        raise refused(problems)
    return _instants(timing.rules, form.tz, after or clock().now(), count, timing.window), form.tz


def _instants(rules: Rules, tz: str, after: datetime, count: int, window: Window) -> list[datetime]:
    from beat.recurrence import next_instants

    return next_instants(rules, tz, after, count, window)


def in_words(schedule: Schedule) -> str:
    """When a schedule is due, as a sentence."""
    from beat.recurrence import RuleError, describe, parse_rules
    from beat.schedule_form import rules_from_columns
    from ops.cli.forms import columns_of

    try:
        return describe(parse_rules(rules_from_columns(columns_of(schedule))), schedule.tz)
    except RuleError as wrong:
        return f"unreadable: {wrong.reason}"


def described(schedule: Schedule) -> dict[str, Any]:
    """A schedule for programs: the flags' names, instants as ISO 8601 with offset."""
    from beat.schedule_form import rules_from_columns
    from ops.cli.forms import columns_of

    stamps = ("valid_from", "valid_until", "last_sent_at", "next_send_at", "created_at", "updated_at")
    return {
        "id": schedule.id,
        "title": schedule.title,
        "description": schedule.description,
        "room": schedule.target_room_id,
        "room_type": schedule.target_room_type,
        "text": schedule.message_text,
        "images": list(schedule.message_images or ()),
        "send_order": schedule.send_order,
        "interval": schedule.send_interval_seconds,
        "type": schedule.schedule_type,
        "when": in_words(schedule),
        "rules": rules_from_columns(columns_of(schedule)),
        "tz": schedule.tz,
        "misfire": schedule.misfire,
        "grace": schedule.grace_seconds,
        "validity": "auto" if schedule.validity_seconds is None else schedule.validity_seconds,
        "priority": schedule.priority,
        "accept_limit": schedule.accept_limit,
        "origin": schedule.origin,
        "status": schedule.status,
        "error_reason": schedule.error_reason,
        "send_count": schedule.send_count,
        "version": schedule.version,
        **{name: iso(getattr(schedule, name), schedule.tz) for name in stamps},
    }


def _of_interest(schedule: Schedule) -> bool:
    return schedule.origin == "person" or (schedule.origin == "message" and schedule.status == "active")
