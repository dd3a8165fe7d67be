"""The tree of commands."""

from __future__ import annotations

import typer

from ops.cli import (
    db,
    exchange,  # noqa: F401 - adds its commands to the schedule group
    instance,
    messages,
    notices,
    rooms,
    schedule_changes,  # noqa: F401 - adds its commands to the schedule group
    schedules,
    simulate,
    slot_decisions,  # noqa: F401 - adds its commands to the slot group
    slots,
    system,
    tokens,
    tracking,
    tracking_accounts,  # noqa: F401 - adds its group to tracking
    tracking_looks,  # noqa: F401 - adds its commands to tracking
    tracking_playauto,  # noqa: F401 - adds its command to tracking
    tracking_runs,  # noqa: F401 - adds its commands to tracking
)
from ops.cli.options import example

app = typer.Typer(
    help="Jeongsi sends KakaoTalk messages on the dot and once, from a ledger in Postgres.",
    epilog=example("jeongsi up", "jeongsi schedule add --help", "jeongsi slot why 812 09:00"),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command(epilog=example("jeongsi up", "jeongsi up --for 90"))(system.up)
app.command(epilog=example("jeongsi doctor", "jeongsi doctor --json"))(system.doctor)
app.add_typer(db.app, name="db")
app.add_typer(instance.app, name="instance")
app.add_typer(rooms.app, name="room")
app.add_typer(schedules.app, name="schedule")
app.add_typer(messages.app, name="message")
app.add_typer(slots.app, name="slot")
app.command(epilog=example("jeongsi audit", "jeongsi audit --json --receipts .jeongsi/receipts.jsonl"))(
    system.audit
)
app.command(
    epilog=example(
        "jeongsi simulate --from 2026-12-01 --to 2027-01-01",
        "jeongsi simulate --from 2026-12-01 --to 2026-12-02 --room gangnam-notice --each",
        "jeongsi simulate --from 2026-12-01 --to 2026-12-02 --down '2026-12-01 08:50..2026-12-01 09:20'",
    )
)(simulate.simulate)
app.command(epilog=example("jeongsi emulator --port 8088 --receipts receipts.jsonl --fault-rate 0.02"))(
    system.emulator
)
app.add_typer(system.bridge, name="bridge")
app.add_typer(tokens.app, name="token")
app.add_typer(notices.app, name="notice")
app.add_typer(tracking.app, name="tracking")
