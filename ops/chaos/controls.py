"""Negative controls: the same run with one rule taken out must show duplicates, and the checker must say so.

A checker that has never failed proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from ops.chaos.crew import Role, beat, worker
from ops.chaos.plan import SLOW_S, Size
from ops.chaos.variants import ponr_off

SIZE = Size("control", 7, 22, 16, 60, every_s=1.0, life_s=2.0, hits=0, absent_s=0)


@dataclass(frozen=True)
class Control:
    """What is taken out, and what then is done to it."""

    name: str
    what: str
    crew: Sequence[Role]
    only: frozenset[str]
    points: Sequence[str] = ()
    """Send workers die at these failpoints and at no others."""
    rates: tuple[tuple[str, float], ...] = ()
    """Provider faults from the storm's beginning to its end."""
    slow_s: float = SLOW_S
    prepare: Callable[[psycopg.Connection[Any]], None] | None = None


def _variant(role: Role, module: str) -> Role:
    return replace(role, app=("-m", "celery", "-A", f"ops.chaos.variants.{module}"))


def _old_style_table(db: psycopg.Connection[Any]) -> None:
    # Not by the module's own function: importing it makes an app from settings that are not there yet.
    db.execute("CREATE TABLE IF NOT EXISTS old_style_done (slot text PRIMARY KEY)")


_WRITTEN = ("send.written", "send.replied")
_SENDERS = (worker("send-1", "send", 4), worker("send-2", "send", 4))
_BEATS = (beat("beat-1"), beat("beat-2"))

CONTROLS = {
    control.name: control
    for control in (
        Control(
            "ponr-off", "a death after the write counts as one before it",
            (*_SENDERS, worker("confirm-1", "confirm", 4), *_BEATS),
            frozenset({"failpoints"}), points=_WRITTEN, prepare=ponr_off.install,
        ),
        Control(
            "absent-at-once", "what a look-up does not find is sent again at once",
            (*_SENDERS, _variant(worker("confirm-1", "confirm", 4), "absent_at_once"), *_BEATS),
            frozenset(), rates=(("slow_before", 0.3),), slow_s=3.0,
        ),
        Control(
            "lock-only", "two workers with a Redis lock and no ledger: SET NX, send, mark",
            (*(_variant(role, "lock_only") for role in _SENDERS), *_BEATS),
            frozenset({"failpoints", "stop"}), points=("send.replied",), prepare=_old_style_table,
        ),
    )
}  # fmt: skip
