"""`jeongsi slot`: what became of each promised instant, and what a person decides about it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.database import ledger
from ops.cli.errors import BadInput
from ops.cli.options import Json, example, group
from ops.cli.output import SEOUL, facts, iso, local, print_json, say, short, table
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
    ahead: Annotated[
        bool, typer.Option("--ahead", help="Also those to come; --to and --state show them, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List slots that are due, newest first."""
    from models.queries import slots

    chosen = _states(state or [])
    bounds = [None if text is None else instant(text, name) for text, name in ((start, "from"), (end, "to"))]
    with ledger() as db:
        if bounds[1] is None and not (ahead or chosen):
            bounds[1] = _now(db) + timedelta(seconds=1)
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
        found = slot_detail(db, slot_id(slot))
        tz = _zone(db, slot_id(slot).schedule_id)
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
    from ops.why import render
    from ops.why import why as ask

    with ledger() as db:
        asked = _asked(db, schedule, time)
        gates = ask(db, asked)
        tz = _zone(db, asked.schedule_id)
    if as_json:
        shown = {"schedule": asked.schedule_id, "at": iso(asked.slot_at, tz)}
        print_json(shown | {"gates": [gate.as_json() for gate in gates]})
        return
    say(f"Schedule {asked.schedule_id}, {local(asked.slot_at, tz)} {tz}")
    say("\n".join(render(gates)))


def _asked(db: psycopg.Connection[Any], schedule: str, time: str | None) -> SlotId:
    from runtime.ids import SlotId

    if time is None:
        return slot_id(schedule)
    if not schedule.isdigit():
        raise BadInput(f"{schedule!r} is no schedule's number.", "See `jeongsi schedule list`.")
    return SlotId(int(schedule), slot_time(time, _zone(db, int(schedule)), _now(db)))


def _now(db: psycopg.Connection[Any]) -> datetime:
    row = db.execute("SELECT ledger_now()").fetchone()
    assert row is not None
    return row[0]  # type: ignore[no-any-return]


def _zone(db: psycopg.Connection[Any], schedule_id: int) -> str:
    from models.queries import find_schedule

    found = find_schedule(db, schedule_id)
    return SEOUL if found is None else found.tz


def slot_id(text: str) -> SlotId:
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
        "decided by": _cleared(one, tz),
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
    """Which person cancelled it, or decided what became of it, when and why."""
    if one.cleared_at is None:
        return ""
    return f"{one.cleared_by}, {local(one.cleared_at, tz)}: {one.cleared_note or 'no note'}"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
