"""The tree of commands."""

from __future__ import annotations

from ops.cli import db, rooms
from ops.cli.options import group

app = group("Jeongsi sends KakaoTalk messages on the dot and once, from a ledger in Postgres.")
app.add_typer(db.app, name="db")
app.add_typer(rooms.app, name="room")
