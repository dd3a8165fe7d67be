"""`jeongsi simulate`: what would go out between two moments, and what would not."""

from __future__ import annotations

import csv
import gc
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from ops.cli.database import ledger
from ops.cli.errors import BadInput
from ops.cli.options import Json
from ops.cli.output import iso, local, note, print_json, say, short, table
from ops.cli.times import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from beat.simulation import Outage, Outcome
    from ops.simulate import Loaded, Report

_MOST_DAYS = 3_700
_REMEDIES = {
    "skipped: quota": "The room's messages of that day are used up. Raise it with"
    " `jeongsi room set {room} --quota N --reason …`, or send less.",
    "expired: room_busy": "The room was busy until it was too late."
    " `jeongsi room set {room} --gap S --reason …` tightens the gap; or move a schedule.",
    "expired: device_busy": "The device is asked for more at this time than it can carry."
    " Assign rooms to another device, or spread the times.",
    "expired: scheduler_down": "No beat ran, and it was too late when one was back.",
    "expired: not_dispatched": "No beat ran, and it was too late when one was back.",
    "skipped: coalesced": "Misfire policy `latest`: of several late ones only the newest goes out.",
    "failed: no_gate": "The room is gone.",
}


def simulate(
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="A day, a Korean time, or ISO 8601 with offset.")
    ],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Up to here, exclusive.")],
    room: Annotated[
        list[str] | None, typer.Option("--room", help="Only this room; repeat for several.")
    ] = None,
    schedule: Annotated[
        list[int] | None, typer.Option("--schedule", help="Only this schedule; repeat for several.")
    ] = None,
    down: Annotated[
        list[str] | None,
        typer.Option("--down", metavar="FROM..TO", help="No beat runs meanwhile: what an outage would do."),
    ] = None,
    send: Annotated[
        float,
        typer.Option("--send-seconds", min=0, max=60, help="What the provider is assumed to take a part."),
    ] = 0.3,
    each: Annotated[bool, typer.Option("--each", help="A line for every slot.")] = False,
    to_csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Every slot into a CSV file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Replay the schedules under a virtual clock: what goes out when, what stays away and why.

    The planner's own functions lay the slots down; rooms let them through by gap, quota and device. Nothing
    is written or sent. Assumed: workers are there and providers answer. A past range replays the history.
    """
    from ops.simulate import Report, load, reported
    from ops.simulate.load import limits_of
    from runtime.channels import one_device
    from runtime.settings import get_settings

    first, last = _range(start, end)
    outages = [_outage(text) for text in down or ()]
    settings = get_settings()
    with ledger() as db:
        loaded = load(
            db, first, schedules=schedule or None, rooms=room or None, send_s=send,
            one_device=one_device(settings.channels()),
        )  # fmt: skip
    if not loaded.load.clocks:
        raise BadInput(
            "There is no such schedule that could promise anything then.",
            "`jeongsi schedule list` shows them.",
        )
    from beat.simulation import simulate as run

    report = Report()
    with _no_collections():
        chunks = reported(run(loaded.load, first, last, limits=limits_of(settings), outages=outages), report)
        slots = _told(chunks, loaded, each and not as_json, to_csv, keep=each and as_json)
    if as_json:
        print_json(_as_json(report, loaded, first, last) | ({"each": slots} if each else {}))
    else:
        _print(report, loaded, first, last)


def _range(start: str, end: str) -> tuple[datetime, datetime]:
    first, last = moment(start, "from"), moment(end, "to")
    if last <= first:
        raise BadInput(f"--to: {end} is not after --from {start}.", "Give the later moment second.")
    if (last - first).days > _MOST_DAYS:
        raise BadInput("--to: that is more than ten years.", "Simulate a shorter time.")
    return first, last


def _outage(text: str) -> Outage:
    from beat.simulation import Outage

    begin, dots, until = text.partition("..")
    if not dots:
        raise BadInput(
            f"--down: {text!r} is no time span.", "Write it as '2026-12-01 08:50..2026-12-01 09:20'."
        )
    start, end = moment(begin, "down"), moment(until, "down")
    if end <= start:
        raise BadInput(f"--down: {text!r} ends before it begins.", "Give the later moment second.")
    return Outage(start, end)


@contextmanager
def _no_collections() -> Iterator[None]:
    """Millions of small tuples without a cycle among them: collecting halves the speed for nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _told(
    chunks: Iterable[list[Outcome]], loaded: Loaded, each: bool, to_csv: Path | None, *, keep: bool
) -> list[dict[str, Any]]:
    from ops.simulate.report import line

    kept: list[dict[str, Any]] = []
    with _file(to_csv) as file:
        rows = csv.writer(file) if file is not None else None
        if rows is not None:
            rows.writerow(("slot", "time", "schedule", "room", "state", "reason", "start"))
        for chunk in chunks:
            if not (each or keep or rows):
                continue
            for outcome in sorted(chunk, key=lambda one: one.promise.slot.slot_at):
                if keep:
                    kept.append(line(outcome))
                if rows is not None:
                    rows.writerow(_row(outcome, loaded))
                if each:
                    say("  ".join(_row(outcome, loaded)))
    return kept


