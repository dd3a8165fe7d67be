"""`jeongsi tracking`: upload runs — begin, watch, look into, stop and take up again (C56-C59, C69-C76)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.database import ledger
from ops.cli.errors import BadInput, CliError
from ops.cli.options import As, Json, acting, example
from ops.cli.output import note, print_json, say
from ops.cli.tracking import app

if TYPE_CHECKING:
    from models.ledger.tracking import Started
    from ops.doctor.finding import Finding

AccountOption = Annotated[str, typer.Option("--account", help="Whose orders.")]
OneAccount = Annotated[str | None, typer.Option("--account", help="Only this PlayAuto account; else all.")]
JobArgument = Annotated[int, typer.Argument(metavar="JOB", help="The run's number, from `tracking jobs`.")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Stay until it has ended, and show how far it is.")
]
Key = Annotated[
    str | None, typer.Option("--key", help="Your key for this wish: said twice, it makes one run.")
]
States = ("pending", "leased", "succeeded", "failed", "unresolved", "skipped")


@app.command(epilog=example("jeongsi tracking run", "jeongsi tracking run --account brand --no-wait --json"))
def run(
    account: AccountOption = "default", wait: Wait = True, key: Key = None, who: As = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Upload an account's waiting orders now, and watch it. Ctrl-C ends the watching, not the run.

    Ends with 0 if every order was uploaded and confirmed, 1 if one was not, 2 if it could not begin.
    """
    from models.ledger.tracking import start

    with ledger() as db:
        started = start(db, account, key=key, who=acting(who))
    _begun(started, account, wait=wait, as_json=as_json)


@app.command(
    "dry-run", epilog=example("jeongsi tracking dry-run", "jeongsi tracking dry-run --account brand")
)
def dry_run(account: AccountOption = "default", who: As = None, as_json: Json = False) -> None:
    """Say what a run would upload and what is wrong with which order. It uploads and changes nothing.

    PlayAuto is asked for what it has of each order, so a number that is there already shows up here.
    """
    from models.ledger.tracking import start

    with ledger() as db:
        started = start(db, account, who=acting(who), dry_run=True)
    _begun(started, account, wait=True, as_json=as_json)


