"""`jeongsi notice`: where operators are told what goes wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.database import ledger
from ops.cli.errors import BadInput, CliError
from ops.cli.options import As, Json, acting, example, group
from ops.cli.output import iso, local, print_json, say, short, table

if TYPE_CHECKING:
    import psycopg

    from gateways.notices import Address, Heard
    from models.ledger.notice_targets import TargetRow

app = group("Notices to operators: Discord, Slack and any Apprise address (docs/notices.md).")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The target's name.")]
_ASK = "Paste the address (it is not shown)"


@app.command(
    epilog=example(
        "jeongsi notice add ops-discord",
        "jeongsi notice add ops-slack --from-file /run/secrets/slack-webhook --min-severity error",
        "jeongsi notice add tracking --from-file hook.txt --kind tracking --kind slots.failed",
    )
)
def add(
    name: Name,
    url: Annotated[
        str | None,
        typer.Argument(metavar="[URL]", help="Better left out: it is asked for, or read from stdin."),
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from-file", help="Read the address from a file.")
    ] = None,
    min_severity: Annotated[
        str, typer.Option("--min-severity", help="info, warning, error or critical: this and graver.")
    ] = "info",
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only kinds that begin so, as in slots; repeatable.")
    ] = None,
    per_hour: Annotated[
        int | None, typer.Option("--per-hour", min=1, max=3600, show_default=False, help="Most in an hour.")
    ] = None,
    burst: Annotated[
        int | None, typer.Option("--burst", min=1, max=100, show_default=False, help="Most at once.")
    ] = None,
    who: As = None,
) -> None:
    """Add a target. Its address is a secret: paste it when asked, pipe it in, or give a file.

    Discord and Slack webhook URLs are taken as they are, everything else as an Apprise address. It is sealed
    before it is stored and never shown again. Try it with `jeongsi notice test`.
    """
    from gateways.notices import fingerprint
    from models.ledger import notice_targets
    from models.ledger.notice_targets import NewTarget
    from models.ledger.notices import SEVERITIES
    from runtime.sealing import seal
    from runtime.settings import get_settings

    if min_severity not in SEVERITIES:
        raise BadInput(
            f"--min-severity: there is no severity {min_severity!r}.", f"One of {', '.join(SEVERITIES)}."
        )
    if not name.strip() or len(name) > 100:
        raise BadInput("NAME: give 1 to 100 characters.")
    settings = get_settings()
    given = _given(url, from_file)
    address = _read(given)
    new = NewTarget(
        name=name, service=address.service, address=seal(given), fingerprint=fingerprint(given),
        min_severity=min_severity, kinds=kind or None, per_hour=per_hour or settings.notice_per_hour,
        burst=burst or settings.notice_burst, created_by=acting(who),
    )  # fmt: skip
    with ledger() as db:
        if not notice_targets.add(db, new):
            raise BadInput(f"There is a target {name!r} already.", f"`jeongsi notice remove {name}` first.")
    say(f"Target {name} ({address.service}) is added. Try it: jeongsi notice test {name}")


@app.command("list", epilog=example("jeongsi notice list", "jeongsi notice list --json"))
def list_(as_json: Json = False) -> None:
    """List the targets: what they get, whether they are on, and what went wrong last. Never an address."""
    with _targets() as (_, rows):
        pass
    if as_json:
        print_json([_described(row) for row in rows])
        return
    table(
        ("target", "service", "from", "kinds", "since", "an hour", "state", "waiting", "last sent (KST)"),
        [
            (row.name, row.service, "settings" if row.from_settings else row.created_by,
             ", ".join(row.kinds) if row.kinds else "all", row.min_severity, row.per_hour, _state(row),
             row.pending, local(row.last_sent_at))
            for row in rows
        ],
        empty="There is no target yet. Add one: `jeongsi notice add --help`, or set JEONGSI_NOTICE_URLS.",
    )  # fmt: skip


@app.command(epilog=example("jeongsi notice remove ops-discord"))
def remove(name: Name) -> None:
    """Forget a target. One that the settings name comes back until it is taken out there."""
    from models.ledger import notice_targets

    with ledger() as db:
        row = _found(db, name)
        if row.from_settings and _named_here(db, row):
            raise BadInput(f"{name} stands in JEONGSI_NOTICE_URLS.", "Take it out there, or switch it off.")
        notice_targets.remove(db, name)
    say(f"Target {name} is removed.")


@app.command(epilog=example("jeongsi notice enable ops-discord"))
def enable(name: Name) -> None:
    """Switch a target on again and forget its failures. What came meanwhile is not sent."""
    _switch(name, on=True, reason="")


@app.command(epilog=example("jeongsi notice disable ops-discord"))
def disable(name: Name, who: As = None) -> None:
    """Switch a target off."""
    _switch(name, on=False, reason=f"switched off by {acting(who)}")


@app.command("test", epilog=example("jeongsi notice test", "jeongsi notice test ops-discord"))
def try_out(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Else every target that is on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send one real test notice and print what the service answered; exit 1 if one did not take it."""
    from gateways.notices import Note, send
    from tasks.notice_words import told

    with _targets() as (db, rows):
        chosen = [_found(db, name)] if name is not None else [row for row in rows if row.enabled]
        tried = [(row, _address(db, row)) for row in chosen]
    if not tried:
        raise CliError("There is no target that is on.", "See `jeongsi notice list`.")
    heard = []
    for row, address in tried:
        note = Note(0, "notice.test", "info", *told("notice.test", target=row.name))
        heard.append((row, send(address, note)))
        if not as_json:
            say(_told(*heard[-1]))
    if as_json:
        print_json([_answered(row, one) for row, one in heard])
    raise typer.Exit(int(any(one.what != "sent" for _, one in heard)))


