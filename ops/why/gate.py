"""One gate on the way of a slot."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Verdict = Literal["passed", "stopped", "delayed", "not reached"]

#: A gate that took longer than this delayed the slot.
DELAY_MS = 500.0
#: Gates that only measure: they are the cause only where no other gate is.
MEASURES = frozenset({"lateness"})


@dataclass(frozen=True, slots=True)
class Gate:
    """What happened at one gate. ``evidence`` is a sentence with times in the schedule's zone.

    ``at``: when it was passed or where it stopped, if that is known. ``decisive``: this gate stopped the
    slot, holds it now, or delayed it most.
    """

    name: str
    verdict: Verdict
    evidence: str
    at: dt.datetime | None = None
    delay_ms: float | None = None
    decisive: bool = False

    def as_json(self) -> dict[str, Any]:
        """The gate for `--json`."""
        shown = asdict(self)
        shown["at"] = None if self.at is None else self.at.isoformat()
        shown["delay_ms"] = None if self.delay_ms is None else round(self.delay_ms, 1)
        return shown


def passed(name: str, evidence: str, at: dt.datetime | None = None) -> Gate:
    """A gate that was passed without delay."""
    return Gate(name, "passed", evidence, at)


def stopped(name: str, evidence: str, at: dt.datetime | None = None) -> Gate:
    """The gate at which the slot ended."""
    return Gate(name, "stopped", evidence, at)


def timed(
    name: str, evidence: str, took_ms: float, at: dt.datetime | None = None, *, normal_ms: float = 0.0
) -> Gate:
    """A gate that was passed, late if it took DELAY_MS longer than is normal for it."""
    delay_ms = took_ms - normal_ms
    delayed = delay_ms >= DELAY_MS
    return Gate(name, "delayed" if delayed else "passed", evidence, at, max(delay_ms, 0.0))


def ahead(name: str, evidence: str = "not reached") -> Gate:
    """A gate that the slot has not come to."""
    return Gate(name, "not reached", evidence)


def settle_verdicts(gates: Sequence[Gate], *, has_row: bool) -> list[Gate]:
    """Close what lies behind a stop, and mark the gate that decided.

    ``has_row``: the slot was laid down, so a gate behind the stop may have been passed before it.
    """
    shown, over = list[Gate](), False
    for gate in gates:
        own = has_row and gate.at is not None and gate.verdict != "stopped"
        shown.append(ahead(gate.name) if over and not own else gate)
        over = over or gate.verdict == "stopped"
    number = _decisive(shown)
    if number is not None:
        shown[number] = replace(shown[number], decisive=True)
    return shown


def _decisive(gates: Sequence[Gate]) -> int | None:
    for number, gate in enumerate(gates):
        if gate.verdict == "stopped":
            return number
    held = [
        n for n, gate in enumerate(gates) if gate.verdict == "not reached" and gate.evidence != "not reached"
    ]
    delayed = [n for n, gate in enumerate(gates) if gate.verdict == "delayed"]
    late = [n for n in delayed if gates[n].name not in MEASURES]
    if late:
        return max(late, key=lambda n: gates[n].delay_ms or 0.0)
    return next(iter(held or delayed), None)


def render(gates: Sequence[Gate]) -> list[str]:
    """The gates as plain lines; the decisive one starts with an arrow."""
    width = max((len(gate.name) for gate in gates), default=0)
    return [
        f"{'->' if gate.decisive else '  '} {gate.verdict:<11}  {gate.name:<{width}}  {gate.evidence}"
        for gate in gates
    ]
