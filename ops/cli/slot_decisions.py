"""`jeongsi slot`: what a person decides about a slot; each is kept with who, when and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.database import ledger
from ops.cli.errors import BadInput, CliError
from ops.cli.options import As, acting, example
from ops.cli.output import note, say
from ops.cli.slots import SlotArgument, app, slot_id

if TYPE_CHECKING:
    from models.queries import SlotRow

Note = Annotated[str | None, typer.Option("--note", help="Why; kept with your name.")]


@app.command(epilog=example("jeongsi slot cancel 812-1795222800000 --note '행사 취소'"))
def cancel(slot: SlotArgument, note_: Note = None, who: As = None) -> None:
    """Cancel a slot that has not started."""
    from models.ledger import people

    with ledger() as db:
        answer = people.cancel(db, slot_id(slot), acting(who), note_ or "")
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
        answer = people.resolve(db, slot_id(slot), arrived, acting(who), note_)
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
        found = find(db, slot_id(slot))
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
