"""Names that a file may use for `kb_schedule`'s columns, and Korean words for what stands in them."""

from __future__ import annotations

import difflib
from typing import Final

WRITABLE: Final = (
    "title", "description", "created_by_type", "created_by_id", "created_by_mb_id", "target_room_id",
    "target_room_type", "message_text", "message_images", "send_order", "send_interval_seconds",
    "schedule_type", "schedule_date", "schedule_time", "schedule_weekdays", "peak_hours", "cron_expr",
    "rules", "tz", "valid_from", "valid_until", "misfire", "grace_seconds", "validity_seconds", "priority",
    "accept_limit", "status",
)  # fmt: skip
# The ledger keeps these itself; a file may carry them and they are left aside.
KEPT_BY_US: Final = (
    "id", "last_sent_at", "next_send_at", "send_count", "created_at", "updated_at", "version", "origin",
    "error_reason", "deleted_at",
)  # fmt: skip
REQUIRED: Final = ("title", "target_room_id", "schedule_type")
OF_FIELD: Final = {
    "room": "target_room_id", "room_type": "target_room_type", "text": "message_text",
    "images": "message_images", "image": "message_images", "interval": "send_interval_seconds",
    "type": "schedule_type", "types": "schedule_type", "date": "schedule_date", "time": "schedule_time",
    "weekdays": "schedule_weekdays", "cron": "cron_expr", "grace": "grace_seconds",
    "validity": "validity_seconds",
}  # fmt: skip
_KOREAN: Final = {
    "번호": "id", "제목": "title", "설명": "description", "등록자 타입": "created_by_type",
    "등록자": "created_by_id", "등록자 id": "created_by_id", "등록 회원": "created_by_mb_id",
    "톡방": "target_room_id", "대상 톡방": "target_room_id", "톡방 id": "target_room_id",
    "톡방 타입": "target_room_type", "텍스트": "message_text", "텍스트 메시지": "message_text",
    "메시지": "message_text", "이미지": "message_images", "이미지 파일": "message_images",
    "이미지 파일들": "message_images", "발송 순서": "send_order", "메시지 간격": "send_interval_seconds",
    "발송 간격": "send_interval_seconds", "타입": "schedule_type", "스케줄 타입": "schedule_type",
    "발송 날짜": "schedule_date", "날짜": "schedule_date", "발송 시간": "schedule_time",
    "시간": "schedule_time", "반복 요일": "schedule_weekdays", "요일": "schedule_weekdays",
    "피크 시간": "peak_hours", "피크시간": "peak_hours", "크론": "cron_expr", "규칙": "rules",
    "시간대": "tz", "유효기간 시작": "valid_from", "유효기간 종료": "valid_until", "지각 처리": "misfire",
    "유예": "grace_seconds", "유효 시간": "validity_seconds", "우선순위": "priority",
    "한도 초과 동의": "accept_limit", "상태": "status",
}  # fmt: skip
_ALIASES: Final = {name.replace(" ", "_"): name for name in (*WRITABLE, *KEPT_BY_US)} | {
    name.replace(" ", ""): column for name, column in (*OF_FIELD.items(), *_KOREAN.items())
}

WEEKDAYS: Final = {
    **dict.fromkeys(("월", "월요일", "mon", "monday"), "monday"),
    **dict.fromkeys(("화", "화요일", "tue", "tuesday"), "tuesday"),
    **dict.fromkeys(("수", "수요일", "wed", "wednesday"), "wednesday"),
    **dict.fromkeys(("목", "목요일", "thu", "thursday"), "thursday"),
    **dict.fromkeys(("금", "금요일", "fri", "friday"), "friday"),
    **dict.fromkeys(("토", "토요일", "sat", "saturday"), "saturday"),
    **dict.fromkeys(("일", "일요일", "sun", "sunday"), "sunday"),
}
WORDS: Final[dict[str, dict[str, str]]] = {
    "schedule_type": {
        "1회성": "once", "1회": "once", "한번": "once", "매일": "daily", "매일반복": "daily",
        "매주": "weekly", "주간": "weekly", "주간반복": "weekly", "정시": "regular", "정기": "regular",
        "피크": "peak", "크론": "cron",
    },
    "target_room_type": {"운영": "live", "테스트": "test"},
    "send_order": {
        "텍스트먼저": "text_first", "이미지먼저": "images_first", "이미지만": "images_only",
        "텍스트만": "text_only",
    },
    "status": {
        "활성": "active", "사용": "active", "비활성": "inactive", "중지": "inactive", "완료": "completed",
        "오류": "error",
    },
    "created_by_type": {
        "본사": "headquarters", "총판": "distributor", "대리점": "agency", "지점": "branch",
    },
    "misfire": {"건너뜀": "skip", "최신만": "latest"},
}  # fmt: skip


def column_of(name: str) -> str | None:
    """The table's column that a name in a file means; None if there is no such column.

    The table's own names, the flags' names and the Korean form's; case and blanks do not matter.
    """
    bare = name.strip().lstrip("\ufeff").lower()
    for form in (bare, bare.replace(" ", "_"), bare.replace("-", "_"), bare.replace(" ", "")):
        if form in _ALIASES:
            return _ALIASES[form]
    return None


def did_you_mean(name: str) -> str:
    """A hint for a column name that does not exist."""
    known = [*WRITABLE, *OF_FIELD, *_KOREAN]
    near = difflib.get_close_matches(name.strip().lower(), known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"columns are {', '.join(WRITABLE)}"


def word(column: str, value: str) -> str:
    """A Korean word as the value that the column holds; anything else as it is."""
    return WORDS.get(column, {}).get(value.replace(" ", ""), value)


def shown_field(field: str) -> str:
    """The column in which a field of the form stands."""
    return OF_FIELD.get(field, field)