@app.command(
    epilog=example("jeongsi tracking redrive 41", "jeongsi tracking redrive 41 --error e2005 --no-wait")
)
def redrive(
    job: JobArgument,
    error: Annotated[
        str | None, typer.Option("--error", help="Only orders that ended by this error; see `tracking job`.")
    ] = None,
    wait: Wait = True, key: Key = None, who: As = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Take up again what a run left: failed, unresolved and skipped orders, as a new run.

    Orders that wait no more (uploaded since, cancelled, without a number) stay out.
    """
    from models.ledger.tracking import redrive as again

    with ledger() as db:
        started = again(db, job, error, key=key, who=acting(who))
    if started.verdict == "nothing":
        said = f"Run {job} left no order" + (f" with error {error}." if error else " to take up again.")
        raise CliError(said, f"Look: `jeongsi tracking job {job}`.")
    if started.verdict == "gone":
        raise BadInput(f"There is no run {job}.", "See `jeongsi tracking jobs`.")
    _begun(started, f"of run {job}", wait=wait, as_json=as_json)


@app.command(epilog=example("jeongsi tracking cancel 41"))
def cancel(job: JobArgument, wait: Wait = True, who: As = None) -> None:
    """Stop a run within seconds. What a request holds just now ends first; what has not begun is skipped.

    Its orders wait on: the next run, or `redrive`, takes them up.
    """
    from models.ledger.tracking import cancel as stop
    from ops.cli.tracking_follow import follow

    with ledger() as db:
        verdict = stop(db, job, who=acting(who))
    if verdict == "gone":
        raise BadInput(f"There is no run {job}.", "See `jeongsi tracking jobs`.")
    if verdict == "over":
        raise CliError(f"Run {job} has ended already.", f"Look: `jeongsi tracking job {job}`.")
    if not wait:
        say(f"Run {job} will stop.")
        return
    ended = follow(job)
    say(f"Run {job}: {ended.error_message or ended.status}.")


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


@app.command(
    epilog=example(
        "jeongsi tracking decide 9001 9002 --keep-theirs", "jeongsi tracking decide 9003 --use-ours"
    )
)
def decide(
    lines: Annotated[list[int], typer.Argument(metavar="LINE…", help="Numbers from `tracking conflicts`.")],
    theirs: Annotated[bool, typer.Option("--keep-theirs", help="PlayAuto's number is right.")] = False,
    ours: Annotated[bool, typer.Option("--use-ours", help="Ours is right: overwrite PlayAuto's.")] = False,
    who: As = None,
) -> None:
    """Decide conflicts. Nothing else overwrites a number that PlayAuto has."""
    from models.ledger.tracking import keep_theirs, use_ours

    if theirs + ours != 1:
        raise BadInput("Say exactly one of --keep-theirs, --use-ours.", "See `jeongsi tracking conflicts`.")
    name = acting(who)
    with ledger() as db:
        if ours:
            started = use_ours(db, lines, who=name)
        else:
            with db.transaction():  # all or none
                refused = [line for line in lines if keep_theirs(db, line, who=name) != "kept"]
                if refused:
                    raise BadInput(
                        f"No conflict that waits: {', '.join(map(str, refused))}. Nothing was decided.",
                        "See `jeongsi tracking conflicts`.",
                    )
    if not ours:
        say(f"PlayAuto's number is kept for {_orders(len(lines))}; they wait no more.")
        return
    if started.verdict == "gone":
        raise BadInput(
            "These are not conflicts of one run that still wait. Nothing was decided.",
            "See `jeongsi tracking conflicts`; decide those of one run at a time.",
        )
    _begun(started, "of these orders", wait=True, as_json=False)


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
    workers = _workers()
    if as_json:
        print_json(as_plain(answer) | {"login": login, "workers": asdict(workers)})
    else:
        because(account, answer, login, workers)


def _workers() -> Finding:
    """Who takes from the queue of uploads, as the doctor sees it."""
    import redis

    from ops.doctor.broker import uploads
    from ops.doctor.finding import fail
    from runtime.redis_client import lock_redis

    try:
        return next(uploads(lock_redis(), 1))
    except redis.RedisError as error:
        return fail("queue tracking", f"Redis gives no answer: {error}", "`jeongsi doctor`")


def _begun(started: Started, what: str, *, wait: bool, as_json: bool) -> None:
    """Say that a run began, or raise why it did not; then watch it, if it is to be watched."""
    from models.queries.tracking import errors
    from ops.cli.tracking_follow import found, watch
    from ops.cli.tracking_run_report import as_plain, ended

    job = started.job
    if started.verdict not in ("started", "duplicate") or job is None:
        raise _refusal(started, what)
    if started.verdict == "duplicate":
        note(f"The same was asked before: run {job}.")
    if wait:
        watch(job)
    with ledger() as db:
        one = found(db, job)
        wrong = errors(db, job) if wait else []
    if as_json:
        print_json(as_plain(one) | ({"errors": [as_plain(group) for group in wrong]} if wait else {}))
    elif wait:
        ended(one, wrong)
    else:
        say(f"Run {job} has begun. Watch it: `jeongsi tracking job {job} --follow`.")
    if wait and (one.status != "completed" or (one.failed and not one.dry_run)):
        raise typer.Exit(1)


def _refusal(started: Started, what: str) -> CliError:
    job = started.job
    if started.verdict == "active":
        return CliError(
            f"Run {job} of this account is under way; one at a time.",
            f"Watch it: `jeongsi tracking job {job} --follow`; stop it: `jeongsi tracking cancel {job}`.",
        )
    if started.verdict == "no_account":
        return BadInput(
            f"There is no account {what!r}.",
            "See `jeongsi tracking account list`; add one with `jeongsi tracking account add`.",
        )
    if started.verdict == "key_used":
        return BadInput(f"--key: it belongs to another wish, run {job}.", "Give a key of its own.")
    if started.verdict == "held":
        return CliError(
            "Nothing may leave this database until a person releases it.", "See `jeongsi instance`."
        )
    return CliError("There is nothing to take up.", "See `jeongsi tracking jobs`.")


def _orders(count: int) -> str:
    return "1 order" if count == 1 else f"{count:,} orders"
