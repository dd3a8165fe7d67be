"""Stays with a slot until it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops.cli.database import ledger
from ops.cli.errors import CliError
from ops.cli.output import local, note
from runtime.clock import clock
from runtime.ids import SlotId

if TYPE_CHECKING:
    import psycopg

_LOOK_S = 0.2
_UNPLANNED_S = 15.0  # a beat lays a due message down within a second


def follow(text: str, timeout_s: float) -> None:
    """Tell each state of the slot on stderr until its last; raises CliError unless that is delivered."""
    from models.queries import slot as find

    slot, told, end = SlotId.parse(text), "", clock().monotonic() + timeout_s
    with ledger() as db:
        while clock().monotonic() < end:
            found = find(db, slot)
            state = "" if found is None else str(found.state)
            if state and state != told:
                told = state
                note(f"{local(clock().now(), ms=True)}  {state}")
            if found is not None and found.ended_at is not None:
                if state == "delivered":
                    return
                raise CliError(
                    f"It ended as {state}: {found.reason}.", f"`jeongsi slot why {text}` tells more."
                )
            if found is None and _overdue(db, slot):
                raise CliError(
                    "No beat has taken it up.", "Start the system (`make up`), or look at `jeongsi doctor`."
                )
            clock().wait(_LOOK_S)
    raise CliError(
        f"It has not ended within {timeout_s:g} s; it goes on.", f"Look: `jeongsi slot show {text}`."
    )


def _overdue(db: psycopg.Connection[Any], slot: SlotId) -> bool:
    row = db.execute(
        "SELECT ledger_now() - %s > make_interval(secs => %s)", (slot.slot_at, _UNPLANNED_S)
    ).fetchone()
    return row is not None and bool(row[0])
