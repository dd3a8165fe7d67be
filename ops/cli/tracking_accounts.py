"""`jeongsi tracking account`: PlayAuto accounts, when each uploads and how (C06-C17, C64-C68, C89-C91)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.database import ledger
from ops.cli.errors import BadInput, CliError
from ops.cli.options import As, Json, Yes, acting, example, group
from ops.cli.output import local, note, print_json, say
from ops.cli.schedule_flags import takes
from ops.cli.tracking import app as tracking
from ops.cli.tracking_account_flags import AccountFlags, columns_of, login_of

if TYPE_CHECKING:
    import psycopg

    from models.queries.accounts import AccountRow

app = group("PlayAuto accounts: their login, and when and how each uploads its tracking numbers.")
tracking.add_typer(app, name="account")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The account's name; orders carry it.")]


@app.command(
    epilog=example(
        "jeongsi tracking account add default --credentials ask --at 17:00",
        "jeongsi tracking account add brand --credentials brand.env --weekdays monday,friday --enable",
    )
)
@takes(AccountFlags)
def add(
    name: Name,
    flags: AccountFlags,
    enable: Annotated[bool, typer.Option("--enable", help="Let it upload by itself from now on.")] = False,
    who: As = None,
) -> None:
    """Add an account. It uploads nothing by itself until `resume`, or with --enable.

    Login and webhooks are secrets: they are asked for, piped in or read from a file, sealed, and never
    shown. Without --credentials the PLAYAUTO_… of the settings serve.
    """
    from models.store.tracking_accounts import create_account
    from models.tracking.account_form import name_problem

    wrong = name_problem(name)
    if wrong is not None:
        raise BadInput(f"NAME: {wrong.reason}.", f"Give {wrong.hint}.")
    columns, (login, _) = columns_of(flags), login_of(flags)
    if enable and login is None:
        _need_settings_login(name)
    with ledger() as db:
        create_account(
            db, name, columns | {"enabled": enable}, organisation=flags.organisation or None,
            credentials=login, who=acting(who),
        )  # fmt: skip
        _tell(db, name, "is added")
    _warn_of_emulator()
    say(f"Try its login: jeongsi tracking account check {name}")


@app.command(
    "set",
    epilog=example(
        "jeongsi tracking account set brand --at 09:30 --retries 5",
        "jeongsi tracking account set brand --discord ask",
        "jeongsi tracking account set brand --credentials - < brand.env",
    ),
)
@takes(AccountFlags)
def set_(name: Name, flags: AccountFlags, who: As = None) -> None:
    """Change an account; what is not named stays. Its next run follows at once, a run under way ends as it
    began. --organisation '' takes the organisation away."""
    from models.store.tracking_accounts import change_account

    if not flags.given():
        raise BadInput("Nothing to change.", "Name what to set, for instance --at 09:30.")
    columns, (login, forget) = columns_of(flags), login_of(flags)
    with ledger() as db:
        change_account(
            db, name, columns, organisation=flags.organisation, credentials=login,
            forget_credentials=forget, who=acting(who),
        )  # fmt: skip
        _tell(db, name, "is changed")


@app.command("list", epilog=example("jeongsi tracking account list", "jeongsi tracking account list --json"))
def list_(as_json: Json = False) -> None:
    """List the accounts: next run, last run, what waits, and what is known of their login."""
    from models.queries.accounts import accounts, waiting_for_nobody
    from ops.cli.tracking_account_report import described, listed
    from ops.orders.account import login_state

    with ledger() as db:
        found = [(one, login_state(db, one.account)) for one in accounts(db)]
        stray = waiting_for_nobody(db)
    if as_json:
        print_json([described(one, login) for one, login in found])
    else:
        listed(found)
    for account, number in stray.items():
        note(f"{number} orders wait for account {account}, which does not exist:"
             f" `jeongsi tracking account add {account}`.")  # fmt: skip


@app.command(epilog=example("jeongsi tracking account show brand"))
def show(name: Name, as_json: Json = False) -> None:
    """Show one account whole; of its secrets only whether they are there."""
    from ops.cli.tracking_account_report import described, shown
    from ops.orders.account import login_state
    from ops.orders.check import silenced

    with ledger() as db:
        found, login, off = _found(db, name), login_state(db, name), silenced(db, name)
    if as_json:
        print_json(described(found, login) | {"silenced": off})
    else:
        shown(found, login, off)


@app.command(epilog=example("jeongsi tracking account pause brand"))
def pause(name: Name, who: As = None) -> None:
    """Stop its daily runs (C64). Orders go on waiting; a run that has begun goes on to its end."""
    from models.store.tracking_accounts import change_account

    with ledger() as db:
        found = _found(db, name)
        if not found.enabled:
            say(f"Account {name} is off already; nothing changes.")
            return
        change_account(db, name, {"enabled": False}, who=acting(who))
    say(f"Account {name} is off.{_goes_on(found)}\nGo on with `jeongsi tracking account resume {name}`.")


@app.command(epilog=example("jeongsi tracking account resume brand"))
def resume(name: Name, who: As = None) -> None:
    """Let it upload by itself from now on (C64). A time that passed meanwhile is not made up for."""
    from models.store.tracking_accounts import change_account

    with ledger() as db:
        found = _found(db, name)
        if not found.own_login:
            _need_settings_login(name)
        if found.enabled:
            say(f"Account {name} is on already. Next run: {local(found.next_run_at, found.tz)}")
            return
        change_account(db, name, {"enabled": True}, who=acting(who))
        _tell(db, name, "is on")
    _warn_of_emulator()


@app.command(
    epilog=example("jeongsi tracking account delete brand", "jeongsi tracking account delete brand --yes")
)
def delete(name: Name, yes: Yes = False, who: As = None) -> None:
    """Delete an account and its secrets' use; the record of its runs and its orders stay."""
    from models.store.tracking_accounts import delete_account
    from ops.orders.check import forget_targets

    with ledger() as db:
        found = _found(db, name)
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput("Deleting cannot be undone.", "Say --yes if you mean it.")
        typer.confirm(f"Delete account {name}, for which {found.waiting} orders wait?", abort=True)
    with ledger() as db:
        delete_account(db, name, acting(who))
        forget_targets(db, name)
    waits = f" {found.waiting} orders wait on; nothing uploads them." if found.waiting else ""
    ends = (
        " Its run ends, and what it has not done waits."
        if found.last_job and found.last_job.completed_at is None
        else ""
    )
    say(f"Account {name} is deleted.{ends}{waits}")


