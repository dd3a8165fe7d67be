"""The load: seeded rooms over all provider kinds, and schedules that are made while the run goes on."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from ops.chaos.book import Book, Spec
from ops.chaos.plan import GRACE_S, Size
from runtime.ids import from_ms, to_ms

#: Channel -> share of the rooms, and of the steady load.
CHANNELS = {
    "emulator-key": (0.34, 0.35), "emulator-lookup": (0.34, 0.35), "emulator-none": (0.26, 0.27),
    "emulator-iris": (0.03, 0.015), "iris-2": (0.03, 0.015), "kakao-memo": (0.01, 0.004),
}  # fmt: skip
#: One text to a message, and no instant but one to a text: what arrives there bears no key.
PLAIN = ("emulator-iris", "iris-2", "kakao-memo")
GAP_MS, IRIS_GAP_MS, QUOTA = 300, 500, 500
#: Schedules are made so long before their first instant.
AHEAD_S = (4.0, 12.0)
_SEOUL = dt.timezone(dt.timedelta(hours=9))
_PNG = bytes.fromhex("89504e470d0a1a0a") + bytes(60)
_COLUMNS = (
    "title, target_room_id, target_room_type, message_text, message_images, send_order, schedule_type,"
    " schedule_date, schedule_time, cron_expr, rules, send_interval_seconds, misfire, priority,"
    " grace_seconds, valid_from, valid_until"
)

_INSERT = f"INSERT INTO kb_schedule ({_COLUMNS}) VALUES ({', '.join(['%s'] * 17)}) RETURNING id"  # noqa: S608


@dataclass(frozen=True)
class Wish:
    """One schedule to be made: its room, when it is due, and how it is written."""

    make_at: dt.datetime
    room: str
    spec: Spec
    parts: int
    misfire: str
    priority: int
    window: tuple[dt.datetime, dt.datetime]


class Load:
    """Makes the rooms at once and the schedules when their time comes. Everything is put into the book."""

    def __init__(self, size: Size, rng: random.Random, book: Book) -> None:
        self._size, self._rng, self._book = size, rng, book
        self._wishes: list[Wish] = []
        self._image = 0
        self.rooms: dict[str, list[str]] = {}
        self.last: dt.datetime | None = None

    def lay_rooms(self, db: psycopg.Connection[Any]) -> None:
        """Rooms over all channels; an image for those who send one."""
        with db.transaction():
            for channel, (share, _) in CHANNELS.items():
                count = max(2, round(self._size.rooms * share))
                first = 18_000_000 + sum(len(names) for names in self.rooms.values())
                self.rooms[channel] = [str(first + n) for n in range(count)]
                gap = IRIS_GAP_MS if "iris" in channel else GAP_MS
                db.cursor().executemany(
                    "INSERT INTO rooms (room_id, name, type, channel, gap_ms, quota)"
                    " VALUES (%s, %s, 'test', %s, %s, %s)",
                    [(room, f"시험방 {room}", channel, gap, QUOTA) for room in self.rooms[channel]],
                )
            row = db.execute(
                "INSERT INTO images (filename, original_name, mime_type, sha256, file_size, data)"
                " VALUES ('chaos_001.png', '시험.png', 'image/png', '', %s, %s) RETURNING id",
                (len(_PNG), _PNG),
            ).fetchone()
        assert row is not None
        self._image = int(row[0])

    def begin(self, start: dt.datetime) -> None:
        """Draw every schedule of the run; instants lie between ``start`` and the storm's end."""
        end = start + dt.timedelta(seconds=self._size.calm_s + self._size.storm_s)
        left = self._size.slots
        wishes = self._wheels(start, end)
        while left > 0:
            wish = self._one(start, end, min(left, 6))
            left -= len(wish.spec.instants)
            wishes.append(wish)
        self._wishes = sorted(wishes, key=lambda wish: wish.make_at, reverse=True)
        self.last = end

    def tick(self, db: psycopg.Connection[Any], now: dt.datetime) -> int:
        """Make the schedules whose time has come, in one transaction; answers how many."""
        due: list[Wish] = []
        while self._wishes and self._wishes[-1].make_at <= now and len(due) < 200:
            due.append(self._wishes.pop())
        if not due:
            return 0
        try:
            self._make(db, due)
        except psycopg.Error:
            self._wishes.extend(replace(wish, make_at=now) for wish in reversed(due))  # again when it is back
            raise
        return len(due)

    def _one(self, start: dt.datetime, end: dt.datetime, most: int) -> Wish:
        """A one-off, or a list of exact instants at least 15 s apart, in a room of any kind."""
        rng = self._rng
        shares = [share for _, share in CHANNELS.values()]
        channel = rng.choices(list(CHANNELS), shares)[0]
        room = rng.choice(self.rooms[channel])
        at = start + dt.timedelta(seconds=rng.uniform(AHEAD_S[0], (end - start).total_seconds()))
        instants = [to_ms(_whole_ms(at))]
        while channel != "kakao-memo" and rng.random() < 0.25 and len(instants) < most:
            at += dt.timedelta(seconds=rng.uniform(15, 40))
            if at >= end:
                break
            instants.append(to_ms(_whole_ms(at)))
        first = from_ms(instants[0])
        ahead = dt.timedelta(seconds=rng.uniform(*AHEAD_S))
        parts = 1 if channel in PLAIN else rng.choices((1, 2, 3), (80, 12, 8))[0]
        return Wish(
            first - ahead, room, Spec(tuple(instants), text=f"장부 {rng.getrandbits(40):x} ⏰"), parts,
            "latest" if rng.random() < 0.2 else "skip", rng.choices((5, 1, 9), (80, 10, 10))[0],
            (first - ahead - dt.timedelta(hours=1), end + dt.timedelta(hours=1)),
        )  # fmt: skip

    def _wheels(self, start: dt.datetime, end: dt.datetime) -> list[Wish]:
        """Every full minute many rooms at once, by cron rules; and some by the half hour."""
        rooms = [room for name, rooms in self.rooms.items() if name not in PLAIN for room in rooms]
        found = []
        for number, room in enumerate(self._rng.sample(rooms, max(4, len(rooms) // 5))):
            every = (1, 1, 2, 30)[number % 4]
            spec = Spec(every_minutes=every, last=end, text=f"정각 {number}")
            found.append(Wish(start, room, spec, 1, "skip", 5, (start, end)))
        return found

    def _make(self, db: psycopg.Connection[Any], due: Sequence[Wish]) -> None:
        before = ledger_now(db)
        ids = []
        with db.transaction(), db.cursor() as cursor:
            cursor.executemany(_INSERT.encode(), [self._row(wish) for wish in due], returning=True)
            ids = [int(result.fetchone()[0]) for result in cursor.results()]  # type: ignore[index]
        after = ledger_now(db)
        for schedule, wish in zip(ids, due, strict=True):
            self._book.add(schedule, wish.room, wish.spec, before, after)

    def _row(self, wish: Wish) -> tuple[Any, ...]:
        spec = wish.spec
        kind, date, time, cron, rules = "union", None, None, None, None
        if spec.every_minutes == 30:
            kind = "regular"
        elif spec.every_minutes:
            kind, cron = "cron", f"*/{spec.every_minutes} * * * *"
        elif len(spec.instants) == 1:
            local = from_ms(spec.instants[0]).astimezone(_SEOUL)
            kind, date, time = "once", local.date(), local.time()
        else:
            rules = rules_of(spec)
        images = json.dumps([{"id": self._image}] * (wish.parts - 1)) if wish.parts > 1 else None
        order = "text_only" if wish.parts == 1 else self._rng.choice(("text_first", "images_first"))
        return (
            f"카오스 {wish.room}", wish.room, "test", spec.text, images, order, kind, date, time, cron, rules,
            0, wish.misfire, wish.priority, GRACE_S, *wish.window,
        )  # fmt: skip


def rules_of(spec: Spec) -> Jsonb:
    """Exact instants as the table keeps them."""
    return Jsonb([{"kind": "at", "ms": ms} for ms in spec.instants])


def _whole_ms(at: dt.datetime) -> dt.datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def ledger_now(db: psycopg.Connection[Any]) -> dt.datetime:
    """The database's clock."""
    row = db.execute("SELECT ledger_now()").fetchone()
    assert row is not None
    now: dt.datetime = row[0]
    return now
