"""PlayAuto: does it let each account in, does every order that waits have its carrier's code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from gateways.errors import PlayAutoNotConfigured, PlayAutoUnavailable
from models.queries.accounts import AccountRow, accounts, waiting_for_nobody
from ops.doctor.finding import Finding, fail, ok, warn
from ops.orders.account import client_of
from runtime.sealing import Unsealable
from runtime.settings import SettingsError


def findings(db: psycopg.Connection[Any]) -> Iterator[Finding]:
    """Nothing, if no order waits and no account is switched on."""
    try:
        rows, stray = accounts(db), waiting_for_nobody(db)
    except psycopg.errors.UndefinedTable:
        return  # the migrations are told of already
    for one in rows:
        if one.enabled:
            yield _login(db, one)
            yield from _orders(one)
        elif one.waiting:
            todo = f"switch it on: `jeongsi tracking account resume {one.account}`"
            yield warn(f"playauto {one.account}", f"{one.waiting} orders wait, and it is off", todo)
    for name, number in stray.items():
        todo = f"make it: `jeongsi tracking account add {name} --credentials ask`"
        yield warn(f"playauto {name}", f"{number} orders wait for this account, which does not exist", todo)


def _login(db: psycopg.Connection[Any], one: AccountRow) -> Finding:
    """By the token that there is, or a new one: a doctor that is asked every minute locks no account."""
    check, todo = f"playauto {one.account}", f"see `jeongsi tracking account check {one.account}`"
    if one.error_reason:
        return fail(
            check, f"it cannot run: {one.error_reason}", f"`jeongsi tracking account set {one.account} …`"
        )
    try:
        listed = client_of(db, one.account).carriers()
    except (PlayAutoNotConfigured, Unsealable, SettingsError) as wrong:
        return fail(check, str(wrong), f"`jeongsi tracking account set {one.account} --credentials ask`")
    except PlayAutoUnavailable as wrong:
        return (warn if wrong.retryable else fail)(check, str(wrong), todo)
    return ok(check, f"lets us in, lists {len(listed)} carriers")


def _orders(one: AccountRow) -> Iterator[Finding]:
    check, todo = f"orders {one.account}", f"`jeongsi tracking carriers --account {one.account} --refresh`"
    if not one.carriers:
        yield warn(check, "no list of carriers is kept, so names in files mean nothing", todo)
    elif one.without_code:
        found = f"{one.without_code} orders have a number and no carrier that PlayAuto lists"
        yield warn(check, found, f"{todo} says which; mend the names in the file and import it again")
    else:
        yield ok(check, f"{one.waiting} wait")
