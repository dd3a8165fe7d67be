"""Which failpoints were hit, and which the next process shall be given."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ops.chaos.crew import Role
from runtime.failpoints import NAMES

POINTS = {
    kind: [name for name in NAMES if name.startswith(f"{kind}.")] for kind in ("send", "confirm", "beat")
}
#: How often one process passes a point in a second, roughly; it dies at a hit that makes it live long enough.
_PASSES = {"send": 7.0, "confirm": 6.0, "beat": 1.8}
_RARER = {
    "beat.reaping": 0.1, "beat.republished": 0.1, "beat.prepared": 0.9, "beat.planned": 0.6,
    "beat.planning": 0.6, "beat.expired": 0.25,
}  # fmt: skip
_STOPS = 3


class Coverage:
    """Hits by point and action, read from the line that each failpoint leaves before it acts.

    With ``points``, send workers die there and nowhere else, and nobody else does.
    """

    def __init__(
        self, path: Path, rng: random.Random, wanted: int, life_s: float, points: Sequence[str] = ()
    ) -> None:
        self.hits: Counter[tuple[str, str]] = Counter()
        self._path, self._rng, self._wanted, self._life_s = path, rng, wanted, life_s
        self._points = points
        self._read = 0

    def look(self) -> list[tuple[str, str, int]]:
        """(point, action, pid) of every hit since the last look."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole, newline, _ = data.rpartition(b"\n")
        self._read += len(whole) + len(newline)
        found = [json.loads(line) for line in whole.splitlines() if line.strip()]
        self.hits.update((one["name"], one["action"]) for one in found)
        return [(one["name"], one["action"], int(one["pid"])) for one in found]

    def of(self, point: str) -> int:
        """How often a process died or stopped there."""
        return self.hits[point, "kill"] + self.hits[point, "stop"]

    def missing(self) -> list[str]:
        """Points that were not hit as often as they should be."""
        return [point for points in POINTS.values() for point in points if self.of(point) < self._wanted]

    def rules(self, role: Role) -> str:
        """JEONGSI_FAILPOINTS for a process that starts: a few stops, then a death, where hits lack most."""
        if self._points:
            death = self._rng.choice(self._points)
            return f"{death}=kill@{self._at(role.kind, death, 0, 2)}" if role.kind == "send" else ""
        points = POINTS[role.kind]
        if role.kind == "confirm":
            points = [*points, "send.locking", "send.locked"]  # every worker passes these
        order = sorted(points, key=lambda point: (self.of(point), self._rng.random()))
        chosen = order[: _STOPS + 1]
        self._rng.shuffle(chosen)
        death, *stops = chosen
        rules = [f"{point}=stop@{self._at(role.kind, point, 0, 1)}" for point in stops]
        return "; ".join([*rules, f"{death}=kill@{self._at(role.kind, death, 0.5, 1.5)}"])

    def _at(self, kind: str, point: str, earliest: float, latest: float) -> int:
        """At which hit, so that it comes between these two parts of a life."""
        hits = self._life_s * _RARER.get(point, _PASSES[kind])
        return max(1, round(self._rng.uniform(earliest * hits, latest * hits)))