@app.command(epilog=example("jeongsi notice log", "jeongsi notice log --limit 5 --json"))
def log(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List what was told lately, how often it happened, and what became of it at each target."""
    from models.queries.notices import recent

    with ledger() as db:
        found = recent(db, limit)
    if as_json:
        print_json([
            {"id": one.id, "at": iso(one.made_at), "kind": one.kind, "key": one.key, "severity": one.severity,
             "title": one.title, "text": one.body, "link": one.link, "count": one.count,
             "last_at": iso(one.last_at), "open": one.open, "targets": one.deliveries}
            for one in found
        ])  # fmt: skip
        return
    table(
        ("notice", "time (KST)", "severity", "kind", "title", "times", "targets"),
        [
            (one.id, local(one.made_at), one.severity, one.kind, short(one.title, 50), one.count,
             ", ".join(f"{name}: {state}" for name, state in one.deliveries.items()) or "no target")
            for one in found
        ],
        empty="Nothing was told yet.",
    )  # fmt: skip


@contextmanager
def _targets() -> Iterator[tuple[psycopg.Connection[Any], list[TargetRow]]]:
    """The targets, with those of the settings brought in step first."""
    from models.ledger.notice_targets import targets
    from runtime.settings import get_settings
    from tasks.notice_delivery import keep_settings_targets

    with ledger() as db:
        keep_settings_targets(db, get_settings())
        yield db, targets(db)


def _given(url: str | None, from_file: Path | None) -> str:
    """The address, by the way that shows it least."""
    if url is not None and from_file is not None:
        raise BadInput("URL and --from-file cannot both be meant.")
    if from_file is not None:
        try:
            return from_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise BadInput(f"--from-file: {from_file} cannot be read ({reason}).") from None
    if url is not None:
        return url.strip()
    if sys.stdin.isatty():
        return str(typer.prompt(_ASK, hide_input=True)).strip()
    return sys.stdin.read().strip()


def _read(url: str) -> Address:
    from gateways.notices import BadAddress, parse

    if not url:
        raise BadInput("URL: the address is empty.", "Paste it when asked, pipe it in, or use --from-file.")
    try:
        return parse(url)
    except BadAddress as wrong:
        raise BadInput(f"URL: {wrong}.") from None


def _found(db: psycopg.Connection[Any], name: str) -> TargetRow:
    from models.ledger.notice_targets import find

    row = find(db, name)
    if row is None:
        raise BadInput(f"There is no target {name!r}.", "See `jeongsi notice list`.")
    return row


def _address(db: psycopg.Connection[Any], row: TargetRow) -> Address:
    from gateways.notices import BadAddress, parse
    from models.ledger.notice_targets import address_of
    from runtime.sealing import Unsealable, unseal
    from runtime.settings import get_settings
    from tasks.notice_delivery import address_in_settings

    sealed, mark = address_of(db, row.id) or (None, "")
    try:
        return parse(unseal(sealed)) if sealed is not None else address_in_settings(get_settings(), mark)
    except (BadAddress, Unsealable) as wrong:
        raise CliError(f"Target {row.name}: {wrong}.") from None


def _named_here(db: psycopg.Connection[Any], row: TargetRow) -> bool:
    from gateways.notices import fingerprint
    from models.ledger.notice_targets import address_of
    from runtime.settings import get_settings
    from tasks.notice_delivery import urls

    mark = (address_of(db, row.id) or (None, ""))[1]
    return mark in {fingerprint(url) for url in urls(get_settings())}


def _switch(name: str, *, on: bool, reason: str) -> None:
    from models.ledger import notice_targets

    with ledger() as db:
        _found(db, name)
        notice_targets.switch(db, name, on=on, reason=reason)
    say(f"Target {name} is {'on' if on else 'off'}.")


def _state(row: TargetRow) -> str:
    if not row.enabled:
        return f"off: {short(row.disabled_reason, 60)}"
    return "on" if not row.failures else f"on, {row.failures} failures: {short(row.last_error, 60)}"


def _told(row: TargetRow, heard: Heard) -> str:
    said = heard.answer.get("body", heard.answer.get("text", ""))
    status = f"HTTP {heard.answer['status']} " if "status" in heard.answer else ""
    words = "taken" if heard.what == "sent" else f"not taken ({heard.error})"
    return f"{row.name}: {words}  {status}{short(str(said), 200)}".rstrip()


def _answered(row: TargetRow, heard: Heard) -> dict[str, Any]:
    return {"target": row.name, "taken": heard.what == "sent", "error": heard.error, "answer": heard.answer}


def _described(row: TargetRow) -> dict[str, Any]:
    return {
        "target": row.name, "service": row.service, "from_settings": row.from_settings, "kinds": row.kinds,
        "min_severity": row.min_severity, "per_hour": row.per_hour, "burst": row.burst,
        "enabled": row.enabled, "disabled_reason": row.disabled_reason, "failures": row.failures,
        "last_error": row.last_error, "last_sent_at": iso(row.last_sent_at), "pending": row.pending,
    }  # fmt: skip
