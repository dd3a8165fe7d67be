"""An import: every row checked, then all saved in one transaction, or none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy.orm import Session

from beat.recurrence import Rules, Window
from beat.schedule_form import Checked, Planned, Problem, ScheduleForm, check
from beat.schedule_form.columns import columns_of
from beat.schedule_form.timing import Timing, read_timing
from models.store import (
    NewImage,
    create_schedules,
    keep_images,
    ledger_now,
    one_import_at_a_time,
    reading,
    transaction,
)
from ops.exchange.columns import shown_field
from ops.exchange.fields import row_of
from ops.exchange.known import Held, Key, Rooms, Sameness, key_of
from ops.exchange.neighbours import RoomBook
from ops.exchange.pictures import Found, Pictures
from ops.exchange.spool import Spool
from ops.exchange.values import BadFile, Place, Record, Row

BATCH: Final = 500
# New content, what `message_images` says of a stored image, or the digest and name of content that an
# earlier row of the file brings: one picture in ten thousand rows is kept once.
_Image = NewImage | dict[str, Any] | tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How an import is done. `same`: what becomes of a row that is there already."""

    base: ScheduleForm
    same: str = "refuse"  # refuse, skip or allow
    images_dir: Path | None = None
    trust_store: bool = True


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of one row: good unless it has problems or a reason to be skipped."""

    place: Place
    title: str
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: str | None = None
    rules: Rules = ()
    tz: str = ""
    window: Window = field(default_factory=lambda: Window(None, None))
    first: datetime | None = None
    status: str = "active"

    @property
    def good(self) -> bool:
        return not self.problems and self.skipped is None


@dataclass(frozen=True, slots=True)
class _Kept:
    """A good row on its way to the table."""

    columns: dict[str, Any]
    images: list[_Image]
    key: Key
    since: datetime
    until: datetime
    place: Place


class Import:
    """One import. `judge` the rows, then `save` what was good. `close` it in the end."""

    def __init__(self, options: Options) -> None:
        self._options, self._spool = options, Spool()
        self._rooms, self._same = Rooms(), Sameness()
        self._pictures = Pictures(options.images_dir, trust_store=options.trust_store)
        self._brought: dict[tuple[str, str], dict[str, Any]] = {}
        self.unknown_rooms: dict[str, tuple[str, ...]] = {}
        with reading() as session:
            self.now = ledger_now(session)
            self._same.load(session)

    def judge(self, records: Iterable[Record]) -> Iterator[Judged]:
        """Check each row; the good ones are kept for `save`. Nothing is written to the ledger."""
        for record in records:
            yield self._judge(row_of(record, self._options.base))

    def save(self, who: str, progress: Callable[[int], None] = lambda _: None) -> list[int]:
        """Save every good row in one transaction; answers the new ids in the rows' order.

        Raises BadFile if somebody saved one of the rows meanwhile; nothing is saved then.
        """
        ids: list[int] = []
        with transaction(who) as session:
            one_import_at_a_time(session)
            later = Sameness()
            later.seen_to = self._same.seen_to
            later.load(session)
            for batch in self._spool.batches(BATCH):
                for kept in batch:
                    met = later.same(kept.key, kept.since, kept.until)
                    if met is not None and self._options.same != "allow":
                        raise BadFile(
                            f"{kept.place}: {met.what} was saved meanwhile and says the same.",
                            "Nothing was saved. Run the import again.",
                        )
                rows = [self._columns(session, kept) for kept in batch]
                ids += create_schedules(session, rows)
                progress(len(batch))
        return ids

    def close(self) -> None:
        """Let the kept rows go."""
        self._spool.close()

    def _judge(self, row: Row) -> Judged:
        if row.skip is not None:
            return Judged(row.place, row.form.title, notes=tuple(row.notes), skipped=row.skip)
        found, lacking = self._images(row)
        form = replace(row.form, images=[one.facts for one in found])
        problems = [*row.problems, *lacking]
        if "row" in [one.field for one in problems]:  # there are no values to judge
            return Judged(row.place, "", tuple(problems))
        book = self._rooms.book(form.room)
        timing, _ = read_timing(form, self.now)
        same = self._same_as(form, book, timing, found) if not problems else None
        if same is not None:  # before the limits: a schedule is not in its own way
            return self._already(row, form, same)
        checked = self._check(form, book, timing)
        if isinstance(checked, list):
            # What could not be read is said already: "there is no text" beside it would mislead.
            unread = {shown_field(one.field) for one in problems}
            problems += [one for one in checked if shown_field(one.field) not in unread]
        if problems or isinstance(checked, list):
            self._note_room(form.room)
            return Judged(row.place, form.title, tuple(problems), notes=tuple(row.notes))
        return self._take(row, form, checked, found)

    def _images(self, row: Row) -> tuple[list[Found], list[Problem]]:
        both = [self._pictures.find(picture) for picture in row.pictures]
        return (
            [one for one in both if isinstance(one, Found)],
            [one for one in both if isinstance(one, Problem)],
        )

    def _check(
        self, form: ScheduleForm, book: RoomBook | None, timing: Timing | None
    ) -> Checked | list[Problem]:
        """The one door, beside those neighbours that may matter."""
        if book is None:
            return check(form, now=self.now, room=None, known_rooms=self._rooms.similar(form.room))
        beside = []
        if timing is not None:
            beside = book.near(Planned(form.title, timing.rules, form.tz, timing.window))
        return check(form, now=self.now, room=replace(book.facts, others=beside))

    def _same_as(
        self, form: ScheduleForm, book: RoomBook | None, timing: Timing | None, found: list[Found]
    ) -> Held | None:
        """What is there already and says the same."""
        if book is None or timing is None or self._options.same == "allow":
            return None
        columns = columns_of(form, timing, book.facts)
        key = key_of(columns, [one.digest for one in found])
        return self._same.same(key, columns["valid_from"], columns["valid_until"])

    def _take(self, row: Row, form: ScheduleForm, checked: Checked, found: list[Found]) -> Judged:
        columns = checked.columns
        since, until = columns["valid_from"], columns["valid_until"]
        key = key_of(columns, [one.digest for one in found])
        self._same.add(key, Held(f"{row.place} of this file", since, until))
        book = self._rooms.book(form.room)
        if book is not None and row.status == "active":
            book.add(Planned(form.title, checked.rules, form.tz, Window(since, until)))
        level, organisation, member = row.creator
        whole = columns | {
            "status": row.status, "created_by_type": level, "created_by_id": organisation,
            "created_by_mb_id": member, "origin": "person",
        }  # fmt: skip
        self._spool.put(_Kept(whole, [self._once(one) for one in found], key, since, until, row.place))
        return Judged(
            row.place, form.title, warnings=checked.warnings, notes=tuple(row.notes), rules=checked.rules,
            tz=form.tz, window=Window(since, until), first=checked.first, status=row.status,
        )  # fmt: skip

    def _once(self, found: Found) -> _Image:
        if found.new is None:
            return found.stored or {}
        name = (found.digest, found.new.original_name)
        if name in self._brought:
            return name
        self._brought[name] = {}
        return found.new

    def _already(self, row: Row, form: ScheduleForm, met: Held) -> Judged:
        reason = f"already there as {met.what}"
        if self._options.same == "skip":
            return Judged(row.place, form.title, notes=tuple(row.notes), skipped=reason)
        hint = "take the row out, or say --skip-existing; --allow-duplicates sends the message twice"
        return Judged(row.place, form.title, (Problem("row", reason, hint),), notes=tuple(row.notes))

    def _note_room(self, room: str) -> None:
        if room and self._rooms.book(room) is None:
            self.unknown_rooms.setdefault(room, self._rooms.similar(room))

    def _columns(self, session: Session, kept: _Kept) -> dict[str, Any]:
        listed = []
        for one in kept.images:
            if isinstance(one, NewImage):
                digest = hashlib.sha256(one.data).hexdigest()
                listed.append(keep_images(session, [one])[0])
                self._brought[digest, one.original_name] = listed[-1]
            else:
                listed.append(self._brought[one] if isinstance(one, tuple) else one)
        return kept.columns | {"message_images": listed or None}
