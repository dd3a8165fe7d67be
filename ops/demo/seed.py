"""What an empty local database is given at its first start: rooms, and schedules of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from psycopg.types.json import Jsonb

from ops.demo.pictures import pictures, store_pictures
from ops.demo.rooms import PREFIX, WHO, Connection, NoDemo, add_send_rooms, check_embedded

__all__ = ["NoDemo", "seed"]

LEDGER_TEXT: Final = """📊 장부 모니터링 정기 알림

⏰ 현재 시간: {time}
📈 총점: 95점
🎯 수락률: 93.8%
✅ 총완료: 75건

🤖 자동 모니터링 시스템"""
WORKING_HOURS: Final = "8,9,10,11,12,13,14,15,16,17,18,19"


@dataclass(frozen=True, slots=True)
class _Room:
    id: str
    name: str
    channel: str
    quota: int = 50
    reason: str | None = None

    @property
    def room_id(self) -> str:
        """KakaoTalk's own ids are numbers, and the Iris device takes nothing else."""
        return self.id if self.id.isdigit() else PREFIX + self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    room: str
    title: str
    type: str
    text: str | None = None
    time: str | None = None
    weekdays: str | None = None
    peak_hours: str | None = None
    cron: str | None = None
    union: tuple[dict[str, object], ...] = ()
    images: int = 0
    order: str = "text_only"
    interval: int = 1


_HOURS = [int(hour) for hour in WORKING_HOURS.split(",")]
_ROOMS: Final = (
    _Room("ledger", "본사 장부 모니터링방", "emulator-key"),
    _Room("peak", "피크타임 배차방", "emulator-lookup"),
    _Room("notice", "전체 공지방", "emulator-none"),
    _Room("weekly", "지점장 회의방", "emulator-key"),
    _Room("promotion", "프로모션 안내방", "emulator-lookup"),
    _Room("settlement", "정산 안내방", "emulator-none"),
    _Room("results", "오늘의 실적방", "emulator-key"),
    _Room("all", "본사 통합 알림방", "emulator-lookup", 80, "정시와 피크를 합치면 하루 72건"),
    _Room("18300000000000001", "아이리스 기기 안내방", "emulator-iris"),
)
_PLANS: Final = (
    _Plan(room="ledger", title="장부 모니터링 정기 알림", type="regular", text=LEDGER_TEXT),
    _Plan(room="peak", title="피크타임 15분 알림", type="peak", peak_hours=WORKING_HOURS,
          text="🔥 피크타임 {time}\n주문이 몰리고 있습니다. 배차 대기 인원을 확인해 주세요."),
    _Plan(room="notice", title="아침 공지", type="daily", time="09:00",
          text="☀️ {date} {weekday} 아침 공지\n오늘도 안전 운행 부탁드립니다."),
    _Plan(room="notice", title="마감 공지", type="daily", time="18:00",
          text="🌙 {date} 마감 공지\n정산 자료를 19시까지 올려 주세요."),
    _Plan(room="weekly", title="주간 지점장 회의 안내", type="weekly", weekdays="monday", time="10:00",
          text="📅 {date} 주간 회의가 10시 30분에 시작합니다."),
    _Plan(room="promotion", title="프로모션 안내", type="weekly", weekdays="monday,wednesday,friday",
          time="11:30", text="🎁 이번 주 프로모션 안내입니다. 아래 이미지를 확인해 주세요.",
          images=2, order="text_first", interval=2),
    _Plan(room="18300000000000001", title="아이리스 기기 점검 알림", type="regular",
          text="📱 {time} 기기 점검 알림입니다."),
    _Plan(room="settlement", title="월 정산 안내", type="cron", cron="0 17 25 * *",
          text="💰 {date} 정산 내역이 확정되었습니다. 확인 부탁드립니다."),
    _Plan(room="results", title="오늘의 실적 이미지", type="daily", time="12:00",
          images=1, order="images_only"),
    _Plan(room="all", title="정시·피크 통합 알림", type="union", text="📣 {time} 현황을 확인해 주세요.",
          union=({"kind": "regular"}, {"kind": "peak", "hours": _HOURS})),
)  # fmt: skip


def seed(db: Connection) -> int:
    """Fill an empty local database; answers how many rooms were made, 0 if there were some already.

    Raises NoDemo if `db` is not the local stack's own. Every room is a `test` room at the emulator.
    """
    check_embedded(db)
    with db.transaction():
        row = db.execute(
            "SELECT (SELECT count(*) FROM rooms) + (SELECT count(*) FROM kb_schedule)"
        ).fetchone()
        if row is None or row[0]:
            return 0
        db.execute("SELECT set_config('jeongsi.who', %s, true)", (WHO,))
        _add_rooms(db)
        add_send_rooms(db, 1)
        store_pictures(db)
        _add_schedules(db)
        made = db.execute("SELECT count(*) FROM rooms").fetchone()
    return int(made[0]) if made else 0


def _room_id(name: str) -> str:
    return next(room.room_id for room in _ROOMS if room.id == name)


def _add_rooms(db: Connection) -> None:
    with db.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO rooms (room_id, name, type, channel, quota, limits_reason, limits_by)"
            " VALUES (%s, %s, 'test', %s, %s, %s, %s)",
            [
                (room.room_id, room.name, room.channel, room.quota, room.reason, room.reason and WHO)
                for room in _ROOMS
            ],
        )


def _add_schedules(db: Connection) -> None:
    with db.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO kb_schedule (title, target_room_id, target_room_type, message_text, message_images,"
            " send_order, send_interval_seconds, schedule_type, schedule_time, schedule_weekdays, peak_hours,"
            " cron_expr, rules, created_by_mb_id)"
            " VALUES (%s, %s, 'test', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'demo')",
            [
                (plan.title, _room_id(plan.room), plan.text, pictures(db, plan.images), plan.order,
                 plan.interval, plan.type, plan.time, plan.weekdays, plan.peak_hours, plan.cron,
                 Jsonb(list(plan.union)) if plan.union else None)
                for plan in _PLANS
            ],
        )  # fmt: skip
