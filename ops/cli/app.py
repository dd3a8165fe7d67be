"""The tree of commands."""

from __future__ import annotations

from ops.cli import (
    db,
    rooms,
    schedule_changes,  # noqa: F401 - adds its commands to the schedule group
    schedules,
)
from ops.cli.options import group

app = group("Jeongsi sends KakaoTalk messages on the dot and once, from a ledger in Postgres.")
app.add_typer(db.app, name="db")
app.add_typer(rooms.app, name="room")
app.add_typer(schedules.app, name="schedule")
