"""The result of a run: a table for people, one JSON object for programs, markdown for the docs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ops.audit.report import Report, Violation
from ops.chaos import check, figures
from ops.chaos.coverage import POINTS
from ops.chaos.crew import Life
from ops.chaos.facts import Facts
from ops.chaos.storm import Struck


@dataclass
class Outcome:
    """Everything that one run has to say."""

    size: str
    seed: int
    facts: Facts
    audit: Report
    violations: list[Violation]
    calm_ms: list[float]
    unresolved: figures.Unresolved
    recovery: figures.Recovery
    promised: int
    struck: Sequence[Struck]
    hits: dict[tuple[str, str], int]
    lives: Sequence[Life]
    drain_s: float
    provider_faults: int
    swallowed: int
    kills: int = 0
    lost: int = 0
    """Promised instants without a row, and rows without an end."""
    lied: int = 0
    doubled_memos: int = 0
    wall_s: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the checker is clean."""
        return not self.violations

    @property
    def duplicates(self) -> dict[str, dict[str, int]]:
        """Receipts beyond the first of a key, by channel."""
        return check.duplicates(self.facts, self.doubled_memos)

    def as_json(self) -> dict[str, Any]:
        """One object; seconds and milliseconds are named so."""
        facts, audit = self.facts, self.audit
        return {
            "ok": self.ok,
            "size": self.size,
            "seed": self.seed,
            "promised": self.promised,
            "slots": {state.value: n for state, n in audit.slots.items() if n},
            "sends": len(facts.attempts),
            "receipts": len(facts.receipts),
            "duplicates": self.duplicates,
            "lost": self.lost,
            "unresolved": {
                "count": sum(self.unresolved.by_kind.values()), "by_channel": self.unresolved.by_kind,
                "by_cause": self.unresolved.by_cause, "bound": self.unresolved.bound,
            },
            "ends": _ends(facts),
            "kills": self.kills,
            "stops": sum(len(life.stops) for life in self.lives),
            "faults": dict(Counter(one.fault for one in self.struck)),
            "failpoints": {
                point: {"kill": self.hits.get((point, "kill"), 0), "stop": self.hits.get((point, "stop"), 0)}
                for points in POINTS.values() for point in points
            },
            "provider_faults": self.provider_faults,
            "replies_swallowed": self.swallowed,
            "lied_to": self.lied,
            "recovery_s": {
                "killed_slot_given_back": figures.spread(self.recovery.given_back),
                "killed_slot_taken_up": figures.spread(self.recovery.taken_up),
                "redis_emptied_to_progress": figures.spread(self.recovery.redis),
            },
            "calm_lateness_ms": figures.spread(self.calm_ms),
            "lateness_ms": audit.lateness.as_json(),
            "waited_ms": audit.waited.as_json(),
            "drain_s": self.drain_s,
            "wall_s": self.wall_s,
            "invariants": {
                name: {"checked": check.CHECKED[name], "violations": n}
                for name, n in check.by_invariant(self.violations).items()
            },
            "timeline": [
                {"at": one.began.isoformat(), "fault": one.fault, "detail": one.detail} for one in self.struck
            ],
            "violations": [{"invariant": v.invariant, "detail": v.detail} for v in self.violations[:60]],
        }  # fmt: skip

    def table(self) -> str:
        """For people."""
        return "\n".join(f"{name:<30} {value}" for name, value in self.rows())

    def markdown(self) -> str:
        """The same table, for docs/reliability.md, with the invariants and the failpoints below it."""
        lines = ["| figure | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in self.rows())]
        lines += ["", "| invariant | how it was judged | violations |", "|---|---|---|"]
        lines += [
            f"| {name} | {check.CHECKED[name]} | {n} |"
            for name, n in check.by_invariant(self.violations).items()
        ]
        lines += ["", "| failpoint | died there | stopped there |", "|---|---|---|"]
        shown: dict[str, dict[str, int]] = self.as_json()["failpoints"]
        lines += [f"| `{point}` | {hit['kill']} | {hit['stop']} |" for point, hit in shown.items()]
        return "\n".join(lines)

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of every figure."""
        told = self.as_json()
        recovery = told["recovery_s"]
        return [
            ("size, seed", f"{self.size}, {self.seed}"),
            ("wall time, drain", f"{self.wall_s:g} s, {self.drain_s:g} s"),
            ("promised by the book", str(self.promised)),
            ("slots", _words(told["slots"])),
            ("sends (points of no return)", str(told["sends"])),
            ("receipts", str(told["receipts"])),
            ("duplicates, unflagged", _words({k: v["unflagged"] for k, v in told["duplicates"].items()})),
            ("duplicates, flagged", _words({k: v["flagged"] for k, v in told["duplicates"].items()})),
            ("lost", str(told["lost"])),
            ("unresolved", f"{told['unresolved']['count']}, at most {told['unresolved']['bound']}"),
            ("– by channel", _words(told["unresolved"]["by_channel"])),
            ("– by cause", _words(told["unresolved"]["by_cause"])),
            ("other ends", _words(told["ends"])),
            ("processes killed, stopped", f"{told['kills']}, {told['stops']}"),
            ("faults from outside", _words(told["faults"])),
            ("requests that met a fault", str(self.provider_faults)),
            ("replies swallowed", str(self.swallowed)),
            ("said accepted, never delivered", f"{self.lied} parts, none of them confirmed"),
            ("failpoints, least hits", _least(told["failpoints"])),
            ("killed: slot given back", _seconds(recovery["killed_slot_given_back"])),
            ("killed: slot taken up again", _seconds(recovery["killed_slot_taken_up"])),
            ("Redis emptied: progress", _seconds(recovery["redis_emptied_to_progress"])),
            ("lateness before the storm, ms", _words(told["calm_lateness_ms"])),
            ("lateness, ms", _words(told["lateness_ms"])),
            ("waited for room or device, ms", _words(told["waited_ms"])),
            ("invariants broken", _words(_broken(told["invariants"]))),
        ]  # fmt: skip


def verdict(outcome: Outcome) -> str:
    """The last sentence, and what was broken."""
    if outcome.ok:
        return "The checker is clean: nothing twice, nothing lost, nothing untrue."
    told = "\n".join(f"  {v.invariant}: {v.detail}" for v in outcome.violations[:40])
    return f"The checker found {len(outcome.violations)} violations:\n{told}"


def _broken(invariants: dict[str, Any]) -> dict[str, int]:
    return {name: judged["violations"] for name, judged in invariants.items() if judged["violations"]}


def _ends(facts: Facts) -> dict[str, int]:
    """Why slots ended otherwise than delivered."""
    ends = Counter(
        f"{slot.state} {(slot.reason or '-').split(':', 1)[0]}"
        for slot in facts.slots.values()
        if slot.state not in ("delivered", "unresolved")
    )
    return dict(ends.most_common())


def _words(counts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in counts.items()) or "none"


def _seconds(spread: dict[str, Any]) -> str:
    return f"p50 {spread['p50']} s, p95 {spread['p95']} s, max {spread['max']} s (n {spread['n']})"


def _least(points: dict[str, dict[str, int]]) -> str:
    hits = {point: sum(actions.values()) for point, actions in points.items()}
    least = min(hits.values())
    return f"{least} ({', '.join(point for point, n in hits.items() if n == least)[:80]})"
