"""The carriers that PlayAuto lists for an account: kept from its last answer, asked by code or by name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import psycopg

from models.store.errors import Refused, Wrong
from models.tracking.carriers import Carriers

Connection = psycopg.Connection[Any]


def load_carriers(db: Connection, account: str = "default") -> Carriers:
    """An account's list as it was last saved; an empty one (False) if it never was."""
    rows = db.execute("SELECT code, name FROM carriers WHERE account = %s ORDER BY code", (account,))
    return Carriers(rows.fetchall())


def carriers_seen_at(db: Connection, account: str = "default") -> dt.datetime | None:
    """When PlayAuto last gave the list; None: never."""
    row = db.execute("SELECT max(seen_at) FROM carriers WHERE account = %s", (account,)).fetchone()
    return row[0] if row else None


def save_carriers(db: Connection, account: str, listed: Iterable[tuple[str, str]]) -> int:
    """Keep PlayAuto's list of (code, name) in place of the last one; answers how many orders it made ready.

    Orders whose carrier was given by a name that no list knew get their code now. Raises Refused for an
    empty list: PlayAuto has no account without carriers, so that is an answer gone wrong.
    """
    found = {str(code).strip(): name.strip() for code, name in listed if str(code).strip() and name.strip()}
    if not found:
        raise Refused([Wrong("carriers", "the list is empty", "ask PlayAuto again; the last list stays")])
    with db.transaction():
        db.execute("DELETE FROM carriers WHERE account = %s AND NOT code = ANY(%s)", (account, [*found]))
        db.execute(
            "INSERT INTO carriers (account, code, name, seen_at)"
            " SELECT %s, code, name, ledger_now() FROM unnest(%s::text[], %s::text[]) n(code, name)"
            " ORDER BY code ON CONFLICT (account, code) DO UPDATE SET name = excluded.name,"
            " seen_at = excluded.seen_at",
            (account, [*found], [*found.values()]),
        )
        return resolve_waiting(db, account)


def resolve_waiting(db: Connection, account: str) -> int:
    """Give orders with a number, and a carrier known only by name, the code their account's list has for it.

    Answers how many.
    """
    carriers = load_carriers(db, account)
    names = db.execute(
        "SELECT DISTINCT o.carrier_name FROM orders o WHERE o.account = %s AND o.playauto_uploaded = 0"
        " AND o.tracking_number <> '' AND o.carrier_code IS NULL AND o.carrier_name <> ''",
        (account,),
    ).fetchall()
    known = {name: one.code for (name,) in names if (one := carriers.resolve(name)) is not None}
    done = db.execute(
        "UPDATE orders o SET carrier_code = n.code, updated_at = ledger_now()"
        " FROM unnest(%s::text[], %s::text[]) n(name, code) WHERE o.account = %s AND o.playauto_uploaded = 0"
        " AND o.tracking_number <> '' AND o.carrier_code IS NULL AND o.carrier_name = n.name",
        ([*known], [*known.values()], account),
    )
    return done.rowcount
