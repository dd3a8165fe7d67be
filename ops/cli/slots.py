"""`jeongsi slot`: what became of each promised instant, and what a person decides about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.database import ledger
from ops.cli.errors import BadInput, CliError
from ops.cli.options import As, Json, acting, example, group
from ops.cli.output import SEOUL, facts, iso, local, note, print_json, say, short, table
from ops.cli.times import instant, slot_time

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from models.queries import SlotDetail, SlotRow
    from runtime.ids import SlotId

app = group("Slots: the promised instants of schedules, and what became of them.")

SlotArgument = Annotated[
    str, typer.Argument(metavar="SLOT", help="The slot's id, like 812-1795222800000, from `slot list`.")
]
Note = Annotated[str | None, typer.Option("--note", help="Why; kept with your name.")]


@app.command(
    "list",
    epilog=example(
        "jeongsi slot list --unresolved",
        "jeongsi slot list --schedule 812 --state failed --from 2026-11-21T00:00:00+09:00 --json",
    ),
)
def list_(
    schedule: Annotated[int | None, typer.Option("--schedule", help="Only of this schedule.")] = None,
    room: Annotated[str | None, typer.Option("--room", help="Only to this room.")] = None,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only in this state; repeat for several.")
    ] = None,
    unresolved: Annotated[
        bool, typer.Option("--unresolved", help="Only what waits for a person: `slot resolve` clears it.")
    ] = False,
    start: Annotated[
        str | None, typer.Option("--from", metavar="ISO", help="At or after, with offset.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="ISO", help="Before, with offset.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", help="At most so many, the newest.", min=1, max=10_000)
    ] = 50,
    as_json: Json = False,
) -> None:
    """List slots, newest first."""
    from models.queries import slots

    chosen = _states(state or [])
    bounds = [None if text is None else instant(text, name) for text, name in ((start, "from"), (end, "to"))]
    with ledger() as db:
        found = slots(
            db, states=chosen, room=room, schedule_id=schedule, start=bounds[0], end=bounds[1],
            unresolved=unresolved, newest_first=True, limit=limit,
        )  # fmt: skip
    if as_json:
        print_json([_plain(one) for one in found])
        return
    rows = [
        (str(one.id), local(one.slot_at), short(one.title, 30), one.room_name or one.room, one.state,
         one.reason or one.wait_reason, _ms(one.lateness_ms), _ms(one.waited_ms))
        for one in found
    ]  # fmt: skip
    table(("slot", "time (KST)", "schedule", "room", "state", "reason", "late ms", "waited ms"), rows,
          empty="There is no such slot.")  # fmt: skip


@app.command(epilog=example("jeongsi slot show 812-1795222800000"))
def show(slot: SlotArgument, as_json: Json = False) -> None:
    """Show one slot whole: its parts, every attempt with the provider's answer, every move."""
    from models.queries import slot_detail

    with ledger() as db:
        found = slot_detail(db, _id(slot))
        tz = _zone(db, _id(slot).schedule_id)
    if found is None:
        raise BadInput(f"There is no slot {slot}.", f"`jeongsi slot why {slot}` says why.")
    if as_json:
        detail = {
            name: [asdict(one) for one in getattr(found, name)] for name in ("parts", "attempts", "log")
        }
        print_json(_plain(found.slot) | detail)
        return
    _print_slot(found, tz)


