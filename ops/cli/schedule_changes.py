"""`jeongsi schedule`: edit, pause, resume and delete."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.errors import BadInput, warned
from ops.cli.options import As, Yes, acting, example
from ops.cli.output import local, note, say, short
from ops.cli.schedule_flags import Flags, takes_flags
from ops.cli.schedules import ScheduleId, app, in_words

if TYPE_CHECKING:
    from models.store import LaidDown
    from models.tables import Schedule

_SILENT = frozenset({"title"})  # changes no version, so nothing that is laid down is touched
_HIDDEN = frozenset({"target_room_type"})


@app.command(
    epilog=example(
        "jeongsi schedule edit 812 --time 09:30",
        "jeongsi schedule edit 812 --type weekly --weekdays monday --time 10:00 --dry-run",
    )
)
@takes_flags
def edit(
    schedule: ScheduleId,
    flags: Flags,
    no_images: Annotated[bool, typer.Option("--no-images", help="Take all images away.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    who: As = None,
) -> None:
    """Change a schedule: what is not named stays. --type begins its timing anew; --image replaces all images.

    Slots that are due already keep their time and go out with the new content; later ones are laid down
    anew. It shows what changes and which slots it meets.
    """
    from models.store import change_schedule, laid_down, reading, schedule_of, transaction
    from ops.cli.forms import checked, edited_form, read_images, stored_facts

    given = flags.given()
    if not given and not no_images:
        raise BadInput("Nothing to change.", "Name what to set, for instance --time 09:30.")
    if no_images:
        flags = _without_images(flags)
    with reading() as session:
        saved = schedule_of(session, schedule)
    pictures = read_images(flags.image or ())
    form = edited_form(saved, stored_facts(saved), flags, pictures)
    silent = flags.image is None and given <= _SILENT
    if silent:
        columns: dict[str, Any] = {"title": _title(form.title)}
    else:
        found = checked(form, pictures, but=schedule)
        note(warned(found.warnings))
        columns = found.columns
    changes = _changes(saved, columns)
    if not changes and flags.image is None:
        say("Nothing changes.")
        return
    if flags.image is not None:
        changes.append(f"images: {len(saved.message_images or ())} -> {len(pictures.kept)}")
    say("\n".join(changes))
    with transaction(acting(who)) as session:
        met = laid_down(session, schedule)
        if not dry_run:
            images = None if flags.image is None else pictures.kept
            changed = change_schedule(session, schedule, saved.version, columns, images=images)
    if not silent:
        say(_met(met, moved=columns.get("target_room_id") != saved.target_room_id))
    say("Not saved (--dry-run)." if dry_run else f"Saved as version {changed.version}: {in_words(changed)}")


@app.command(epilog=example("jeongsi schedule pause 812"))
def pause(schedule: ScheduleId, who: As = None) -> None:
    """Stop a schedule for now. Slots that have not started are cancelled, reason `paused`."""
    from models.store import laid_down, reading, schedule_of, set_status, transaction

    with reading() as session:
        found = schedule_of(session, schedule)
    if found.status != "active":
        say(f"Schedule {schedule} is {found.status} already; nothing changes.")
        return
    with transaction(acting(who)) as session:
        met = laid_down(session, schedule)
        set_status(session, schedule, "inactive")
    say(f"Schedule {schedule} is paused. {_ended(met)}\nGo on with `jeongsi schedule resume {schedule}`.")


@app.command(epilog=example("jeongsi schedule resume 812"))
def resume(schedule: ScheduleId, who: As = None) -> None:
    """Let a paused or broken schedule run again, from now on; what was missed meanwhile is not sent."""
    from models.store import reading, schedule_of, set_status, transaction
    from ops.cli.forms import Pictures, checked, form_of, stored_facts

    with reading() as session:
        found = schedule_of(session, schedule)
    if found.status == "active":
        say(f"Schedule {schedule} is active already; nothing changes.")
        return
    ready = checked(form_of(found, stored_facts(found)), Pictures(), but=schedule)
    note(warned(ready.warnings))
    with transaction(acting(who)) as session:
        found = set_status(session, schedule, "active")
    if found.status == "error":
        raise BadInput(f"Schedule {schedule} still cannot run: {found.error_reason}.")
    say(f"Schedule {schedule} runs again. Next: {local(ready.first, found.tz)}")


@app.command(epilog=example("jeongsi schedule delete 812", "jeongsi schedule delete 812 --yes"))
def delete(schedule: ScheduleId, yes: Yes = False, who: As = None) -> None:
    """Delete a schedule for good. What it has sent stays in the log; what has not started is cancelled."""
    from models.store import delete_schedule, laid_down, reading, schedule_of, transaction

    with reading() as session:
        found = schedule_of(session, schedule)
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput("Deleting cannot be undone.", "Say --yes if you mean it.")
        typer.confirm(f"Delete schedule {schedule}, {short(found.title)!r}?", abort=True)
    with transaction(acting(who)) as session:
        met = laid_down(session, schedule)
        delete_schedule(session, schedule)
    say(f"Schedule {schedule} is deleted. {_ended(met)}")


def _without_images(flags: Flags) -> Flags:
    from dataclasses import replace

    if flags.image:
        raise BadInput("--image and --no-images cannot both be meant.")
    return replace(flags, image=[])


def _title(title: str) -> str:
    if not title.strip() or len(title) > 255 or "\0" in title:
        raise BadInput(f"--title: {short(title)!r} is no title.", "Give 1 to 255 characters.")
    return title


def _changes(saved: Schedule, columns: dict[str, Any]) -> list[str]:
    """A line per column that becomes another."""
    return [
        f"{name}: {_value(getattr(saved, name), saved.tz)} -> {_value(value, saved.tz)}"
        for name, value in columns.items()
        if name not in _HIDDEN and getattr(saved, name) != value
    ]


def _value(value: Any, tz: str) -> str:
    from datetime import datetime

    if isinstance(value, datetime):
        return local(value, tz)
    return "none" if value is None else short(str(value), 60)


def _met(met: LaidDown, *, moved: bool) -> str:
    """What the edit means for slots that stand already."""
    due = "is cancelled (room_changed)" if moved else "keeps its time and goes out with the new content"
    told = [
        f"{_slots(met.ahead)} ahead: laid down anew at the next tick" if met.ahead else "",
        f"{_slots(met.due)} due, not started: each {due}" if met.due else "",
        f"{_slots(met.under_way)} under way: ends as it began" if met.under_way else "",
    ]
    return "\n".join(filter(None, told)) or "No slot is laid down yet that it could touch."


def _ended(met: LaidDown) -> str:
    under_way = f" {_slots(met.under_way)} under way still ends." if met.under_way else ""
    return f"{_slots(met.ahead + met.due)} will not be sent.{under_way}"


def _slots(number: int) -> str:
    return "1 slot" if number == 1 else f"{number} slots"
