"""`jeongsi up`, `doctor`, `audit`, `emulator` and `bridge`: the installation as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.cli.database import ledger
from ops.cli.errors import BadInput
from ops.cli.options import Json, example, group
from ops.cli.output import facts, print_json, say

bridge = group("Room bots that speak our contract (docs/bridge.yaml).")

Port = Annotated[int | None, typer.Option(min=1, max=65_535, show_default=False, help="Else a free one.")]


def up(
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=1, help="End by itself, audit, and tell.")
    ] = None,
    port_postgres: Port = None,
    port_redis: Port = None,
    port_emulator: Port = None,
    port_flower: Port = None,
    send_workers: Annotated[
        int | None, typer.Option("--send-workers", min=1, max=64, help="Else one per core.")
    ] = None,
    fault_rate: Annotated[
        float, typer.Option("--fault-rate", min=0, max=1, help="Share of sends that meet a provider fault.")
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="The same seed meets the same faults.")] = 1,
) -> None:
    """Run the whole system on this machine until Ctrl-C: servers, beats, workers, emulator, Flower.

    An empty local database is given test rooms and schedules, and each start one-off demo sends; all go to
    the emulator. With --for the last line is the audit as JSON, and the exit code is 0 only if it is clean.
    """
    from ops.local.stack import Options
    from ops.local.up import run_up

    options = Options(
        postgres_port=port_postgres, redis_port=port_redis, emulator_port=port_emulator,
        flower_port=port_flower, send_workers=send_workers, fault_rate=fault_rate, seed=seed,
    )  # fmt: skip
    raise typer.Exit(run_up(seconds, options))


def doctor(as_json: Json = False) -> None:
    """Look whether everything is there and well, and say what to do where it is not.

    Servers, versions, clocks, schema, partitions, beats, queues without a worker, disk, room bots; then every
    setting, secrets masked. Exit 1 if anything fails. --json begins with what a health page shows (A53).
    """
    from ops.doctor import Level, examine, health_of, shown_settings
    from runtime.settings import get_settings

    settings = get_settings()
    findings = []
    for one in examine(settings):
        findings.append(one)
        if not as_json:
            say(f"{one.level:<4}  {one.check:<22}  {one.found}" + f"\n{'':30}-> {one.todo}" * bool(one.todo))
    healthy = all(one.level is not Level.FAIL for one in findings)
    if as_json:
        checks = [
            {"check": one.check, "level": one.level, "found": one.found, "todo": one.todo} for one in findings
        ]
        print_json(
            health_of(settings) | {"ok": healthy, "checks": checks, "settings": shown_settings(settings)}
        )
    else:
        say("\nSettings:")
        facts(shown_settings(settings))
    raise typer.Exit(0 if healthy else 1)


def audit(
    as_json: Json = False,
    receipts: Annotated[
        Path | None,
        typer.Option("--receipts", metavar="FILE", help="The emulator's receipt log, to be held against it."),
    ] = None,
) -> None:
    """Prove from the ledger that nothing was lost, doubled or early; exit 1 on any violation."""
    from ops.audit import audit as look
    from ops.audit.receipts import ReceiptsUnreadable

    if receipts is not None and not receipts.is_file():
        raise BadInput(
            f"--receipts: there is no file {receipts}.", "The emulator writes one: --receipts FILE."
        )
    with ledger() as db:
        db.execute("SET statement_timeout = 0")  # a large ledger takes its time, and nobody waits behind it
        try:
            report = look(db, receipts=receipts)
        except ReceiptsUnreadable as wrong:
            raise BadInput(f"--receipts: {wrong}.", "It is the file that the emulator writes.") from None
    told = report.as_json()
    if as_json:
        print_json(told)
    else:
        facts({state: number for state, number in told["slots"].items() if number})
        facts(
            {
                f"late {name}": f"{value} ms"
                for name, value in told["lateness_ms"].items()
                if value is not None
            }
        )
        for violation in told["violations"]:
            say(f"{violation['invariant']}: {violation['detail']}")
        say("The ledger keeps every promise." if report.ok else f"{len(told['violations'])} violations.")
    raise typer.Exit(0 if report.ok else 1)


def emulator(
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option("--host", help="Where it listens.")] = "127.0.0.1",
    receipts: Annotated[
        Path | None, typer.Option("--receipts", metavar="FILE", help="Append a line for every effect.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed meets the same faults.")] = 0,
    fault_rate: Annotated[
        float, typer.Option("--fault-rate", min=0, max=1, help="Share of sends that meet a fault.")
    ] = 0.0,
    rate: Annotated[
        list[str] | None, typer.Option("--rate", metavar="FAULT=SHARE", help="One fault's own share.")
    ] = None,
) -> None:
    """Run the room-bot emulator alone, until Ctrl-C. Its first line of output is its address.

    Three bridges in one: URL/key honours idempotency keys, URL/lookup can be asked, URL/none neither.
    Point JEONGSI_EMULATOR_URL at it.
    """
    from ops.emulator.__main__ import main

    arguments = ["--port", str(port), "--host", host, "--seed", str(seed), "--fault-rate", str(fault_rate)]
    arguments += ["--receipts", str(receipts)] if receipts is not None else []
    for one in rate or ():
        arguments += ["--rate", one]
    raise typer.Exit(main(arguments))


@bridge.command(
    epilog=example(
        "jeongsi bridge check http://192.168.0.20:8080 --room test-room",
        "jeongsi bridge check http://127.0.0.1:8088/key",
    ),
)
def check(
    url: Annotated[str, typer.Argument(metavar="URL", help="The bridge's base address.")],
    room: Annotated[
        str | None,
        typer.Option(
            "--room",
            help="A room that may receive about a dozen test messages; else a made-up one, for bots that"
            " take any.",
        ),
    ] = None,
    deadline: Annotated[float, typer.Option("--deadline", min=1, help="Seconds for each request.")] = 10.0,
    as_json: Json = False,
) -> None:
    """Does a room bot keep the contract? Checks rule by rule; exit 1 if one is broken.

    The token is JEONGSI_BRIDGE_TOKEN, if the bot wants one.
    """
    from gateways.bridge.conformance import check_bridge, line_of, summary_of
    from runtime.settings import get_settings

    token = get_settings().bridge_token
    secret = token.get_secret_value() if token is not None else None
    try:
        checks = check_bridge(
            url, room, secret, deadline_s=deadline,
            tell=lambda one: None if as_json else say(line_of(one)),
        )  # fmt: skip
    except ValueError as wrong:
        raise BadInput(f"{url!r} is no bridge's address: {wrong}.", "Write it as http://host:port.") from None
    if as_json:
        print_json(
            [{"rule": c.rule, "sentence": c.sentence, "result": c.result, "why": c.why} for c in checks]
        )
    else:
        say(summary_of(checks))
    raise typer.Exit(int(any(one.result == "fail" for one in checks)))