@app.command(epilog=example("jeongsi tracking account check", "jeongsi tracking account check brand --json"))
def check(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Else every account.")] = None,
    as_json: Json = False,
) -> None:
    """Ask PlayAuto for a token and for the carriers, and say what it answered; exit 1 if one fails."""
    from dataclasses import asdict

    from models.store.tracking_accounts import known_accounts
    from ops.orders.check import check_account

    with ledger() as db:
        if name is not None and name != "default":
            _found(db, name)
        names = [name] if name is not None else known_accounts(db) or ["default"]
        answers = [check_account(db, one) for one in names]
    if as_json:
        print_json([asdict(one) for one in answers])
    else:
        for one in answers:
            say(one.sentence)
        _warn_of_emulator()
    raise typer.Exit(int(any(not one.works for one in answers)))


@app.command("test-notice", epilog=example("jeongsi tracking account test-notice brand"))
def try_out(name: Name, as_json: Json = False) -> None:
    """Send one real test notice to each of its webhooks and print what came back; exit 1 if one did not
    take it (C93)."""
    from dataclasses import asdict

    from ops.orders.check import try_webhooks

    with ledger() as db:
        _found(db, name)
        tried = try_webhooks(db, name)
    if not tried:
        raise CliError(
            f"Account {name} has no webhook.", f"Add one: jeongsi tracking account set {name} --discord ask"
        )
    if as_json:
        print_json([asdict(one) for one in tried])
    else:
        for one in tried:
            say(one.sentence)
    raise typer.Exit(int(any(not one.taken for one in tried)))


def _warn_of_emulator() -> None:
    """The demo's PlayAuto takes any login: nobody shall believe that his numbers went out."""
    from runtime.settings import get_settings

    settings = get_settings()
    if settings.emulator_url and settings.playauto_api_url.startswith(f"{settings.emulator_url}/"):
        note("Note: PlayAuto is an emulator here, nothing reaches the real one. Set PLAYAUTO_API_URL to"
             " https://openapi.playauto.io/api in .env, and start `make up` anew.")  # fmt: skip


def _found(db: psycopg.Connection[Any], name: str) -> AccountRow:
    from models.queries.accounts import accounts
    from models.store import NotFound
    from models.store.tracking_accounts import known_accounts

    rows = accounts(db, name)
    if not rows:
        known = ", ".join(known_accounts(db)) or "none"
        raise NotFound(f"there is no account {name!r}; known are: {known}")
    return rows[0]


def _need_settings_login(name: str) -> None:
    """Refuse to switch on what nobody could log in for. Raises BadInput."""
    from gateways.errors import PlayAutoNotConfigured
    from gateways.playauto.accounts import account_of
    from runtime.settings import get_settings

    try:
        account_of(get_settings())
    except PlayAutoNotConfigured:
        raise BadInput(
            f"Account {name} has no login, and the settings have none either.",
            "Give it one with --credentials ask, or set PLAYAUTO_API_KEY and its like.",
        ) from None


def _tell(db: psycopg.Connection[Any], name: str, what: str) -> None:
    from ops.cli.tracking_account_report import in_words

    found = _found(db, name)
    say(f"Account {name} {what}: {in_words(found)}.")
    if found.enabled:
        say(f"Next run: {local(found.next_run_at, found.tz)} {found.tz}")
    else:
        say(f"It is off. Switch it on with `jeongsi tracking account resume {name}`.")
    for service in ("discord", "slack"):
        if getattr(found, f"notify_{service}") and not getattr(found, f"{service}_webhook"):
            note(f"Note: it is to tell {service.title()}, but has no webhook:"
                 f" `jeongsi tracking account set {name} --{service} ask`.")  # fmt: skip


def _goes_on(found: AccountRow) -> str:
    job = found.last_job
    if job is None or job.status not in ("pending", "running"):
        return ""
    return f" Run {job.id} goes on to its end; `jeongsi tracking cancel {job.id}` stops it."
