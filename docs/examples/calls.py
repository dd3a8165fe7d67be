"""Schedule, look and clean up from a script on the same installation: python docs/examples/calls.py ROOM"""

import datetime as dt
import sys

from api.calls import KST, KakaoScheduler, ScheduleType

REPORT = """📊 장부 모니터링 정기 알림

⏰ 현재 시간: {time}
📈 총점: 95점
🎯 수락률: 93.8%
✅ 총완료: 75건"""


def main(room: str) -> None:
    scheduler = KakaoScheduler(room=room)
    scheduler.schedule_config["peak_hours"] = [8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]

    regular = scheduler.schedule_regular_message(REPORT)
    print("every half hour:", regular or "the room has it already")

    soon = dt.datetime.now(KST) + dt.timedelta(minutes=5)
    once = scheduler.schedule_message("특정 시간 알림", soon, ScheduleType.CUSTOM, {"priority": "high"})
    if once is not None:
        print("once:", once, scheduler.get_message_status(once)["status"])

    status = scheduler.get_schedule_status()
    print("running:", status["is_running"], "scheduled:", status["scheduled_count"], status["stats"])
    print(f"next regular time in {scheduler.seconds_until_next_regular():.0f} s")
    print("finished messages taken off the lists:", scheduler.cleanup_old_messages(days=7))


if __name__ == "__main__":
    main(sys.argv[1])
