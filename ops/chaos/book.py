"""What must exist, from the load itself: who promised what, from when to when. It asks no planner.

Between the two readings of the database's clock that frame a write, nobody outside can tell which version
is in force; instants in there may have a slot or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from runtime.ids import SlotId, from_ms

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Spec:
    """When a schedule is due: exact instants (Unix ms), or every so many minutes to ``last``."""

    instants: tuple[int, ...] = ()
    every_minutes: int = 0
    last: datetime | None = None
    on: bool = True
    text: str = ""

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Its instants in (after, until]."""
        if not self.on or after >= until:
            return
        for ms in self.instants:
            if after < (at := from_ms(ms)) <= until:
                yield at
        if self.every_minutes:
            at = after.replace(second=0, microsecond=0)
            until = min(until, self.last or until)
            while (at := at + _MINUTE) <= until:
                if at.minute % self.every_minutes == 0:
                    yield at


@dataclass(frozen=True)
class Version:
    """A spec that came into force somewhere in [before, after], by the database's clock."""

    spec: Spec
    before: datetime
    after: datetime


@dataclass
class Entry:
    """One schedule and all that was ever written of it."""

    schedule: int
    room: str
    versions: list[Version] = field(default_factory=list)


class Book:
    """All schedules of one run, all with one grace."""

    def __init__(self, grace_s: float) -> None:
        self.entries: dict[int, Entry] = {}
        self._grace = timedelta(seconds=grace_s)

    def add(self, schedule: int, room: str, spec: Spec, before: datetime, after: datetime) -> None:
        """A schedule was made."""
        self.entries[schedule] = Entry(schedule, room, [Version(spec, before, after)])

    def change(self, schedule: int, spec: Spec, before: datetime, after: datetime) -> None:
        """A schedule was edited."""
        self.entries[schedule].versions.append(Version(spec, before, after))

    def latest(self, schedule: int) -> Spec:
        """What was last written."""
        return self.entries[schedule].versions[-1].spec

    def promised(self, end: datetime) -> set[SlotId]:
        """What must have a slot: instants that lie safely inside one version's reign, up to ``end``."""
        found: set[SlotId] = set()
        for entry in self.entries.values():
            for version, until in _reigns(entry, end, safely=True):
                since = version.after - self._back(entry, version)
                found.update(SlotId(entry.schedule, at) for at in version.spec.between(since, until))
        return found

    def allowed(self, end: datetime) -> set[SlotId]:
        """What may have a slot: instants that some version may have promised."""
        found: set[SlotId] = set()
        for entry in self.entries.values():
            for version, until in _reigns(entry, end, safely=False):
                since = version.before - self._back(entry, version)
                found.update(SlotId(entry.schedule, at) for at in version.spec.between(since, until))
        return found

    def _back(self, entry: Entry, version: Version) -> timedelta:
        """How far before its making a version promises: exact instants of a new schedule, within grace."""
        new = version is entry.versions[0] and bool(version.spec.instants)
        return self._grace if new else timedelta(0)

    def texts(self, schedule: int, at: datetime) -> set[str]:
        """The texts that may be sent of a schedule at a moment."""
        entry = self.entries[schedule]
        reigns = _reigns(entry, datetime.max.replace(tzinfo=at.tzinfo), safely=False)
        return {version.spec.text for version, until in reigns if version.before <= at <= until}


def _reigns(entry: Entry, end: datetime, *, safely: bool) -> Iterator[tuple[Version, datetime]]:
    """Each version and the last moment at which it is surely (or at all) in force."""
    for version, successor in zip(entry.versions, [*entry.versions[1:], None], strict=True):
        if successor is None:
            yield version, end
        else:
            yield version, min(end, successor.before if safely else successor.after)
