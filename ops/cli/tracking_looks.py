"""`jeongsi tracking`: look into upload runs, conflicts, and why none was (C57-C59, C69-C72, C91)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.database import ledger
from ops.cli.errors import BadInput
from ops.cli.options import Json, example
from ops.cli.output import print_json
from ops.cli.tracking import app
from ops.cli.tracking_runs import AccountOption, JobArgument

if TYPE_CHECKING:
    from ops.doctor.finding import Finding

OneAccount = Annotated[str | None, typer.Option("--account", help="Only this PlayAuto account; else all.")]
States = ("pending", "leased", "succeeded", "failed", "unresolved", "skipped")


@app.command(
    epilog=example("jeongsi tracking jobs", "jeongsi tracking jobs --account brand --limit 50 --json")
)
def jobs(
    account: OneAccount = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.", min=1, max=10_000)] = 10,
    as_json: Json = False,
) -> None:
    """List runs, newest first, with their counts."""
    from models.queries.tracking import recent_jobs
    from ops.cli.tracking_run_report import as_plain, listed

    with ledger() as db:
        found = recent_jobs(db, account, limit=limit)
    if as_json:
        print_json([as_plain(one) for one in found])
    else:
        listed(found)


@app.command(
    epilog=example(
        "jeongsi tracking job 41",
        "jeongsi tracking job 41 --follow",
        "jeongsi tracking job 41 --orders --state failed --limit 1000 --json",
    )
)
def job(
    job: JobArgument,
    follow_: Annotated[bool, typer.Option("--follow", help="Watch it until it has ended.")] = False,
    orders: Annotated[bool, typer.Option("--orders", help="List its orders, too.")] = False,
    state: Annotated[
        str | None, typer.Option("--state", help=f"With --orders: only these; {', '.join(States)}.")
    ] = None,
    error: Annotated[str | None, typer.Option("--error", help="With --orders: only this error.")] = None,
    after: Annotated[int, typer.Option("--after", help="With --orders: from behind this line's number.")] = 0,
    limit: Annotated[int, typer.Option("--limit", help="With --orders: at most so many.", min=1)] = 50,
    as_json: Json = False,
) -> None:
    """Show one run: how far it is or how it ended, its errors by group, and its orders if asked for."""
    from models.queries.tracking import details, errors
    from ops.cli.tracking_follow import found, watch
    from ops.cli.tracking_run_report import as_plain, shown

    if state is not None and state not in States:
        raise BadInput(f"--state: there is no state {state!r}.", f"One of {', '.join(States)}.")
    if follow_:
        watch(job)
    with ledger() as db:
        one = found(db, job)
        wrong = errors(db, job)
        wanted = orders or state is not None or error is not None
        lines = details(db, job, state=state, error_code=error, after=after, limit=limit) if wanted else []
    if as_json:
        print_json(
            as_plain(one) | {"errors": [as_plain(group) for group in wrong]}
            | ({"orders": [as_plain(line) for line in lines]} if wanted else {})
        )  # fmt: skip
    else:
        shown(one, wrong, lines, wanted=wanted, limit=limit)


@app.command(
    epilog=example("jeongsi tracking conflicts", "jeongsi tracking conflicts --account brand --json")
)
def conflicts(
    account: OneAccount = None,
    job: Annotated[int | None, typer.Option("--job", help="Only of this run.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.", min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """List orders for which PlayAuto has another number than ours. Nothing of them is overwritten."""
    from models.queries.tracking import conflicts as find
    from ops.cli.tracking_run_report import as_plain, differing

    with ledger() as db:
        waiting = find(db, account, job_id=job, limit=limit)
    if as_json:
        print_json([as_plain(one) for one in waiting])
    else:
        differing(waiting)


@app.command(epilog=example("jeongsi tracking why", "jeongsi tracking why --account brand --json"))
def why(account: AccountOption = "default", as_json: Json = False) -> None:
    """Say why an account uploads, or does not: is it on, what waits, who holds it, its login, its last error.

    What stands in the way comes last, with what to do about it (C91).
    """
    from models.queries.tracking import why as ask
    from ops.cli.tracking_run_report import as_plain, because
    from ops.orders.account import login_state

    with ledger() as db:
        answer = ask(db, account)
        login = login_state(db, account) if answer.account else "none"
    workers_ = workers()
    if as_json:
        print_json(as_plain(answer) | {"login": login, "workers": asdict(workers_)})
    else:
        because(account, answer, login, workers_)


def workers() -> Finding:
    """Who takes from the queue of uploads, as the doctor sees it."""
    import redis

    from ops.doctor.broker import uploads
    from ops.doctor.finding import fail
    from runtime.redis_client import lock_redis

    try:
        return next(uploads(lock_redis(), 1))
    except redis.RedisError as error:
        return fail("queue tracking", f"Redis gives no answer: {error}", "`jeongsi doctor`")
