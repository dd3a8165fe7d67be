"""`jeongsi tracking`: upload runs — begin, watch, stop, take up again, decide what differs (C56, C74-C76)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.database import ledger
from ops.cli.errors import BadInput, CliError
from ops.cli.options import As, Json, acting, example
from ops.cli.output import note, print_json, say
from ops.cli.tracking import app

if TYPE_CHECKING:
    from models.ledger.tracking import Started

AccountOption = Annotated[str, typer.Option("--account", help="Whose orders.")]
JobArgument = Annotated[int, typer.Argument(metavar="JOB", help="The run's number, from `tracking jobs`.")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Stay until it has ended, and show how far it is.")
]
Key = Annotated[
    str | None, typer.Option("--key", help="Your key for this wish: said twice, it makes one run.")
]


@app.command(epilog=example("jeongsi tracking run", "jeongsi tracking run --account brand --no-wait --json"))
def run(
    account: AccountOption = "default", wait: Wait = True, key: Key = None, who: As = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Upload an account's waiting orders now, and watch it. Ctrl-C ends the watching, not the run.

    Ends with 0 if every order was uploaded and confirmed, 1 if one was not or it cannot begin now.
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
                said = {line: keep_theirs(db, line, who=name) for line in lines}
                refused = [line for line, verdict in said.items() if verdict != "kept"]
                if refused:
                    raise BadInput(
                        f"No conflict that waits: {', '.join(map(str, refused))}. Nothing was decided.",
                        "An order that was given another number since is for the next run."
                        if "changed" in said.values()
                        else "See `jeongsi tracking conflicts`.",
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
