"""Publish hints as a beat does, from a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery

from runtime.ids import SlotId
from tasks.hints import write_hint
from workers.application import make_app


class Hinting:
    """A Celery producer with the settings of this moment. Close it."""

    def __init__(self) -> None:
        self.app: Celery = make_app()

    def send(self, slots: Sequence[SlotId], queue: str = "send", told: str | None = None) -> str:
        """One hint for these slots; answers the task's id."""
        return self.raw(f"jeongsi.slot.{queue}", [write_hint(list(slots))], queue, told)

    def raw(self, task: str, args: list[Any], queue: str, told: str | None = None) -> str:
        """Any message at all."""
        more: dict[str, Any] = {} if told is None else {"argsrepr": told}
        return str(self.app.send_task(task, args=args, queue=queue, **more).id)

    def close(self) -> None:
        self.app.close()
