"""Does an account work: its login, its carriers, its webhooks. Asked for real, answered as values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import psycopg

from gateways.errors import PlayAutoNotConfigured, PlayAutoUnavailable
from gateways.notices import BadAddress, Heard, Note, parse, send
from gateways.playauto.errors import BY_CODE
from gateways.playauto.values import NotSent
from gateways.playauto.values import Refused as PlayAutoRefused
from models.ledger import notice_targets
from models.store.accounts import webhook_of
from models.store.errors import Refused
from ops.orders.account import client_of, refresh_carriers
from runtime.sealing import Unsealable
from runtime.settings import SettingsError
from tasks.notice_words import told
from tasks.tracking.notice import SERVICES, target_name

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Checked:
    """What PlayAuto said of an account: whether it let it in, and how many carriers it listed.

    ``ready``: orders that got their carrier's code by that list.
    """

    account: str
    works: bool
    carriers: int = 0
    ready: int = 0
    error: str | None = None

    @property
    def sentence(self) -> str:
        """The same for a person."""
        if not self.works:
            return f"{self.account}: {self.error}"
        ready = f"; {self.ready} orders got their carrier's code by it" if self.ready else ""
        return f"{self.account}: logged in, {self.carriers} carriers{ready}"


@dataclass(frozen=True, slots=True)
class Tried:
    """What a webhook answered to a test notice. ``switched_on``: its notices were off, and are on again."""

    service: str
    taken: bool
    error: str | None
    answer: dict[str, Any]
    switched_on: bool = False

    @property
    def sentence(self) -> str:
        """The same for a person."""
        body = str(self.answer.get("body", self.answer.get("text", "")))
        status = f"  HTTP {self.answer['status']} {body[:200]}" if "status" in self.answer else ""
        again = "; its notices are switched on again" if self.switched_on else ""
        words = "taken" if self.taken else f"not taken ({self.error})"
        return f"{self.service}: {words}{status}{again}".rstrip()


def check_account(db: Connection, account: str) -> Checked:
    """Log in anew and take the list of carriers."""
    try:
        client = client_of(db, account)
        refused = client.log_in()
        if refused is not None:
            return Checked(account, works=False, error=_why(account, refused))
        carriers, ready = refresh_carriers(db, account, client)
    except (PlayAutoNotConfigured, PlayAutoUnavailable, SettingsError) as wrong:
        return Checked(account, works=False, error=f"{wrong}.")
    except Unsealable as wrong:
        error = f"its login cannot be read: {wrong}. Give it anew: set {account} --credentials ask"
        return Checked(account, works=False, error=error)
    except Refused:
        return Checked(account, works=False, error="logged in, but PlayAuto lists no carrier for it")
    return Checked(account, works=True, carriers=carriers, ready=ready)


def _why(account: str, said: PlayAutoRefused | NotSent) -> str:
    if isinstance(said, NotSent):
        return f"PlayAuto cannot be reached: {said.reason.removeprefix('playauto_login_unreachable: ')}"
    known = BY_CODE.get(said.code)
    todo = f"mend its login: `jeongsi tracking account set {account} --credentials ask`"
    if known is not None and known.effect != "token":
        todo = known.todo
    own = f" ({said.message})" if said.message else ""
    return f"PlayAuto does not let it in: {said.code}, {known.means if known else 'unknown'}{own}; {todo}"


def try_webhooks(db: Connection, account: str) -> list[Tried]:
    """Send a test notice to each webhook that the account has, switched on or not.

    One that takes it is no longer held for dead, if it was.
    """
    row = db.execute(
        "SELECT discord_webhook, slack_webhook FROM tracking_upload_scheduler"
        " WHERE account = %s AND deleted_at IS NULL",
        (account,),
    ).fetchone()
    kept = zip(SERVICES, row or (), strict=False)
    tried = [_tried(service, account, address) for service, address in kept if address]
    return [_revived(db, account, one) if one.taken else one for one in tried]


def silenced(db: Connection, account: str) -> dict[str, str]:
    """Webhooks to which nothing is sent any more, because they answered that they are gone: why."""
    found = {service: notice_targets.find(db, target_name(account, service)) for service in SERVICES}
    return {service: one.disabled_reason or "" for service, one in found.items() if one and not one.enabled}


def forget_targets(db: Connection, account: str) -> None:
    """Tell nobody any more of an account that is gone."""
    for service in SERVICES:
        notice_targets.remove(db, target_name(account, service))


def _revived(db: Connection, account: str, tried: Tried) -> Tried:
    if tried.service not in silenced(db, account):
        return tried
    notice_targets.switch(db, target_name(account, tried.service), on=True, reason="")
    return replace(tried, switched_on=True)


def _tried(service: str, account: str, kept: str) -> Tried:
    try:
        address = parse(webhook_of(kept) or "")
    except (BadAddress, Unsealable, SettingsError) as wrong:
        return Tried(service, taken=False, error=str(wrong), answer={})
    heard: Heard = send(address, Note(0, "notice.test", "info", *told("notice.test", target=account)))
    return Tried(service, heard.what == "sent", heard.error, heard.answer)
