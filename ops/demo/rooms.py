"""The demo's rooms, and the check that nothing of it can reach anybody (design: Nothing real by accident)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import psycopg

from runtime.settings import get_settings

Connection = psycopg.Connection[Any]

PREFIX = "demo-"
WHO = "make up"
CHANNELS = ("emulator-key", "emulator-lookup", "emulator-none")
PLACES = (
    "강남 서초 송파 강동 마포 용산 종로 중구 성동 광진 동대문 중랑 성북 강북 도봉 노원 "
    "은평 서대문 양천 강서 구로 금천 영등포 동작 관악 해운대 수영 남포 동래 사하 연제 기장 "
    "수성 달서 동성로 칠곡 부평 송도 연수 계양 남동 유성 둔산 대덕 상무 첨단 수완 수원 "
    "분당 일산 평촌 안산 부천 김포 파주 의정부 구리 하남 광명 춘천 원주 청주 천안 전주 "
    "익산 포항 구미 창원 김해 진주 제주"
).split()


class NoDemo(RuntimeError):
    """The demo is not for this database; the message says why."""


def check_embedded(db: Connection) -> None:
    """Raise NoDemo unless `db` is the local stack's own database, as its run.json says."""
    path = get_settings().home / "run.json"
    try:
        noted = urlsplit(str(json.loads(path.read_text(encoding="utf-8"))["database_url"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise NoDemo(f"No local stack runs in {path.parent}, so no demo is made.") from None
    if (noted.hostname, noted.port, noted.path.lstrip("/")) != (db.info.host, db.info.port, db.info.dbname):
        raise NoDemo("This is a database of your own, so no demo is made in it.")


def live_rooms(db: Connection) -> int:
    """How many rooms there are that reach people."""
    row = db.execute(
        "SELECT count(*) FROM rooms WHERE type = 'live' OR channel NOT LIKE %s", ("emulator-%",)
    ).fetchone()
    return int(row[0]) if row else 0


def add_send_rooms(db: Connection, generation: int) -> None:
    """A room per place for one-off sends; channels take turns, so that all three kinds are mixed."""
    name = "{} 공지방" if generation == 1 else f"{{}} 공지방 {generation}"
    rows = [
        (f"{PREFIX}send-{generation}-{number:02}", name.format(place), CHANNELS[number % len(CHANNELS)])
        for number, place in enumerate(PLACES)
    ]
    with db.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO rooms (room_id, name, type, channel) VALUES (%s, %s, 'test', %s)"
            " ON CONFLICT DO NOTHING",
            rows,
        )