@app.command(
    epilog=example(
        "jeongsi slot why 812 09:00",
        "jeongsi slot why 812 '2026-11-21 09:00'",
        "jeongsi slot why 812-1795222800000",
    )
)
def why(
    schedule: Annotated[
        str, typer.Argument(metavar="SCHEDULE|SLOT", help="A schedule's number, or a slot id.")
    ],
    time: Annotated[
        str | None,
        typer.Argument(metavar="[TIME]", help="09:00 (today), '2026-11-21 09:00', or ISO with offset."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say why a slot went out, was late, or never was: every gate in order, with its evidence.

    The gate that stopped or delayed it is marked. It also answers for instants that have no slot.
    """
    from ops.why import why as ask

    with ledger() as db:
        asked = _asked(db, schedule, time)
        answer = ask(db, asked)
    if as_json:
        print_json(answer.as_json())
        return
    say(answer.as_text())


@app.command(epilog=example("jeongsi slot cancel 812-1795222800000 --note '행사 취소'"))
def cancel(slot: SlotArgument, note_: Note = None, who: As = None) -> None:
    """Cancel a slot that has not started."""
    from models.ledger import people

    with ledger() as db:
        answer = people.cancel(db, _id(slot), acting(who), note_ or "")
    said = {
        "gone": f"There is no slot {slot}.",
        "over": f"Slot {slot} has ended already.",
        "started": f"Slot {slot} has started: a part may be on its way, so it is not cancelled.",
    }
    if answer != "cancelled":
        raise CliError(said[answer], f"Look: `jeongsi slot show {slot}`.")
    say(f"Slot {slot} is cancelled.")


@app.command(
    epilog=example(
        "jeongsi slot resolve 812-1795222800000 --arrived --note '방에서 확인'",
        "jeongsi slot resolve 812-1795222800000 --resend",
    )
)
def resolve(
    slot: SlotArgument,
    arrived: Annotated[bool, typer.Option("--arrived", help="It is in the room: delivered.")] = False,
    not_arrived: Annotated[
        bool, typer.Option("--not-arrived", help="It is not in the room: failed.")
    ] = False,
    again: Annotated[bool, typer.Option("--resend", help="Send it again as a new slot.")] = False,
    note_: Note = None,
    who: As = None,
) -> None:
    """Say what became of an unresolved slot, after a look into the room. Nothing else clears it."""
    from models.ledger import people

    if arrived + not_arrived + again != 1:
        raise BadInput("Say exactly one of --arrived, --not-arrived, --resend.", "Look into the room first.")
    if again:
        _resend(slot, note_, who, only_unresolved=True)
        return
    with ledger() as db:
        answer = people.resolve(db, _id(slot), arrived, acting(who), note_)
    if answer == "gone":
        raise BadInput(f"There is no slot {slot}.")
    if answer == "not_unresolved":
        raise CliError(f"Slot {slot} is not unresolved.", f"Look: `jeongsi slot show {slot}`.")
    say(f"Slot {slot} is {answer}.")


@app.command(epilog=example("jeongsi slot resend 812-1795222800000 --note '고객 요청'"))
def resend(slot: SlotArgument, note_: Note = None, who: As = None) -> None:
    """Send an ended slot's message again, now, as a new slot with a new id.

    Parts that arrived are not sent again. It passes the room's gap and quota like any other.
    """
    _resend(slot, note_, who, only_unresolved=False)


def _resend(slot: str, note_: str | None, who: str | None, *, only_unresolved: bool) -> None:
    from models.ledger import people
    from models.queries import slot as find
    from runtime.settings import get_settings

    settings = get_settings()
    with ledger() as db:
        found = find(db, _id(slot))
        if found is None:
            raise BadInput(f"There is no slot {slot}.")
        if only_unresolved and found.state != "unresolved":
            raise CliError(
                f"Slot {slot} is {found.state}, not unresolved.", f"`jeongsi slot resend {slot}` would do."
            )
        made = people.resend(
            db, found.id, acting(who), _key_ttl_s(found), settings.grace_s, settings.validity_max_s, note_
        )
        again = None if made is None else find(db, made)
    if made is None:
        raise CliError(f"Slot {slot} has not ended yet, so it is not sent again.", "Cancel it first.")
    say(str(made))
    if again is not None and again.dup_risk:
        note("Note: the first send may have arrived, so this one may be a double; it is marked dup_risk.")


def _key_ttl_s(found: SlotRow) -> float:
    """How long the provider honours the old key; 0 if it cannot be asked, which marks the resend."""
    from gateways.errors import GatewayError
    from gateways.registry import adapter_for

    if found.provider_kind != "key" or not found.channel:
        return 0.0
    try:
        return float(adapter_for(found.channel).capabilities().idempotency_ttl_s or 0)
    except GatewayError as error:
        note(f"Note: {found.channel} cannot be asked how long it remembers a message ({error}).")
        return 0.0


def _asked(db: psycopg.Connection[Any], schedule: str, time: str | None) -> SlotId:
    from runtime.ids import SlotId

    if time is None:
        return _id(schedule)
    if not schedule.isdigit():
        raise BadInput(f"{schedule!r} is no schedule's number.", "See `jeongsi schedule list`.")
    now: datetime = db.execute("SELECT ledger_now()").fetchone()[0]  # type: ignore[index]
    return SlotId(int(schedule), slot_time(time, _zone(db, int(schedule)), now))


def _zone(db: psycopg.Connection[Any], schedule_id: int) -> str:
    from models.queries import find_schedule

    found = find_schedule(db, schedule_id)
    return SEOUL if found is None else found.tz


def _id(text: str) -> SlotId:
    from runtime.ids import SlotId

    try:
        return SlotId.parse(text)
    except ValueError as wrong:
        raise BadInput(f"{str(wrong)[:1].upper()}{str(wrong)[1:]}.", "See `jeongsi slot list`.") from None


def _states(given: list[str]) -> list[Any]:
    from models.states import SlotState

    known = [state.value for state in SlotState]
    for state in given:
        if state not in known:
            raise BadInput(f"--state: there is no state {state!r}.", f"One of {', '.join(known)}.")
    return [SlotState(state) for state in given]


def _plain(one: SlotRow) -> dict[str, Any]:
    """A slot for programs."""
    from datetime import datetime

    row = {name: iso(value) if isinstance(value, datetime) else value for name, value in asdict(one).items()}
    return {"slot": str(one.id), **row, "lateness_ms": one.lateness_ms, "waited_ms": one.waited_ms}


def _print_slot(found: SlotDetail, tz: str) -> None:
    one = found.slot
    facts({
        "slot": one.id, "time": f"{local(one.slot_at, tz)} {tz}",
        "schedule": f"{one.schedule_id} {one.title or ''}",
        "room": f"{one.room_name or ''} ({one.room})", "channel": one.channel, "state": one.state,
        "reason": one.reason or one.wait_reason, "started": local(one.started_at, tz, ms=True),
        "ended": local(one.ended_at, tz, ms=True), "late ms": _ms(one.lateness_ms),
        "waited ms": _ms(one.waited_ms),
        "may be double": "yes" if one.dup_risk else "", "resend of": one.resend_of,
        "cleared": _cleared(one, tz),
    })  # fmt: skip
    parts = [
        (part.ord, part.kind, short(part.body) if part.body else part.image_id, part.state, part.tries,
         local(part.done_at, tz, ms=True))
        for part in found.parts
    ]  # fmt: skip
    table(("part", "kind", "content", "state", "tries", "done"), parts, empty="No part has been sent yet.")
    attempts = [
        (local(a.sending_at, tz, ms=True), a.ord, a.outcome or "unknown yet", a.reason, a.http_status,
         a.provider_msg_id)
        for a in found.attempts
    ]  # fmt: skip
    heads = ("attempt", "part", "outcome", "reason", "http", "provider's id")
    table(heads, attempts, empty="There was no attempt.")
    moves = [(local(m.at, tz, ms=True), f"{m.old} → {m.new}", m.phase, m.reason, m.who) for m in found.log]
    table(("at", "move", "phase", "reason", "who"), moves, empty="It has not moved yet.")


def _cleared(one: SlotRow, tz: str) -> str:
    """Which person decided about an unresolved slot, when and why."""
    if one.cleared_at is None:
        return ""
    return f"{one.cleared_by}, {local(one.cleared_at, tz)}: {one.cleared_note or 'no note'}"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
