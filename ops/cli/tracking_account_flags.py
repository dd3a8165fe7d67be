"""The flags of a PlayAuto account, the same for add and set, and the columns that they mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ops.cli.errors import BadInput
from ops.cli.secret_input import credentials, secret

if TYPE_CHECKING:
    from models.store.accounts import Credentials

_WHEN = "When"
_HOW = "How"
_WHO = "Login and notices"
_HOOK: Final = "ask, FILE or - (a webhook's address), on, off, or forget."
#: Flag -> column, where they are not called the same.
_COLUMN: Final = {
    "at": "schedule_time", "retries": "retry_count", "grace": "grace_seconds", "batch": "batch_size",
    "numbers": "number_policy",
}  # fmt: skip
_PLAIN: Final = ("at", "tz", "retries", "grace", "batch", "instruct", "send_to_shop", "change_complete",
                 "overwrite", "numbers")  # fmt: skip


def _flag(name: str, help: str, panel: str, **more: Any) -> Any:  # noqa: A002 - typer's own name
    return typer.Option(name, help=help, rich_help_panel=panel, show_default=False, **more)


@dataclass(frozen=True, slots=True)
class AccountFlags:
    """What was typed; None means: not given."""

    at: Annotated[str | None, _flag("--at", "The time of day of its run, HH:MM (17:00).", _WHEN)]
    weekdays: Annotated[str | None, _flag("--weekdays", "monday,friday, or daily (daily).", _WHEN)]
    tz: Annotated[str | None, _flag("--tz", "The zone of --at (Asia/Seoul).", _WHEN)]
    grace: Annotated[
        int | None,
        _flag("--grace", "Seconds that a run may begin late before it is given up (21600).", _WHEN),
    ]
    retries: Annotated[
        int | None, _flag("--retries", "Retries of an order after its first try, 0 to 10 (3).", _HOW)
    ]
    batch: Annotated[int | None, _flag("--batch", "Orders of one request, 1 to 3000 (500).", _HOW)]
    instruct: Annotated[
        bool | None, _flag("--instruct/--no-instruct", "Move new orders to 출고대기 first (yes).", _HOW)
    ]
    send_to_shop: Annotated[
        bool | None, _flag("--send-to-shop/--no-send-to-shop", "Pass numbers on to the shops (yes).", _HOW)
    ]
    change_complete: Annotated[
        bool | None,
        _flag("--change-complete/--no-change-complete", "Mark orders as 출고완료 (no).", _HOW),
    ]
    overwrite: Annotated[
        bool | None,
        _flag("--overwrite/--no-overwrite", "Replace a number that PlayAuto has already (no).", _HOW),
    ]
    numbers: Annotated[
        str | None,
        _flag("--numbers", "Numbers that look wrong for their carrier: warn or hold them back (warn).", _HOW),
    ]
    credentials: Annotated[
        str | None,
        _flag("--credentials", "ask, FILE or - (api_key=… lines), or settings: those of PLAYAUTO_….", _WHO),
    ]
    organisation: Annotated[
        str | None, _flag("--organisation", "Whose account it is, by the organisation's code.", _WHO)
    ]
    discord: Annotated[str | None, _flag("--discord", f"Tell a Discord channel: {_HOOK}", _WHO)]
    slack: Annotated[str | None, _flag("--slack", f"Tell a Slack channel: {_HOOK}", _WHO)]

    def given(self) -> set[str]:
        """The names of the flags that were typed."""
        return {one.name for one in fields(self) if getattr(self, one.name) is not None}


def columns_of(flags: AccountFlags) -> dict[str, Any]:
    """The columns that the flags set, secrets sealed. Raises BadInput."""
    from models.tracking.account_form import weekdays_of

    if [flags.credentials, flags.discord, flags.slack].count("-") > 1:
        raise BadInput("Standard input holds one secret, not several.", "Give a file for each of the others.")
    given = {name: getattr(flags, name) for name in _PLAIN}
    columns = {_COLUMN.get(name, name): value for name, value in given.items() if value is not None}
    if flags.weekdays is not None:
        columns["weekdays"] = weekdays_of(flags.weekdays)
    for service in ("discord", "slack"):
        said = getattr(flags, service)
        if said is not None:
            columns |= dict(_hook(service, said))
    return columns


def login_of(flags: AccountFlags) -> tuple[Credentials | None, bool]:
    """Credentials to keep, and whether to forget those that are kept. Raises BadInput."""
    if flags.credentials is None:
        return None, False
    if flags.credentials == "settings":
        return None, True
    return credentials("--credentials", flags.credentials), False


def _hook(service: str, given: str) -> Iterator[tuple[str, Any]]:
    yield f"notify_{service}", given not in ("off", "forget")
    if given == "forget":
        yield f"{service}_webhook", None
    elif given not in ("on", "off"):
        yield f"{service}_webhook", _sealed(service, secret(f"--{service}", given, "Paste the webhook's URL"))


def _sealed(service: str, url: str) -> str:
    """A webhook that is one of this service's, sealed (C90)."""
    from gateways.notices import BadAddress, parse
    from models.store.accounts import sealed_webhook

    example = {"discord": "https://discord.com/api/webhooks/…", "slack": "https://hooks.slack.com/services/…"}
    if not url:
        raise BadInput(f"--{service}: the address is empty.", f"It looks like {example[service]}")
    try:
        found = parse(url)
    except BadAddress as wrong:
        raise BadInput(f"--{service}: {wrong}.", f"It looks like {example[service]}") from None
    if found.service != service:
        raise BadInput(
            f"--{service}: this is no webhook of {service.title()}.", f"It looks like {example[service]}"
        )
    return sealed_webhook(url)
