"""PlayAuto accounts as people make and change them: rows of `tracking_upload_scheduler` (C06-C17, C50, C55).

Everything that must hold for raw SQL, too, is the database's (models/sql/35_tracking.sql); here are the
sentences for people, and what only makes sense for a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import sql

from models.store.accounts import Credentials, save_credentials
from models.store.errors import InUse, NotFound, Refused, Taken, Wrong
from models.tracking.account_form import name_problem, problems

Connection = psycopg.Connection[Any]
#: What may be given to `create_account` and `change_account`, beside the organisation and credentials.
COLUMNS: Final = frozenset(
    {"enabled", "schedule_time", "weekdays", "tz", "retry_count", "grace_seconds", "batch_size", "instruct",
     "send_to_shop", "change_complete", "overwrite", "number_policy", "notify_discord", "notify_slack",
     "discord_webhook", "slack_webhook"}
)  # fmt: skip


def create_account(
    db: Connection,
    account: str,
    columns: Mapping[str, Any],
    *,
    organisation: str | None = None,
    credentials: Credentials | None = None,
    who: str,
) -> None:
    """Make an account. Webhooks come sealed (`accounts.sealed_webhook`); credentials are sealed here.

    Raises Refused with everything that is wrong, Taken if there is one of this name.
    """
    wrong = name_problem(account)
    values = _checked(columns, [wrong] if wrong else []) | {"account": account}
    with _by(db, who):
        if organisation is not None:
            values["organisation_id"] = _organisation(db, organisation)
        _keep_orders_together(db, account, values.get("organisation_id"))
        try:
            db.execute(
                sql.SQL("INSERT INTO tracking_upload_scheduler ({}) VALUES ({})").format(
                    sql.SQL(", ").join(map(sql.Identifier, values)),
                    sql.SQL(", ").join([sql.Placeholder()] * len(values)),
                ),
                list(values.values()),
            )
        except psycopg.errors.UniqueViolation:
            raise Taken(f"there is an account {account!r} already") from None
        if credentials is not None:
            save_credentials(db, account, credentials)


def change_account(
    db: Connection,
    account: str,
    columns: Mapping[str, Any],
    *,
    organisation: str | None = None,
    credentials: Credentials | None = None,
    forget_credentials: bool = False,
    who: str,
) -> None:
    """Change an account; its slots follow at once. ``organisation``: its code, '' for none.

    Raises NotFound, Refused, and InUse if its orders are another organisation's.
    """
    values = _checked(columns, [])
    with _by(db, who):
        _locked(db, account)
        if organisation is not None:
            values["organisation_id"] = _organisation(db, organisation) if organisation else None
            _keep_orders_together(db, account, values["organisation_id"])
        if forget_credentials:
            values["credentials"] = None
        if values:
            named = sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder()) for name in values
            )
            db.execute(
                sql.SQL(
                    "UPDATE tracking_upload_scheduler SET {} WHERE account = {} AND deleted_at IS NULL"
                ).format(named, sql.Placeholder()),
                [*values.values(), account],
            )
        if credentials is not None:
            save_credentials(db, account, credentials)


def delete_account(db: Connection, account: str, who: str) -> None:
    """Switch an account off for good and free its name; its record and its orders stay. Raises NotFound."""
    with _by(db, who):
        _locked(db, account)
        db.execute(
            "DELETE FROM tracking_upload_scheduler WHERE account = %s AND deleted_at IS NULL", (account,)
        )
        # Another PlayAuto account of this name may have other codes.
        db.execute("DELETE FROM carriers WHERE account = %s", (account,))


def known_accounts(db: Connection) -> list[str]:
    """The names of all accounts."""
    rows = db.execute("SELECT account FROM tracking_upload_scheduler WHERE deleted_at IS NULL ORDER BY 1")
    return [str(name) for (name,) in rows.fetchall()]


def _checked(columns: Mapping[str, Any], found: list[Wrong]) -> dict[str, Any]:
    unknown = set(columns) - COLUMNS
    if unknown:
        raise ValueError(f"no columns of an account: {', '.join(sorted(unknown))}")
    found = [*found, *problems(columns)]
    if found:
        raise Refused(found)
    return dict(columns)


@contextmanager
def _by(db: Connection, who: str) -> Iterator[None]:
    """One transaction of a person's, as `session.transaction`."""
    with db.transaction():
        db.execute("SELECT set_config('jeongsi.who', %s, true)", (who,))
        yield


def _locked(db: Connection, account: str) -> None:
    row = db.execute(
        "SELECT id FROM tracking_upload_scheduler WHERE account = %s AND deleted_at IS NULL FOR UPDATE",
        (account,),
    ).fetchone()
    if row is None:
        known = ", ".join(known_accounts(db)) or "none"
        raise NotFound(f"there is no account {account!r}; known are: {known}")


def _organisation(db: Connection, code: str) -> int:
    row = db.execute("SELECT id FROM organisations WHERE code = %s", (code,)).fetchone()
    if row is None:
        codes = [str(one) for (one,) in db.execute("SELECT code FROM organisations ORDER BY 1 LIMIT 20")]
        hint = f"one of {', '.join(codes)}" if codes else "there is none yet; leave it out"
        raise Refused([Wrong("organisation", f"there is no organisation {code!r}", hint)])
    return int(row[0])


def _keep_orders_together(db: Connection, account: str, organisation: int | None) -> None:
    """An order number stands once in an organisation: under another one the same file would double them."""
    row = db.execute(
        "SELECT 1 FROM orders WHERE account = %s AND organisation_id IS DISTINCT FROM %s LIMIT 1",
        (account, organisation),
    ).fetchone()
    if row is not None:
        raise InUse(
            f"account {account!r} has orders of another organisation, and they would be doubled by the next"
            " import: take another name for the account"
        )
