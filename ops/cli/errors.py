"""What a command says when it cannot do what was asked, and with which exit code.

CliError        1: it should have worked and did not
└── BadInput    2: what was typed cannot be right; nothing was written
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Finding(Protocol):
    """A field, what is wrong with it, and what would be right."""

    @property
    def field(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def hint(self) -> str: ...


class CliError(Exception):
    """A sentence for the person, and what to do about it."""

    code = 1

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(f"{sentence}\n{hint}" if hint else sentence)


class BadInput(CliError):
    """What was typed cannot be right; nothing was written."""

    code = 2


def refused(problems: Iterable[Finding]) -> BadInput:
    """Every problem on a line of its own: field, reason, what would be right."""
    lines = [f"  {flag(one.field)}: {one.reason}\n      {one.hint}" for one in problems]
    return BadInput("\n".join([f"Refused, nothing was saved ({_counted(len(lines))}):", *lines]))


def warned(problems: Iterable[Finding]) -> str:
    """The same for what is only worth knowing."""
    return "\n".join(f"Note: {flag(one.field)}: {one.reason}\n      {one.hint}" for one in problems)


def flag(field: str) -> str:
    """The flag that sets a field."""
    return f"--{_FLAGS.get(field, field).replace('_', '-')}"


_FLAGS = {
    "images": "image", "types": "type", "room_type": "room", "schedule_time": "at", "retry_count": "retries",
    "grace_seconds": "grace", "batch_size": "batch", "number_policy": "numbers", "discord_webhook": "discord",
    "slack_webhook": "slack",
}  # fmt: skip


def _counted(number: int) -> str:
    return "1 problem" if number == 1 else f"{number} problems"
