"""`jeongsi instance`: whether messages may leave this database, and the person's word that they may."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.database import ledger
from ops.cli.errors import BadInput, CliError
from ops.cli.options import As, Json, Yes, acting, example, group
from ops.cli.output import facts, local, print_json, say

if TYPE_CHECKING:
    from beat.witness import Record
    from models.ledger.instance import Past, Standing

app = group("After a restore, a fail-over or beside a clone: whether messages may leave this database.")

_PASTS = {
    "unresolved": "becomes unresolved: they may have arrived, and a person clears each",
    "send": "goes out if its time allows: nothing was lost, or a double does not matter",
    "expire": "is closed as expired and not sent",
}
_MISSING = "The table `instance` is empty, so nothing is sent."
_MEND = "Run `INSERT INTO instance DEFAULT VALUES` as the database's owner; then a beat looks."


@app.command(epilog=example("jeongsi instance show", "jeongsi instance show --json"))
def show(as_json: Json = False) -> None:
    """Say whether messages may leave this database, why not, and what stands outside about it."""
    from beat.witness import Witnesses
    from models.ledger import instance
    from runtime.settings import get_settings

    with ledger() as db:
        held = _standing(instance.standing(db))
        doubtful = instance.doubtful(db) if held.held else 0
    seen = Witnesses(get_settings().home).read()
    home = next((one for one in seen.home if one.id == str(held.id)), None)
    redis = next((one for one in seen.redis if one.id == str(held.id)), None)
    if as_json:
        print_json(
            {
                "id": str(held.id), "held": held.held, "held_at": held.held_at, "reason": held.held_reason,
                "mark": held.mark, "marked_at": held.marked_at, "doubtful": doubtful,
                "home_mark": home and home.mark, "redis_mark": redis and redis.mark,
                "released_at": held.released_at, "released_by": held.released_by,
            }
        )  # fmt: skip
        return
    facts(
        {
            "messages": _told(held),
            "why": held.held_reason,
            "in doubt": f"{doubtful} slots may have been sent and forgotten" if held.held_at else "",
            "id": str(held.id),
            "database": f"mark {held.mark}, {local(held.marked_at)}",
            "home": _mark_of(home),
            "redis": "does not answer" if seen.silent else _mark_of(redis),
            "released": f"{local(held.released_at)} by {held.released_by}: {held.released_note}"
            if held.released_at
            else "",
            "what to do": "jeongsi instance release --note '…'" if held.held_at else "",
        }
    )


@app.command(epilog=example("jeongsi instance hold --note '복원 준비'"))
def hold(
    note: Annotated[str, typer.Option("--note", help="Why; kept with your name.")], who: As = None
) -> None:
    """Let nothing leave, until a person releases it: before a restore, or when something looks wrong.

    What is on its way already is finished. Schedules and messages may still be added.
    """
    from models.ledger import instance

    with ledger() as db:
        done = instance.hold(db, f"{acting(who)}: {note}")
    if not done:
        raise CliError("It is held already.", "Look: `jeongsi instance show`.")
    say("Nothing leaves this database until `jeongsi instance release`.")


@app.command(
    epilog=example(
        "jeongsi instance release --note '06:00 백업에서 복원, 원본은 껐음'",
        "jeongsi instance release --past send --note '계획된 이전'",
    )
)
def release(
    note: Annotated[str, typer.Option("--note", help="What you found; kept with your name.")],
    past: Annotated[
        str, typer.Option("--past", help="What may have been sent and forgotten: unresolved, send or expire.")
    ] = "unresolved",
    yes: Yes = False,
    who: As = None,
) -> None:
    """Let messages leave again, once you know that no other server sends them.

    What was due by now, and not over an hour before the database's last mark, may have been sent by the
    database that this one replaces; --past says what becomes of it. Later messages go out as ever.
    """
    from models.ledger import instance

    chosen = _past(past)
    with ledger() as db:
        held = _standing(instance.standing(db))
        if held.held_at is None:
            raise CliError("Nothing is held by a reason.", "Look: `jeongsi instance show`, `jeongsi doctor`.")
        if not yes and not sys.stdin.isatty():
            raise BadInput("A release cannot be undone.", "Say --yes once every other server is off.")
        if not yes:
            _ask(held, instance.doubtful(db), chosen)
        closed = instance.release(db, chosen, note, acting(who))
    if closed is None:
        raise CliError("Somebody else has released it just now.", "Look: `jeongsi instance show`.")
    say(f"Messages leave again. {closed} slots of the past were closed.")
    if closed and chosen == "unresolved":
        say("They stand in `jeongsi slot list --unresolved`.")


def _past(given: str) -> Past:
    for known in ("unresolved", "send", "expire"):
        if given == known:
            return known
    raise BadInput(f"--past {given} is unknown.", f"There are {', '.join(_PASTS)}.")


def _ask(held: Standing, doubtful: int, past: Past) -> None:
    say(f"Held since {local(held.held_at)}: {held.held_reason}.")
    say(f"{doubtful} slots, and what was not laid down yet, were due since an hour before")
    say(f"{local(held.marked_at)}. What may have been sent {_PASTS[past]}.")
    typer.confirm("Is every other server that could send these messages off? Release", abort=True)


def _standing(found: Standing | None) -> Standing:
    if found is None:
        raise CliError(_MISSING, _MEND)
    return found


def _told(held: Standing) -> str:
    if held.held_at is not None:
        return f"held since {local(held.held_at)}: nothing leaves"
    return "wait until a beat has looked at this database" if held.held else "leave"


def _mark_of(record: Record | None) -> str:
    return "does not know it" if record is None else f"mark {record.mark}, {record.at}"
