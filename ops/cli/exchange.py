"""`jeongsi schedule`: import and export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.errors import BadInput, CliError
from ops.cli.options import As, Json, acting, example
from ops.cli.output import note, say
from ops.cli.schedules import app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from ops.cli.exchange_report import Report
    from ops.exchange.mysql_dump import Dump
    from ops.exchange.take import Import, Options
    from ops.exchange.values import Record

_File = Annotated[str, typer.Argument(metavar="FILE|-", help="The file; - is standard input.")]
_Room = Annotated[
    str | None, typer.Option("--room", help="The room of rows that name none (crontab lines never do).")
]


@app.command(
    "import",
    epilog=example(
        "jeongsi schedule import schedules.csv --dry-run",
        "jeongsi schedule import kb_schedule.sql --images-dir /data/bot_images --partial",
        "jeongsi schedule import old.crontab --room hq-alerts --text '지금 {time}'",
    ),
)
def import_(
    file: _File,
    format: Annotated[  # noqa: A002 - the flag's name
        str, typer.Option("--format", help="auto, json, csv, mysql (a dump) or crontab.")
    ] = "auto",
    encoding: Annotated[str, typer.Option("--encoding", help="auto, utf-8 or cp949.")] = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all and print each row's next slots; write nothing.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take all good rows, though others are bad.")
    ] = False,
    room: _Room = None,
    text: Annotated[
        str | None, typer.Option("--text", help="crontab: the message, instead of the command's words.")
    ] = None,
    images_dir: Annotated[
        str | None, typer.Option("--images-dir", metavar="DIR", help="Where the named image files lie.")
    ] = None,
    accept_limit: Annotated[
        bool, typer.Option("--accept-limit", help="Take rows though the room's day quota will cut them.")
    ] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out rows that are there already.")
    ] = False,
    allow_duplicates: Annotated[
        bool, typer.Option("--allow-duplicates", help="Take them again: the message is sent twice.")
    ] = False,
    count: Annotated[
        int, typer.Option("--count", help="--dry-run: how many next slots of each row.", min=1, max=1_000)
    ] = 3,
    who: As = None,
    as_json: Json = False,
) -> None:
    """Take schedules from a file. If a row is bad, none is taken, or with --partial all good ones.

    Every bad row is named with its line, the column, what is wrong and what would be right.

    Ends with 0 if all rows are good, 1 if some are bad, 2 if the file cannot be read.
    """
    from ops.cli.exchange_report import Report, progress
    from ops.exchange.source import opened
    from ops.exchange.take import Import
    from ops.exchange.values import BadFile

    _one_of("format", format, ("auto", "json", "csv", "mysql", "crontab"))
    _one_of("encoding", encoding, ("auto", "utf-8", "cp949"))
    if skip_existing and allow_duplicates:
        raise BadInput("Give either --skip-existing or --allow-duplicates, not both.")
    report = Report(as_json=as_json, dry_run=dry_run, count=count)
    try:
        with opened(file, encoding) as (lines, found):
            kind = _format(file, format, lines, room)
            report.began(kind, found)
            options = _options(kind, room, images_dir, accept_limit, skip_existing, allow_duplicates)
            taking = Import(options)
            try:
                records, dump = _records(kind, lines, room, text)
                with progress("Checking") as step:
                    for judged in taking.judge(records):
                        report.row(judged, taking.now)
                        step(1)
                ids = _save(taking, report, who, partial=partial, dry_run=dry_run)
            finally:
                taking.close()
    except BadFile as bad:
        raise BadInput(str(bad), bad.hint) from None
    report.end(ids, taking.unknown_rooms, dump.others if dump is not None else {})
    if report.bad:
        raise typer.Exit(1)


def _save(taking: Import, report: Report, who: str | None, *, partial: bool, dry_run: bool) -> list[int]:
    from ops.cli.exchange_report import progress

    if dry_run or not report.good or (report.bad and not partial):
        return []
    with progress("Saving", report.good) as step:
        return taking.save(acting(who), step)


def _options(
    kind: str, room: str | None, images_dir: str | None, accept: bool, skip: bool, allow: bool
) -> Options:
    from pathlib import Path

    from beat.schedule_form import ScheduleForm
    from ops.exchange.take import Options
    from runtime.settings import get_settings

    folder = Path(images_dir) if images_dir is not None else None
    if folder is not None and not folder.is_dir():
        raise BadInput(f"--images-dir: {images_dir} is no folder.", "Name the folder with the image files.")
    base = ScheduleForm(title="", room=room or "", grace=get_settings().grace_s, accept_limit=accept)
    same = "skip" if skip else "allow" if allow else "refuse"
    return Options(base=base, same=same, images_dir=folder, trust_store=kind != "mysql")


def _format(file: str, wanted: str, lines: IO[str], room: str | None) -> str:
    from ops.exchange.source import format_of

    kind = format_of(file, lines) if wanted == "auto" else wanted
    if kind == "crontab" and room is None:
        raise BadInput("Crontab lines name no room.", "Say --room; see `jeongsi room list`.")
    return kind


def _records(
    kind: str, lines: IO[str], room: str | None, text: str | None
) -> tuple[Iterator[Record], Dump | None]:
    from ops.exchange import crontab, csv_format, json_format
    from ops.exchange.mysql_dump import Dump

    if text is not None and kind != "crontab":
        raise BadInput("--text is for crontab lines.", f"A {kind} file names each row's message itself.")
    if kind == "mysql":
        dump = Dump(lines)
        return dump.read(), dump
    if kind == "csv":
        return csv_format.read(lines, room), None
    return (json_format.read(lines) if kind == "json" else crontab.read(lines, text)), None


@app.command(
    "export",
    epilog=example(
        "jeongsi schedule export schedules.json --with-images",
        "jeongsi schedule export schedules.csv --encoding cp949 --room hq-alerts --status active",
    ),
)
def export_(
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="The file; - is standard output.")] = "-",
    format: Annotated[  # noqa: A002 - the flag's name
        str | None, typer.Option("--format", help="json or csv; else as the file's name ends, else json.")
    ] = None,
    encoding: Annotated[
        str, typer.Option("--encoding", help="utf-8, or cp949 for old Korean Excel.")
    ] = "utf-8",
    room: Annotated[str | None, typer.Option("--room", help="Only those of this room.")] = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Only active, inactive, completed or error.")
    ] = None,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="json: the images themselves, not only their names.")
    ] = False,
) -> None:
    """Write people's schedules to a file that `schedule import` takes back; all of it, or nothing."""
    from ops.cli.exchange_report import progress
    from ops.exchange.give import Wanted, export
    from ops.exchange.values import BadFile

    kind = format or ("csv" if file.lower().endswith(".csv") else "json")
    _one_of("format", kind, ("json", "csv"))
    _one_of("encoding", encoding, ("utf-8", "cp949"))
    if status is not None:
        _one_of("status", status, ("active", "inactive", "completed", "error"))
    if with_images and kind == "csv":
        raise BadInput("--with-images is for JSON.", "A CSV names images; JSON can hold them.")
    if room is not None:
        _there_is(room)
    wanted = Wanted(format=kind, encoding=encoding, room=room, status=status, with_images=with_images)
    try:
        with progress("Writing") as step:
            number = export(file, wanted, step)
    except BadFile as bad:
        raise CliError(str(bad), bad.hint) from None
    told = f"{number} schedule{'s' * (number != 1)} written"
    note(f"{told}.") if file == "-" else say(f"{told} to {file}.")


def _there_is(room: str) -> None:
    from models.store import reading, room_of

    with reading() as session:
        room_of(session, room)


def _one_of(flag: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise BadInput(f"--{flag}: there is no {flag} {given!r}.", f"One of {', '.join(known)}.")
