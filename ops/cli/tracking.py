"""`jeongsi tracking`: orders, their tracking numbers and what waits to be uploaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ops.cli.errors import BadInput
from ops.cli.options import Json, example, group

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from models.store.orders import Merge
    from ops.cli.tracking_report import Report
    from ops.orders.lines import Source
    from ops.orders.take import Found, Import

app = group("Tracking numbers: accounts, orders, and what waits to be uploaded to PlayAuto.")

_ASKED: Final[dict[str, Any]] = {"rich_help_panel": "From PlayAuto", "show_default": False}


@app.command(
    "import",
    epilog=example(
        "jeongsi tracking import orders.xlsx --dry-run",
        "jeongsi tracking import orders.csv --skip-bad",
        "jeongsi tracking import - --account brand --json < orders.csv",
        "jeongsi tracking import --from-playauto --since 2026-12-01 --status 출고대기",
    ),
)
def import_(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE|-]", help="CSV or Excel (.xlsx); - is standard input.")
    ] = None,
    account: Annotated[
        str, typer.Option("--account", help="The PlayAuto account that uploads these orders.")
    ] = "default",
    encoding: Annotated[str, typer.Option("--encoding", help="auto, utf-8 or cp949 (CSV only).")] = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and compare all of it; write nothing.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Take the good lines; write the bad ones to a file.")
    ] = False,
    bad_file: Annotated[
        str | None,
        typer.Option("--bad-file", metavar="PATH", help="Where to; else beside FILE, as NAME.bad.csv."),
    ] = None,
    reupload: Annotated[
        bool,
        typer.Option("--reupload", help="Uploaded orders with another number take it and are uploaded anew."),
    ] = False,
    from_playauto: Annotated[
        bool, typer.Option("--from-playauto", help="Take orders from PlayAuto, not from a file.", **_ASKED)
    ] = False,
    since: Annotated[
        str | None, typer.Option("--since", help="Collected on this day or later (30 days ago).", **_ASKED)
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Collected on this day or earlier (today).", **_ASKED)
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", help="Only in this state, as 출고대기; repeatable.", **_ASKED),
    ] = None,
    as_json: Json = False,
) -> None:
    """Take orders with their tracking numbers from a file, or from PlayAuto. If a line is bad, none is taken.

    Orders that are there are changed where the file says something else; an empty cell changes nothing.
    An order that is uploaded stays uploaded.

    Ends with 0 if all lines are good, 1 if some are bad, 2 if the file cannot be read.
    """
    if from_playauto:
        if file is not None or skip_bad or bad_file is not None or reupload or encoding != "auto":
            raise BadInput("--from-playauto takes no file and nothing that is for files.")
        from ops.cli.tracking_playauto import import_from_playauto

        import_from_playauto(account, since, until, status or [], dry_run=dry_run, as_json=as_json)
        return
    if since is not None or until is not None or status:
        raise BadInput("--since, --until and --status are for --from-playauto.")
    if file is None:
        raise BadInput("FILE is missing.", "Name a file, - for standard input, or --from-playauto.")
    _import_file(
        file, account=account, encoding=encoding, dry_run=dry_run, skip_bad=skip_bad, bad_file=bad_file,
        reupload=reupload, as_json=as_json,
    )  # fmt: skip


def _import_file(
    file: str,
    *,
    account: str,
    encoding: str,
    dry_run: bool,
    skip_bad: bool,
    bad_file: str | None,
    reupload: bool,
    as_json: bool,
) -> None:
    from ops.cli.database import ledger
    from ops.cli.tracking_report import Report
    from ops.exchange.values import BadFile
    from ops.orders.lines import source

    if encoding not in ("auto", "utf-8", "cp949"):
        raise BadInput(f"--encoding: there is no encoding {encoding!r}.", "One of auto, utf-8, cp949.")
    if bad_file is not None and not skip_bad:
        raise BadInput("--bad-file is for --skip-bad.", "Without it no line is taken if one is bad.")
    report = Report(as_json=as_json, dry_run=dry_run, account=account)
    try:
        with source(file, encoding) as taken, ledger() as db:
            report.began(taken)
            path = _bad_path(file, bad_file) if skip_bad and not dry_run else None
            found = _take(db, taken, report, account=account, again=reupload, bad_file=path)
    except BadFile as bad:
        raise BadInput(str(bad), bad.hint) from None
    raise typer.Exit(int(found.bad_lines > 0))


def _take(
    db: psycopg.Connection, taken: Source, report: Report, *, account: str, again: bool, bad_file: Path | None
) -> Found:
    from ops.cli.exchange_report import progress
    from ops.orders.take import Import

    importing = Import(db, account, again=again)
    with progress("Reading") as step:
        found = importing.read(taken, step)
    saved = None
    if not report.dry_run and (not found.problems or bad_file is not None):
        saved = _save(importing, found, taken, bad_file)
    report.end(found, saved, bad_file)
    return found


def _save(importing: Import, found: Found, taken: Source, bad_file: Path | None) -> Merge:
    from ops.orders.take import bad_lines

    if not found.problems or bad_file is None:
        return importing.save()
    with bad_lines(bad_file, taken, found.problems):
        return importing.save()


def _bad_path(file: str, given: str | None) -> Path:
    from pathlib import Path

    if given is not None:
        return Path(given)
    return Path("orders.bad.csv") if file == "-" else Path(file).with_suffix(".bad.csv")


@app.command(
    epilog=example("jeongsi tracking pending", "jeongsi tracking pending --account brand --limit 100 --json")
)
def pending(
    account: Annotated[
        str | None, typer.Option("--account", help="Only this PlayAuto account; else all.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", help="How many orders to list, at most.", min=0, max=100_000)
    ] = 20,
    as_json: Json = False,
) -> None:
    """Show what waits to be uploaded, by account and carrier, and what is held back.

    An order waits if it has a tracking number and a carrier, is not uploaded, and is not being cancelled,
    returned or exchanged. Numbers that look wrong for their carrier are listed first.
    """
    from ops.cli.database import ledger
    from ops.cli.tracking_report import show_pending
    from ops.orders.waiting import look

    with ledger() as db:
        show_pending(look(db, account, limit), as_json=as_json)
