"""`jeongsi tracking`: what is asked of PlayAuto itself, its carriers and its orders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ops.cli.database import ledger
from ops.cli.errors import BadInput, CliError
from ops.cli.options import Json, example
from ops.cli.output import iso, local, note, print_json, say, table
from ops.cli.tracking import app

if TYPE_CHECKING:
    from gateways.playauto.values import OrderQuery

DAYS_BACK: Final = 30


@app.command(
    epilog=example("jeongsi tracking carriers --refresh", "jeongsi tracking carriers --account brand --json")
)
def carriers(
    account: Annotated[str, typer.Option("--account", help="Whose list.")] = "default",
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask PlayAuto for it anew.")] = False,
    as_json: Json = False,
) -> None:
    """Show the carriers of an account with PlayAuto's codes, and the names that none of them is known by.

    The list is kept from PlayAuto's last answer. Orders that named their carrier before the list had it are
    given its code when a newer list comes.
    """
    from models.queries.orders import unknown_carriers
    from models.store.carriers import carriers_seen_at, load_carriers
    from models.store.orders import organisation_of
    from ops.orders.account import client_of, refresh_carriers

    with ledger() as db:
        organisation_of(db, account)
        ready = None
        if refresh:
            with asking(account):
                _, ready = refresh_carriers(db, account, client_of(db, account))
        listed, seen = load_carriers(db, account).listed, carriers_seen_at(db, account)
        unknown, now = unknown_carriers(db, account), _now(db)
    if as_json:
        print_json(
            {"account": account, "seen_at": iso(seen), "age_s": seen and round((now - seen).total_seconds()),
             "ready": ready, "carriers": [{"code": one.code, "name": one.name} for one in listed],
             "unknown": unknown}
        )  # fmt: skip
        return
    table(
        ("code", "carrier"), [(one.code, one.name) for one in listed],
        empty=f"There is no list yet. Ask for it: `jeongsi tracking carriers --account {account} --refresh`.",
    )  # fmt: skip
    if seen is not None:
        say(f"As PlayAuto listed them at {local(seen)} (KST), {_age(now - seen)} ago.")
    if ready is not None:
        say(f"{ready} orders got their carrier's code by it.")
    for name, number in unknown.items():
        note(f"Not in the list: {name}, the carrier of {number} orders with a number.")


def import_from_playauto(
    account: str, since: str | None, until: str | None, states: Sequence[str], *, dry_run: bool, as_json: bool
) -> None:
    """Take PlayAuto's orders of some days; all of them, or none if a page of them does not come."""
    from ops.cli.exchange_report import progress
    from ops.cli.tracking_report import show_read
    from ops.orders.account import client_of
    from ops.orders.from_playauto import PlayAutoImport

    query = _query(since, until, states)
    about = {"account": account, "since": str(query.first), "until": str(query.last), "states": list(states)}
    with ledger() as db:
        importing = PlayAutoImport(db, account)
        with asking(account):
            client = client_of(db, account)
            with progress("Reading from PlayAuto") as step:
                found = importing.read(client, query, step)
        saved = None if dry_run else importing.save()
    if not as_json:
        say(f"PlayAuto's orders of account {account}, collected {query.first} to {query.last}:")
    show_read(found, saved, about, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(int(found.bad_lines > 0))


@contextmanager
def asking(account: str) -> Iterator[None]:
    """What keeps PlayAuto from answering, as a sentence with what to do."""
    from gateways.errors import PlayAutoNotConfigured, PlayAutoUnavailable
    from runtime.sealing import Unsealable

    todo = f"Nothing was saved. `jeongsi tracking account check {account}` says whether its login works."
    try:
        yield
    except (PlayAutoNotConfigured, PlayAutoUnavailable) as wrong:
        raise CliError(f"{wrong}.", todo) from None
    except Unsealable as wrong:
        raise CliError(f"The login of account {account} cannot be read: {wrong}.", todo) from None


def _query(since: str | None, until: str | None, states: Sequence[str]) -> OrderQuery:
    from gateways.playauto.answers import SEOUL
    from gateways.playauto.values import OrderQuery
    from runtime.clock import clock

    today = clock().now().astimezone(SEOUL).date()
    last = _day("--until", until) or today
    first = _day("--since", since) or last - timedelta(days=DAYS_BACK)
    if first > last:
        raise BadInput(f"--since: {first} is after {last}.", "Swap the days.")
    if not all(one.strip() for one in states):
        raise BadInput("--status: it is empty.", "Name a state as PlayAuto does, 출고대기 for instance.")
    return OrderQuery(first, last, states=[one.strip() for one in states])


def _day(flag: str, given: str | None) -> date | None:
    if given is None:
        return None
    try:
        return datetime.strptime(given.strip(), "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise BadInput(f"{flag}: {given!r} is no day.", "Write it as 2026-12-31.") from None


def _now(db: Any) -> datetime:
    found: datetime = db.execute("SELECT ledger_now()").fetchone()[0]
    return found


def _age(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return (
        f"{hours / 24:.0f} days"
        if hours >= 48
        else f"{hours:.0f} h"
        if hours >= 2
        else f"{hours * 60:.0f} min"
    )
