"""Redis keys and events are named because something uses them."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from runtime import redis_keys
from runtime.events import Event

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("runtime", "models", "gateways", "beat", "tasks", "workers", "ops")
SOURCE = "\n".join(
    path.read_text(encoding="utf-8")
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
    if path.name not in ("redis_keys.py", "events.py")
)
KEYS = [name for name, made in vars(redis_keys).items() if inspect.isfunction(made)]


@pytest.mark.parametrize("name", KEYS)
def test_every_named_redis_key_is_used(name: str) -> None:
    assert f"redis_keys.{name}(" in SOURCE


@pytest.mark.parametrize("event", list(Event))
def test_every_event_is_told_by_somebody(event: Event) -> None:
    assert f"Event.{event.name}" in SOURCE