@contextmanager
def _file(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    try:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            yield file
    except OSError as error:
        raise BadInput(
            f"--csv: {path} cannot be written: {error.strerror}.", "Name a file in a folder that exists."
        ) from None


def _row(outcome: Outcome, loaded: Loaded) -> tuple[str, ...]:
    promise = outcome.promise
    message = loaded.messages.get(promise.slot.schedule_id)
    return (
        str(promise.slot), local(promise.slot.slot_at), short(message.title if message else "", 40),
        _room_id(loaded, promise.room_ref), outcome.state, outcome.reason or "", local(outcome.start),
    )  # fmt: skip


def _room_id(loaded: Loaded, ref: int | None) -> str:
    room = loaded.rooms.get(ref) if ref is not None else None
    return room.room_id if room is not None else "?"


def _print(report: Report, loaded: Loaded, first: datetime, last: datetime) -> None:
    say(f"{local(first)} to {local(last)} (KST), {len(loaded.load.clocks)} schedules")
    rows = [
        (_room_id(loaded, ref), room.promised, room.goes_out, room.waited,
         f"{room.longest_s:.0f} s" if room.waited else "",
         ", ".join(f"{number} {why}" for why, number in sorted(room.away.items())))
        for ref, room in sorted(report.rooms.items(), key=lambda item: _room_id(loaded, item[0]))
    ]  # fmt: skip
    table(
        ("room", "promised", "goes out", "waits", "longest", "stays away"),
        rows,
        empty="Nothing is promised in this time.",
    )
    if report.fullest is not None:
        say(f"Fullest minute: {local(report.fullest[1])} with {report.fullest[0]} due.")
    for what, outcome in sorted(report.firsts.items(), key=lambda item: item[1].promise.slot.slot_at):
        say(f"First {what}: {'  '.join(_row(outcome, loaded)[:4])}")
        remedy = _REMEDIES.get(what)
        if remedy:
            say(f"  -> {remedy.format(room=_room_id(loaded, outcome.promise.room_ref))}")
    away = report.promised - report.states["goes_out"]
    say(f"{report.promised} promised, {report.states['goes_out']} go out, {away} stay away.")
    sys.stdout.flush()
    if any(room.waited for room in report.rooms.values()):
        note("Waiting is for a room or a device; it is not lateness.")


def _as_json(report: Report, loaded: Loaded, start: datetime, end: datetime) -> dict[str, Any]:
    fullest = report.fullest
    return {
        "from": iso(start), "to": iso(end), "schedules": len(loaded.load.clocks), "promised": report.promised,
        "states": dict(report.states),
        "fullest_minute": None if fullest is None else {"at": fullest[1], "due": fullest[0]},
        "rooms": {
            _room_id(loaded, ref): {
                "promised": room.promised, "goes_out": room.goes_out, "waits": room.waited,
                "longest_wait_s": round(room.longest_s, 1), "stays_away": dict(room.away),
            }
            for ref, room in report.rooms.items()
        },
        "first_away": {
            what: {"slot": str(first.promise.slot), "at": first.promise.slot.slot_at}
            for what, first in report.firsts.items()
        },
    }  # fmt: skip
