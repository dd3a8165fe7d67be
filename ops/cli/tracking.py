"""`jeongsi tracking`: orders, their tracking numbers and what waits to be uploaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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

app = group("Tracking numbers: orders from files, and what waits to be uploaded to PlayAuto.")


@app.command(
    "import",
    epilog=example(
        "jeongsi tracking import orders.xlsx --dry-run",
        "jeongsi tracking import orders.csv --skip-bad",
        "jeongsi tracking import - --account brand --json < orders.csv",
    ),
)
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="CSV or Excel (.xlsx); - is standard input.")],
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
    as_json: Json = False,
) -> None:
    """Take orders with their tracking numbers from a file. If a line is bad, none is taken.

    Orders that are there are changed where the file says something else; an empty cell changes nothing.
    An order that is uploaded stays uploaded.

    Ends with 0 if all lines are good, 1 if some are bad, 2 if the file cannot be read.
    """
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
    if found.bad_lines:
        raise typer.Exit(1)


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
