"""One-off sends for the first minutes after each start, spread so that no room breaks its own limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from ops.demo.pictures import pictures, store_pictures
from ops.demo.rooms import PREFIX, WHO, Connection, NoDemo, add_send_rooms, check_embedded, live_rooms

SEOUL: Final = ZoneInfo("Asia/Seoul")
SEND_S: Final = 15  # what a send of several parts may take itself, on top of the room's gap
_LEAD_S: Final = 3
_MESSAGES: Final = (
    ("배차 안내", "🚚 {time} 배차가 확정되었습니다. 담당 기사님은 확인 부탁드립니다."),
    ("픽업 알림", "📦 {time} 픽업 물량을 확인해 주세요."),
    ("정산 알림", "💳 {date} 정산 자료가 올라왔습니다."),
    ("안전 공지", "🦺 {weekday} 안전 운행 부탁드립니다. 빗길 조심하세요!"),
    ("출근 확인", "🙋 {time} 현재 출근 인원을 남겨 주세요."),
    ("이벤트 안내", "🎉 {date} 이벤트가 진행 중입니다. 많은 참여 바랍니다."),
    ("수락률 알림", "🎯 {time} 기준 수락률을 확인해 주세요."),
)


@dataclass(slots=True)
class RoomLoad:
    """A room as it stands: its limits, when it is busy, and what each Korean day has left."""

    room_id: str
    gap_s: float
    quota: int
    used: Counter[date] = field(default_factory=Counter)
    busy: list[datetime] = field(default_factory=list)

    def takes(self, at: datetime) -> bool:
        """Whether a send at `at` keeps gap and quota."""
        apart = timedelta(seconds=self.gap_s + SEND_S)
        return self.used[_day(at)] < self.quota and all(abs(at - other) >= apart for other in self.busy)

    def add(self, at: datetime) -> None:
        """Note a send."""
        self.used[_day(at)] += 1
        self.busy.append(at)


def spread(
    instants: Iterable[datetime], rooms: Sequence[RoomLoad]
) -> tuple[dict[datetime, str], list[datetime]]:
    """A room for each instant, the least used first, and the instants for which none is free."""
    found: dict[datetime, str] = {}
    left = []
    for at in instants:
        free = [one for one in rooms if one.takes(at)]
        if not free:
            left.append(at)
            continue
        room = min(free, key=partial(_use, day=_day(at)))
        room.add(at)
        found[at] = room.room_id
    return found, left


def _use(room: RoomLoad, day: date) -> int:
    return room.used[day]


def demo_sends(db: Connection, minutes: int = 10, every_s: int = 5) -> int:
    """Add one-off sends every `every_s` seconds for `minutes`; answers how many were added.

    What an earlier start left for these minutes counts. When the rooms' day quotas are used up (a machine
    restarted all day), more test rooms are added. Raises NoDemo where the demo does not belong.
    """
    check_embedded(db)
    if live_rooms(db):
        raise NoDemo("There are rooms that reach people, so no demo sends are made.")
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(hashtext('jeongsi.demo'))")
        db.execute("SELECT set_config('jeongsi.who', %s, true)", (WHO,))
        store_pictures(db)
        now = _now(db)
        waiting = _waiting(db, now)
        wanted = [at for at in _instants(now, minutes, every_s) if not _near(at, waiting, every_s / 2)]
        found = _with_more_rooms(db, wanted, now, waiting)
        _add(db, found)
    return len(found)


def _with_more_rooms(
    db: Connection, wanted: list[datetime], now: datetime, waiting: Sequence[tuple[str, datetime]]
) -> dict[datetime, str]:
    found: dict[datetime, str] = {}
    generation = 1
    while True:
        chosen, wanted = spread(
            wanted, _loads(db, now, [*waiting, *((room, at) for at, room in found.items())])
        )
        found |= chosen
        if not wanted:
            return found
        generation += 1
        add_send_rooms(db, generation)


def _instants(now: datetime, minutes: int, every_s: int) -> list[datetime]:
    """Whole multiples of `every_s`, beginning a moment from now."""
    first = -(-(now.timestamp() + _LEAD_S) // every_s) * every_s
    count = minutes * 60 // every_s
    return [datetime.fromtimestamp(first + number * every_s, SEOUL) for number in range(count)]


def _near(at: datetime, waiting: Iterable[tuple[str, datetime]], within_s: float) -> bool:
    return any(abs((at - other).total_seconds()) < within_s for _, other in waiting)


def _waiting(db: Connection, now: datetime) -> list[tuple[str, datetime]]:
    """Demo sends that have not gone out and hold no unit of a quota yet; an overdue one goes out now."""
    rows = db.execute(
        "SELECT k.target_room_id, greatest((k.schedule_date + k.schedule_time) AT TIME ZONE k.tz, %s)"
        " FROM kb_schedule k LEFT JOIN slots s ON s.schedule_id = k.id"
        " WHERE k.origin = 'demo' AND k.status = 'active' AND k.deleted_at IS NULL AND k.schedule_date >= %s"
        " AND (s.schedule_id IS NULL OR (s.ended_at IS NULL AND s.quota_day IS NULL))",
        (now, _day(now) - timedelta(days=1)),
    ).fetchall()
    return [(room, at.astimezone(SEOUL)) for room, at in rows]


def _loads(db: Connection, now: datetime, waiting: Iterable[tuple[str, datetime]]) -> list[RoomLoad]:
    """The demo's rooms for sends, as the ledger and what waits have them."""
    rows = db.execute(
        "SELECT r.room_id, r.gap_ms / 1000.0, r.quota, g.free_at FROM rooms r"
        " LEFT JOIN room_gate g ON g.room_ref = r.id"
        " WHERE r.room_id LIKE %s AND r.type = 'test' AND r.channel LIKE %s ORDER BY r.id",
        (f"{PREFIX}send-%", "emulator-%"),
    ).fetchall()
    loads = {room: RoomLoad(room, float(gap), quota) for room, gap, quota, _ in rows}
    for room, gap, _, free_at in rows:
        if free_at is not None and free_at > now:
            loads[room].busy.append(free_at - timedelta(seconds=float(gap)))
    used = db.execute(
        "SELECT r.room_id, q.day, q.used FROM room_quota q JOIN rooms r ON r.id = q.room_ref"
        " WHERE q.day >= %s",
        (_day(now),),
    )
    for room, day, number in used:
        if room in loads:
            loads[room].used[day] += number
    for room, at in waiting:
        if room in loads:
            loads[room].add(at)
    return list(loads.values())


def _add(db: Connection, found: dict[datetime, str]) -> None:
    """The schedules: every seventh has a picture, every 21st two that go first."""
    rows = []
    for number, (at, room) in enumerate(sorted(found.items())):
        title, text = _MESSAGES[number % len(_MESSAGES)]
        images = 2 if number % 21 == 6 else int(number % 7 == 6)
        order = ("text_only", "text_first", "images_first")[images]
        rows.append(
            (f"시연 · {title}", room, text, pictures(db, images, number), order, at.date(), at.time())
        )
    with db.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO kb_schedule (title, target_room_id, target_room_type, message_text, message_images,"
            " send_order, schedule_type, schedule_date, schedule_time, origin, created_by_mb_id)"
            " VALUES (%s, %s, 'test', %s, %s, %s, 'once', %s, %s, 'demo', 'demo')",
            rows,
        )


def _now(db: Connection) -> datetime:
    row = db.execute("SELECT ledger_now()").fetchone()
    assert row is not None
    return row[0].astimezone(SEOUL)  # type: ignore[no-any-return]


def _day(at: datetime) -> date:
    return at.astimezone(SEOUL).date()
