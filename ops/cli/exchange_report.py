"""What an import says: every bad row, every row's next slots in a dry run, and the sums."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from beat.recurrence import next_instants
from beat.schedule_form import Problem
from ops.cli.output import iso, note, print_json, say, short
from ops.exchange.columns import shown_field
from ops.exchange.take import Judged

MOST_NOTES: Final = 50  # a file may bring one for every row; what is refused is told always


@dataclass(slots=True)
class Report:
    """Says each thing as it is found; with `as_json`, all of it as one object in the end."""

    as_json: bool
    dry_run: bool
    count: int
    good: int = 0
    bad: int = 0
    skipped: int = 0
    _notes: int = 0
    _about: dict[str, str] = field(default_factory=dict)
    _rows: list[dict[str, Any]] = field(default_factory=list)

    def began(self, kind: str, encoding: str) -> None:
        """Remember what the file was taken for."""
        self._about = {"format": kind, "encoding": encoding}

    def row(self, judged: Judged, now: datetime) -> None:
        """Count a row, and say what there is to say of it."""
        if judged.problems:
            self.bad += 1
        elif judged.skipped is not None:
            self.skipped += 1
        else:
            self.good += 1
        slots = self._slots(judged, now) if self.dry_run and judged.good else []
        if self.as_json:
            described = _described(judged, slots, dry_run=self.dry_run)
            if described is not None:
                self._rows.append(described)
            return
        if slots or (self.dry_run and judged.good):
            say("\n".join([_headed(judged, ""), *(f"  {one}" for one in slots or ["never while inactive"])]))
        for line in _refused(judged):
            note(line)
        for line in _worth_knowing(judged):
            self._notes += 1
            if self._notes <= MOST_NOTES:
                note(line)

    def _slots(self, judged: Judged, now: datetime) -> list[str]:
        after = now if judged.first is None or judged.first > now else judged.first
        found = next_instants(judged.rules, judged.tz, after, self.count, judged.window)
        if judged.first is not None and judged.first <= now:
            found = [judged.first, *found][: self.count]
        return [str(iso(at, judged.tz)) for at in found]

    def end(
        self, ids: Sequence[int], unknown: Mapping[str, Sequence[str]], others: Mapping[str, int]
    ) -> None:
        """The sums, the rooms that are missing, and what was left aside."""
        sums = {"good": self.good, "bad": self.bad, "skipped": self.skipped, "saved": len(ids)}
        if self.as_json:
            rooms = [{"room": shown_plain(room), "similar": list(near)} for room, near in unknown.items()]
            print_json(
                {**self._about, "dry_run": self.dry_run, **sums, "ids": list(ids), "rows": self._rows,
                 "unknown_rooms": rooms, "other_tables": dict(others)}
            )  # fmt: skip
            return
        if self._notes > MOST_NOTES:
            note(f"And {self._notes - MOST_NOTES} more notes; --json has them all.")
        if others:
            told = ", ".join(f"{name} ({number})" for name, number in sorted(others.items()))
            note(f"Left out, INSERTs of other tables: {shown_plain(told)}.")
        if unknown:
            note(_rooms(unknown))
        say(self._summary(ids))

    def _summary(self, ids: Sequence[int]) -> str:
        told = f"{_rows(self.good)} good, {self.bad} bad, {self.skipped} skipped."
        if self.dry_run:
            return f"{told} Nothing was written: this was a dry run."
        if ids:
            span = f"schedule {ids[0]}" if len(ids) == 1 else f"schedules {ids[0]} to {ids[-1]}"
            return f"{told} Saved {len(ids)}: {span}."
        hint = " --partial takes the good ones." if self.bad and self.good else ""
        return f"{told} Nothing was saved.{hint}"


def _refused(judged: Judged) -> Iterator[str]:
    if judged.problems:
        yield _headed(judged, " is refused")
        for one in judged.problems:
            yield shown_plain(f"  {shown_field(one.field)}: {one.reason}\n      {one.hint}")
    if judged.skipped is not None:
        yield _headed(judged, f" is skipped: {judged.skipped}")


def _worth_knowing(judged: Judged) -> Iterator[str]:
    for one in judged.warnings:
        yield shown_plain(f"Note: {judged.place}: {shown_field(one.field)}: {one.reason}\n      {one.hint}")
    for line in judged.notes:
        yield shown_plain(f"Note: {judged.place}: {line}")


def _headed(judged: Judged, what: str) -> str:
    title = f" {short(judged.title)!r}" if judged.title else ""
    paused = "" if judged.status == "active" else f" ({judged.status})"
    return shown_plain(f"{judged.place}{title}{paused}{what}:")


def _described(judged: Judged, slots: Sequence[str], *, dry_run: bool) -> dict[str, Any] | None:
    """A row for programs; None for a good one of which there is nothing to say."""
    found: dict[str, Any] = {"line": judged.place.line, "title": shown_plain(judged.title)}
    if judged.place.tuple is not None:
        found["tuple"] = judged.place.tuple
    for name, problems in (("problems", judged.problems), ("warnings", judged.warnings)):
        if problems:
            found[name] = [_problem(one) for one in problems]
    if judged.notes:
        found["notes"] = [shown_plain(one) for one in judged.notes]
    if judged.skipped is not None:
        found["skipped"] = judged.skipped
    if dry_run and judged.good:
        found["next"] = list(slots)
    return found if len(found) > 2 + ("tuple" in found) else None


def _problem(one: Problem) -> dict[str, str]:
    return {
        "field": shown_plain(shown_field(one.field)),
        "reason": shown_plain(one.reason),
        "hint": shown_plain(one.hint),
    }


def _rooms(unknown: Mapping[str, Sequence[str]]) -> str:
    lines = [f"Rooms that do not exist ({len(unknown)}); add each, or mend its name in the file:"]
    for room, near in unknown.items():
        similar = f"   # or did you mean {' or '.join(near)}?" if near else ""
        lines.append(f"  jeongsi room add {shlex.quote(room)}{similar}")
    return shown_plain("\n".join(lines))


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"


def shown_plain(text: str) -> str:
    """Text that a terminal can show: half pairs and controls become escapes."""
    shown = text.encode("utf-8", "backslashreplace").decode()
    return "".join(one if one == "\n" or one.isprintable() else repr(one)[1:-1] for one in shown)


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A count that moves while rows are worked on, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda number: shown.advance(task, number)
