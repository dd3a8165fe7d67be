"""The goals beside what was measured, met or not. A goal whose rows are missing from a run is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rows = Sequence[Mapping[str, Any]]

UPLOAD = "Jeongsi, 2 workers: instructed, stored, sent on, read back"
AHEAD, CLAIMING = "Jeongsi, prepared ahead", "Jeongsi, claiming at the instant"


@dataclass(frozen=True)
class Goal:
    """At most (or with ``least`` at least) so much. ``of`` answers what was measured, None if it was not."""

    benchmark: str
    told: str
    limit: float
    unit: str
    of: Callable[[Rows], float | None]
    least: bool = False

    def met(self, measured: float) -> bool:
        """Whether the goal is reached; NaN reaches none."""
        return measured >= self.limit if self.least else measured <= self.limit


def _cell(name: str, key: str, **where: Any) -> Callable[[Rows], float | None]:
    """The value of the row of that name and columns."""

    def of(rows: Rows) -> float | None:
        for row in rows:
            if row["name"] == name and all(row.get(column) == value for column, value in where.items()):
                return float(row[key])
        return None

    return of


def _times_sooner(peer: str, ours: str) -> Callable[[Rows], float | None]:
    """How many times sooner ours is done than a peer, at the largest size that both were measured at."""

    def of(rows: Rows) -> float | None:
        for count in sorted({row["count"] for row in rows}, reverse=True):
            theirs = _cell(peer, "last_s", count=count)(rows)
            mine = _cell(ours, "last_s", count=count)(rows)
            if theirs is not None and mine is not None:
                return theirs / mine
        return None

    return of


def _most(key: str) -> Callable[[Rows], float | None]:
    """The largest of ours, whatever is stored."""

    def of(rows: Rows) -> float | None:
        return max((float(row[key]) for row in rows if row["name"] == "Jeongsi"), default=None)

    return of


def _grown(rows: Rows) -> float | None:
    """How much larger ours is with the most schedules stored than with the fewest."""
    ours = sorted((row for row in rows if row["name"] == "Jeongsi"), key=lambda row: int(row["count"]))
    return float(ours[-1]["rss_mb"] - ours[0]["rss_mb"]) if len(ours) > 1 else None


def _after_import(rows: Rows) -> float | None:
    ours = [float(row["start_s"] - row["import_s"]) for row in rows if row.get("import_s") is not None]
    return max(ours, default=None)


def _best(key: str, part: str) -> Callable[[Rows], float | None]:
    """The largest value of the rows whose name holds ``part``."""

    def of(rows: Rows) -> float | None:
        return max((float(row[key]) for row in rows if part in row["name"]), default=None)

    return of


def _times_naive(rows: Rows) -> float | None:
    ours, naive = _best("per_s", "Jeongsi, 2 workers")(rows), _best("per_s", "naive")(rows)
    return ours / naive if ours and naive else None


def _late(key: str) -> Callable[[Rows], float | None]:
    """The least of ours end to end: what the better of the measured ways reaches."""

    def of(rows: Rows) -> float | None:
        return min((float(row["late_s"][key]) for row in rows), default=None)

    return of


def _smallest(key: str) -> Callable[[Rows], float | None]:
    def of(rows: Rows) -> float | None:
        return min((float(row[key]) for row in rows), default=None)

    return of


def _sent_twice(rows: Rows) -> float | None:
    return max((float(row["twice"]) for row in rows if row["name"].startswith("Jeongsi")), default=None)


def _touched_again(rows: Rows) -> float | None:
    return next(
        (float(row["stored_again"] + row["overwritten"]) for row in rows if row["name"] == UPLOAD), None
    )


def _least(benchmark: str, told: str, limit: float, unit: str, of: Callable[[Rows], float | None]) -> Goal:
    return Goal(benchmark, told, limit, unit, of, least=True)


GOALS = (
    Goal("burst", "10,000 due, prepared ahead: last on the broker", 0.040, "s",
         _cell(AHEAD, "last_s", count=10_000)),
    Goal("burst", "10,000 due, claiming at the instant", 0.350, "s",
         _cell(CLAIMING, "last_s", count=10_000)),
    Goal("burst", "50,000 due, prepared ahead", 0.150, "s", _cell(AHEAD, "last_s", count=50_000)),
    Goal("burst", "50,000 due, claiming at the instant", 1.8, "s", _cell(CLAIMING, "last_s", count=50_000)),
    *(_least("burst", f"sooner than {peer}, {how}", limit, "×", _times_sooner(peer, ours))
      for peer, how, ours, limit in (
          ("celery-redbeat", "prepared ahead", AHEAD, 100), ("celery-redbeat", "claiming", CLAIMING, 20),
          ("celery beat", "prepared ahead", AHEAD, 300), ("celery beat", "claiming", CLAIMING, 300),
          ("django-celery-beat", "prepared ahead", AHEAD, 300),
          ("django-celery-beat", "claiming", CLAIMING, 300),
      )),
    Goal("idle", "first tick after the imports, whatever is stored", 0.5, "s", _after_import),
    Goal("idle", "memory of a beat, whatever is stored", 110, "MB", _most("rss_mb")),
    Goal("idle", "of it because of what is stored", 2, "MB", _grown),
    Goal("idle", "CPU of a beat while nothing is due", 0.2, "s/min", _most("cpu_s_per_minute")),
    Goal("lateness", "half are on the broker within", 2, "ms", _cell("Jeongsi", "p50")),
    Goal("lateness", "99 of 100 within", 5, "ms", _cell("Jeongsi", "p99")),
    Goal("lateness", "all within", 30, "ms", _cell("Jeongsi", "max")),
    _least("lateness", "never early: the first comes after", 0, "ms", _cell("Jeongsi", "min")),
    _least("sends", "guarded sends from two worker processes", 2_500, "/s",
           _best("per_s", "Jeongsi, 2 workers")),
    _least("sends", "from one process through a provider of 50 ms", 600, "/s", _best("per_s", "50 ms")),
    _least("sends", "as often as the naive task", 2, "×", _times_naive),
    Goal("endtoend", "2,000 rooms: half have it within", 0.5, "s", _late("p50")),
    Goal("endtoend", "99 of 100 within", 1.5, "s", _late("p99")),
    Goal("endtoend", "all within", 3, "s", _late("max")),
    _least("iris", "of the limit of each number of devices, at least", 0.9, "×", _smallest("share")),
    Goal("tracking", "100,000 orders uploaded and confirmed by two workers", 300, "s",
         _cell(UPLOAD, "took_s", orders=100_000)),
    Goal("tracking", "memory of an uploading worker", 200, "MB", _cell(UPLOAD, "rss_mb")),
    Goal("tracking", "numbers stored again or overwritten", 0, "", _touched_again),
    Goal("stock", "posted twice by Jeongsi", 0, "", _sent_twice),
)  # fmt: skip


def measured(results: Mapping[str, Any]) -> list[tuple[Goal, float]]:
    """Each goal that this run can say something about, with its figure."""
    found = []
    for goal in GOALS:
        rows = results.get(goal.benchmark, {}).get("rows") or ()
        value = goal.of(rows) if rows else None
        if value is not None:
            found.append((goal, value))
    return found
