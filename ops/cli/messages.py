"""`jeongsi message`: one message, now or once later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.errors import BadInput, warned
from ops.cli.options import As, Json, acting, example, group
from ops.cli.output import iso, local, note, print_json, say, short, table
from ops.cli.schedule_flags import validity as read_validity
from ops.cli.times import instant

if TYPE_CHECKING:
    from datetime import datetime

    from beat.schedule_form import Checked, ScheduleForm
    from ops.cli.forms import Pictures

app = group("Single messages.")


@app.command(
    epilog=example(
        "jeongsi message send --room hq-alerts --text '서버 점검을 시작합니다' --wait",
        "jeongsi message send --room gangnam-notice --text '곧 시작합니다' --image map.png "
        "--at 2026-12-24T18:00:00+09:00",
    )
)
def send(
    room: Annotated[str, typer.Option("--room", help="Where it goes; see `jeongsi room list`.")],
    text: Annotated[str | None, typer.Option("--text", help="The message.")] = None,
    image: Annotated[
        list[str] | None, typer.Option("--image", metavar="FILE", help="An image file; repeat for several.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="ISO", help="When, with offset; else at once.")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="Else the first words of the text.")] = None,
    send_order: Annotated[
        str | None, typer.Option("--send-order", help="text_first, images_first, images_only or text_only.")
    ] = None,
    interval: Annotated[int, typer.Option("--interval", help="Seconds between its parts.")] = 1,
    grace: Annotated[
        int | None, typer.Option("--grace", help="Seconds that we may be late before it is given up.")
    ] = None,
    validity: Annotated[
        str, typer.Option("--validity", help="Seconds that a busy room may hold it, or auto.")
    ] = "auto",
    priority: Annotated[int, typer.Option("--priority", help="0 to 9 in a busy room, 0 goes first.")] = 5,
    accept_limit: Annotated[
        bool, typer.Option("--accept-limit", help="Save it though the room's day quota may cut it.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until it has ended; exit 0 only if delivered.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", help="With --wait: give up looking after so many seconds.", min=1)
    ] = 600.0,
    as_json: Json = False,
    who: As = None,
) -> None:
    """Send one message, at once or at a time. Prints the id of its slot, by which `jeongsi slot` knows it.

    It is promised from the moment it is saved: a beat sends it even if this command is gone by then.
    """
    from beat.schedule_form import ScheduleForm
    from ops.cli.forms import now_of_ledger, read_images
    from runtime.settings import get_settings

    pictures = read_images(image or ())
    now = now_of_ledger()
    moment = _whole_ms(instant(at, "at")) if at is not None else _now(now)
    shown = local(moment)
    form = ScheduleForm(
        title=short(title or text or "이미지", 60), room=room, types=("once",),
        date=shown[:10], time=shown[11:], text=text, images=pictures.facts,
        send_order=send_order, interval=interval,
        grace=get_settings().grace_s if grace is None else grace, validity=read_validity(validity),
        priority=priority, accept_limit=accept_limit,
    )  # fmt: skip
    found = _checked(form, pictures)
    slot = _save(found, pictures, acting(who))
    if as_json:
        print_json({"slot": slot, "at": iso(found.first), "room": room})
    else:
        say(slot)
    if wait:
        from ops.cli.follow import follow

        follow(slot, timeout)


@app.command(
    epilog=example(
        "jeongsi message hashes",
        "jeongsi message hashes --room hq-alerts --clear",
        "jeongsi message hashes --json",
    )
)
def hashes(
    room: Annotated[str | None, typer.Option("--room", help="Only this room; else all.")] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Forget them: the same content is accepted again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Count the content hashes by which a second message with the same text, images and time is refused."""
    from models.store import messages, reading, room_of, transaction
    from runtime.settings import get_settings

    with reading() as session:
        if room is not None:
            room_of(session, room)
        found = messages.hash_counts(session, room)
    if clear:
        with transaction(acting(None)) as session:
            cleared = messages.clear_hashes(session, room)
        if as_json:
            print_json({"cleared": cleared})
        else:
            say(f"{cleared} hashes are forgotten.")
        return
    limit = get_settings().hash_limit
    if as_json:
        rooms = {one.room_id: one.hashes for one in found}
        print_json({"hashes": sum(rooms.values()), "limit": limit, "rooms": rooms})
        return
    rows = [(one.room_id, one.hashes, limit) for one in found]
    table(("room", "hashes", "at most"), rows, empty="No content is remembered.")


def _checked(form: ScheduleForm, pictures: Pictures) -> Checked:
    from ops.cli.forms import checked

    found = checked(form, pictures)
    note(warned(found.warnings))
    return found


def _save(found: Checked, pictures: Pictures, who: str) -> str:
    """Save the message; the public id of the slot it is promised in."""
    from models.store import create_schedule, transaction
    from runtime.ids import SlotId

    with transaction(who) as session:
        schedule = create_schedule(session, found.columns, images=pictures.kept, origin="message")
    if schedule.status == "error":
        raise BadInput(f"Message {schedule.id} is saved, but cannot be sent: {schedule.error_reason}.")
    return str(SlotId(schedule.id, found.first))


def _now(now: datetime) -> datetime:
    """The ledger's now, rounded up to the millisecond: it is promised though past, within its grace."""
    from datetime import timedelta

    return now + timedelta(microseconds=-now.microsecond % 1000)


def _whole_ms(at: datetime) -> datetime:
    if at.microsecond % 1000:
        whole = at.replace(microsecond=at.microsecond // 1000 * 1000).isoformat(timespec="milliseconds")
        raise BadInput("--at: messages leave on whole milliseconds.", f"Write {whole}.")
    return at
