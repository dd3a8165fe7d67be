"""The slot's state machine, as data.

The DDL checks, the edge table that the guard trigger reads, the diagram in ``docs/states.md``
and the test of every forbidden move are all made from what stands here, so that none of them
can tell another story (exactly-once.md section 4).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class SlotState(StrEnum):
    """Where a slot stands. The first four are live, the others are terminal."""

    PLANNED = "planned"
    WAITING = "waiting"
    QUEUED = "queued"
    LEASED = "leased"
    DELIVERED = "delivered"
    PARTIAL = "partial"
    FAILED = "failed"
    EXPIRED = "expired"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    UNRESOLVED = "unresolved"


class Phase(StrEnum):
    """What a live slot is for: sending its parts, or finding out what became of them."""

    SEND = "send"
    CONFIRM = "confirm"


class PartState(StrEnum):
    """Where one part of a message stands."""

    PENDING = "pending"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    UNKNOWN = "unknown"
    FAILED = "failed"


class AttemptOutcome(StrEnum):
    """What is known of one attempt. ``unknown`` may still be replaced by later evidence."""

    ACCEPTED = "accepted"
    NOT_SENT = "not_sent"
    REJECTED_RETRY = "rejected_retry"
    REJECTED_FINAL = "rejected_final"
    UNKNOWN = "unknown"


LIVE: Final = (SlotState.PLANNED, SlotState.WAITING, SlotState.QUEUED, SlotState.LEASED)
TERMINAL: Final = tuple(state for state in SlotState if state not in LIVE)

#: Every move that a slot may make, with who makes it and why. Anything else is refused by the database.
EDGES: Final[dict[tuple[SlotState, SlotState], str]] = {
    (SlotState.PLANNED, SlotState.QUEUED): "beat: due, or prepared ahead",
    (SlotState.PLANNED, SlotState.EXPIRED): "beat: start_by passed",
    (SlotState.PLANNED, SlotState.SKIPPED): "beat: a newer slot of the schedule is due (misfire=latest)",
    (SlotState.PLANNED, SlotState.CANCELLED): "person: pause, delete, other room, cancel",
    (SlotState.PLANNED, SlotState.UNRESOLVED): "person: released a restored database; it may have been sent",
    (SlotState.QUEUED, SlotState.LEASED): "worker: takes the slot, revocably",
    (SlotState.QUEUED, SlotState.EXPIRED): "beat: start_by or finish_by passed",
    (SlotState.QUEUED, SlotState.PARTIAL): "beat: finish_by passed, some parts accepted",
    (SlotState.QUEUED, SlotState.UNRESOLVED): "beat: finish_by passed, a part may have arrived",
    (SlotState.QUEUED, SlotState.CANCELLED): "person: pause, delete, other room, cancel",
    (SlotState.WAITING, SlotState.QUEUED): "beat: not_before reached",
    (SlotState.WAITING, SlotState.EXPIRED): "beat: finish_by passed",
    (SlotState.WAITING, SlotState.PARTIAL): "beat: finish_by passed, some parts accepted",
    (SlotState.WAITING, SlotState.UNRESOLVED): "beat: finish_by passed, a part may have arrived",
    (SlotState.WAITING, SlotState.CANCELLED): "person: pause, delete, other room, cancel",
    (
        SlotState.LEASED,
        SlotState.QUEUED,
    ): "beat: lease expired before the point of no return; worker: gives back",
    (
        SlotState.LEASED,
        SlotState.WAITING,
    ): "worker: room busy, gap, retry, confirm later; beat: lease expired after it",
    (SlotState.LEASED, SlotState.DELIVERED): "worker: every part accepted, and confirmed where it can be",
    (SlotState.LEASED, SlotState.PARTIAL): "worker: some parts accepted, the others finally not",
    (SlotState.LEASED, SlotState.FAILED): "worker: finally refused, or tries used up; beat: poison",
    (SlotState.LEASED, SlotState.EXPIRED): "worker: finish_by passed",
    (
        SlotState.LEASED,
        SlotState.SKIPPED,
    ): "worker: the room's day quota is full, or an upload finds no order that waits",
    (SlotState.LEASED, SlotState.CANCELLED): "worker: cancel requested; person: pause, delete, other room",
    (SlotState.LEASED, SlotState.UNRESOLVED): "worker: a part may have arrived and cannot be looked up",
    (SlotState.UNRESOLVED, SlotState.DELIVERED): "late evidence, or a person: it arrived",
    (SlotState.UNRESOLVED, SlotState.FAILED): "a person: it did not arrive",
}

#: States in which a slot row may be born; the planner lays promises of an outage down as expired.
BIRTH: Final = (SlotState.PLANNED, SlotState.EXPIRED)


def allowed(old: SlotState, new: SlotState) -> bool:
    """Tell whether a slot may move from ``old`` to ``new``. Staying is always allowed."""
    return old == new or (old, new) in EDGES


def check_in(column: str, values: type[StrEnum]) -> str:
    """Return the SQL condition that keeps ``column`` within the enum's values."""
    listed = ", ".join(f"'{value.value}'" for value in values)
    return f"{column} IN ({listed})"


def mermaid() -> str:
    """Draw the machine as a mermaid state diagram (used by docs/states.md and its test)."""
    lines = ["stateDiagram-v2", "    [*] --> planned: beat: laid down before its time"]
    lines.append("    [*] --> expired: beat: promised while no beat was alive")
    lines += [f"    {old} --> {new}: {why.replace(':', ' -')}" for (old, new), why in EDGES.items()]
    lines += [f"    {state} --> [*]" for state in TERMINAL]
    return "\n".join(lines)


def page() -> str:
    """The page docs/states.md; `python -m models.states > docs/states.md` writes it anew."""
    moves = [f"| {old} | {new} | {why} |" for (old, new), why in EDGES.items()]
    return "\n".join(
        [
            "# States of a slot",
            "",
            "Made from `models/states.py` by `python -m models.states > docs/states.md`; a test keeps it so.",
            "The database refuses every move that is not listed here, whoever asks.",
            "",
            f"Live: {', '.join(LIVE)}. Ended, each with a reason: {', '.join(TERMINAL)}.",
            "",
            "```mermaid",
            mermaid(),
            "```",
            "",
            "| from | to | who: why |",
            "|---|---|---|",
            *moves,
            "",
        ]
    )


if __name__ == "__main__":
    print(page(), end="")
