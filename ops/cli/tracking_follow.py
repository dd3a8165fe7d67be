"""Stays with an upload run until it has ended: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ops.cli.database import ledger
from ops.cli.errors import BadInput
from ops.cli.output import note
from runtime.clock import clock

if TYPE_CHECKING:
    import psycopg

    from models.queries.tracking import Job

_LOOK_S = 0.5
_LINE_S = 10.0
_STILL_S = 15.0  # a worker takes a run up within a second


def found(db: psycopg.Connection[Any], job: int) -> Job:
    """The run. Raises BadInput if there is none."""
    from models.queries.tracking import job as find

    one = find(db, job)
    if one is None:
        raise BadInput(f"There is no run {job}.", "See `jeongsi tracking jobs`.")
    return one


def watch(job: int) -> None:
    """Until it has ended, or somebody presses Ctrl-C: then it goes on, and that is said."""
    try:
        follow(job)
    except KeyboardInterrupt:
        note(f"\nRun {job} goes on. Watch it again: `jeongsi tracking job {job} --follow`;"
             f" stop it: `jeongsi tracking cancel {job}`.")  # fmt: skip
        raise SystemExit(130) from None


def follow(job: int) -> Job:
    """Show how far it is until it has ended; answers how."""
    still_since, counts, warned = clock().monotonic(), (-1, -1), False
    with ledger() as db, _shown() as show:
        while True:
            one = found(db, job)
            show(one)
            if one.completed_at is not None:
                return one
            if (now := (one.total, one.success + one.failed + one.skipped)) != counts:
                still_since, counts = clock().monotonic(), now
            if not warned and clock().monotonic() - still_since > _STILL_S:
                warned = _warn_of_no_worker()
            clock().wait(_LOOK_S)


def _warn_of_no_worker() -> bool:
    """Say it if nobody takes up runs; a run that only waits for PlayAuto moves as little."""
    from ops.cli.tracking_looks import workers

    seen = workers()
    if seen.level == "ok":
        return False
    note(f"It stands still: {seen.found}. To do: {seen.todo}.")
    return True


@contextmanager
def _shown() -> Iterator[Callable[[Job], None]]:
    if sys.stderr.isatty():
        with _bar() as show:
            yield show
        return
    said_at = clock().monotonic()

    def line(one: Job) -> None:
        nonlocal said_at
        if clock().monotonic() - said_at < _LINE_S:
            return
        said_at = clock().monotonic()
        left = f", {one.eta_s:.0f} s left" if one.eta_s is not None else ""
        note(f"{one.percent:.0f} %: {one.success:,} uploaded, {one.failed:,} failed of {one.total:,}{left}")

    yield line


@contextmanager
def _bar() -> Iterator[Callable[[Job], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("preparing", total=None, pace="")

        def show(one: Job) -> None:
            done = one.success + one.failed + one.skipped
            words = [f"{one.rate:,.0f}/s" if one.rate else ""]
            words += [f"{one.failed:,} failed" if one.failed else ""]
            words += [f"{one.eta_s:.0f} s left" if one.eta_s is not None else ""]
            name = "stopping" if one.cancel_requested else "uploading" if one.filled else "preparing"
            shown.update(
                task, description=f"run {one.id} {name}", completed=done,
                total=one.total if one.filled else None, pace="  ".join(filter(None, words)),
            )  # fmt: skip

        yield show
