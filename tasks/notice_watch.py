"""The watch: looks at the ledger every few seconds and tells what operators should know.

One process at a time does it, by an advisory lock, on a connection of its own transaction. It reads only what
ended since the last look and asks index probes for the rest, so it costs the same with a million schedules.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import redis

from models.ledger import notices, trouble
from models.ledger.notices import Connection, Notice
from runtime import redis_keys
from runtime.clock import clock
from runtime.events import Event, emit
from runtime.redis_client import lock_redis
from runtime.settings import Settings
from tasks.notice_words import hour, listed, told, words

NAME = "ledger"
#: What is read lies so far back: what ended a slot has committed by then (statement_timeout is 5 s).
LAG_S = 6.0
#: Streaks are looked for in what ended a little before the last look, too; a mark never counts twice.
OVERLAP_S = 60.0
GROUP_S = 600.0
CHANNEL_LATE_S = 30.0
UPLOAD_LATE_S = 60.0  # a worker takes it within a second; a run is in no hurry of seconds
#: More than this at one look is told as one notice: a bot that is down must not write one for each schedule.
SINGLY = 5
WORKER_DEAD_S = 5.0
_SEVERITY: dict[str, notices.Severity] = {
    "unresolved": "error", "failed": "error", "expired": "error", "partial": "warning",
}  # fmt: skip


class Watch:
    """What one process knows between two looks: nothing that matters."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def once(self, db: Connection, *, calm: bool = False) -> bool:
        """One look; ``calm``: what stands still is not judged yet. False: another process is at it.

        Raises psycopg.Error if the ledger is away.
        """
        alive = self._living()  # before the transaction, which may not idle while Redis is silent
        with db.transaction():
            if not trouble.my_turn(db):
                return False
            since = trouble.seen_to(db, NAME)
            now = trouble.progress(db, self._settings.notice_late_s)
            upto = now.at - dt.timedelta(seconds=LAG_S)
            if since - now.at > dt.timedelta(seconds=OVERLAP_S):
                since = _before(now.at)
                trouble.begin_anew(db, NAME, since)
            told_all = all(
                [
                    _alone(db, lambda: self._stop(db, since)),
                    _alone(db, lambda: self._broken(db, since)),
                    _alone(db, lambda: self._streaks(db, since)),
                    _alone(db, lambda: self._ended(db, since, upto)),
                    _alone(db, lambda: self._uploads(db, since, upto)),
                    _alone(db, lambda: self._incidents(db, since, upto)),
                ]
            )
            if not calm:
                _alone(db, lambda: self._standing(db, now, alive))
                _alone(db, lambda: self._channels(db))
                _alone(db, lambda: self._over(db))
            notices.sweep(db)
            if (
                told_all
            ):  # else the next look begins here again; marks keep what was told from being told twice
                trouble.read_up_to(db, NAME, upto)
        return True

    # -- schedules --------------------------------------------------------------------------------

    def _stop(self, db: Connection, since: dt.datetime) -> None:
        db.execute("SELECT set_config('jeongsi.who', 'jeongsi watch', true)")
        for one in trouble.stop_failing(db, _before(since), self._settings.error_after):
            emit(Event.SCHEDULE_STOPPED, schedule_id=one.schedule_id, failures=one.failures)

    def _broken(self, db: Connection, since: dt.datetime) -> None:
        """Stopped just now, or unreadable for the planner or the triggers."""
        found = trouble.broken(db, _before(since))
        if len(found) > SINGLY:
            names = [f"{one.schedule_id} {one.title}" for one in found]
            self._many(db, "schedules.error", names, len(found), max(one.at for one in found))
            return
        for one in found:
            title, text = told(
                "schedule.error", id=one.schedule_id, title=_short(one.title), reason=one.reason
            )
            _post(db, "schedule.error", str(one.schedule_id), "error", title, text, mark=one.at)

    def _streaks(self, db: Connection, since: dt.datetime) -> None:
        found = trouble.failing(db, _before(since), self._settings.notice_streak)
        if len(found) > SINGLY:
            names = [f"{one.schedule_id} {one.title} ({one.reason})" for one in found]
            self._many(db, "schedules.failing", names, len(found), max(one.last_at for one in found))
            return
        for one in found:
            title, text = told(
                "schedule.failing", id=one.schedule_id, title=_short(one.title), n=one.failures,
                room=one.room, slot=one.last_slot, reason=one.reason,
            )  # fmt: skip
            _post(db, "schedule.failing", str(one.schedule_id), "error", title, text, mark=one.last_at)

    def _many(self, db: Connection, kind: str, names: list[str], number: int, mark: dt.datetime) -> None:
        title, text = told(kind, n=number, list=listed([_short(one) for one in names], number))
        _post(db, kind, "", "error", title, text, mark=mark)

    # -- slots and incidents ----------------------------------------------------------------------

    def _ended(self, db: Connection, since: dt.datetime, upto: dt.datetime) -> None:
        for one in trouble.ended(db, since, upto):
            kind = f"slots.{one.state}"
            title, text = told(
                kind, n=one.slots, list=listed(one.ids, one.slots), slot=one.ids[0],
                reasons=", ".join(filter(None, one.reasons)),
            )  # fmt: skip
            _post(
                db, kind, "", _SEVERITY[one.state], title, text,
                mark=one.last_at, count=one.slots, dedupe_s=GROUP_S,
            )  # fmt: skip

    def _uploads(self, db: Connection, since: dt.datetime, upto: dt.datetime) -> None:
        """Those that never began; how a run ended it tells itself."""
        for one in trouble.uploads_expired(db, since, upto):
            reasons = ", ".join(filter(None, one.reasons))
            title, text = told(
                "uploads.expired",
                n=one.slots,
                list=listed(one.ids, one.slots),
                slot=one.ids[0],
                reasons=reasons,
            )
            _post(
                db, "uploads.expired", "", "error", title, text,
                mark=one.last_at, count=one.slots, dedupe_s=GROUP_S,
            )  # fmt: skip

    def _incidents(self, db: Connection, since: dt.datetime, upto: dt.datetime) -> None:
        for one in trouble.happened(db, since, upto):
            kind = f"incident.{one.kind}" if f"incident.{one.kind}" in words() else "incident"
            title, text = told(
                kind, kind=one.kind, schedule=one.schedule_id, slot=one.slot or one.schedule_id or "",
                start=hour(one.range_from), end=hour(one.range_to), why=one.detail.get("why", ""),
                jump=one.detail.get("jump_s", "?"),
            )  # fmt: skip
            _post(db, f"incident.{one.kind}", str(one.schedule_id or ""), "warning", title, text, mark=one.at)

    # -- conditions that stand --------------------------------------------------------------------

    def _standing(self, db: Connection, now: trouble.Progress, alive: dict[str, int] | None) -> None:
        late = self._settings.notice_late_s
        if now.ticked_s is not None and now.ticked_s > late:
            _stands(db, "beat.silent", "", "critical", s=round(now.ticked_s))
        elif now.undispatched_s is not None and now.undispatched_s > late:
            _stands(db, "beat.late", "", "critical", s=round(now.undispatched_s))
        for queue, number, oldest_s in (
            ("send", now.queued, now.queued_s),
            ("confirm", now.confirming, now.confirming_s),
            ("tracking", *trouble.uploads_waiting(db, UPLOAD_LATE_S)),
        ):
            if number:
                severity: notices.Severity = "critical" if queue == "send" else "error"
                living = "?" if alive is None else str(alive[queue])
                _stands(
                    db, "workers.stuck", queue, severity,
                    queue=queue, n=number, s=round(oldest_s or 0), alive=living,
                )  # fmt: skip
        if alive is None:
            _stands(db, "redis.gone", "", "critical")

    def _channels(self, db: Connection) -> None:
        for one in trouble.silent_channels(db, CHANNEL_LATE_S):
            _stands(
                db, "channel.silent", one.channel, "error",
                channel=one.channel, n=one.waiting, at=hour(one.since), slot=one.slot,
            )  # fmt: skip

    def _over(self, db: Connection) -> None:
        for one in notices.over(db, 3 * self._settings.notice_watch_s):
            title, text = told("over", title=one.title, start=hour(one.first_at), end=hour(one.last_at))
            _post(db, f"{one.kind}.over", one.key, "info", title, text, mark=one.last_at, dedupe_s=1.0)

    def _living(self) -> dict[str, int] | None:
        """Workers that were heard of lately, for each queue that carries slots; None: Redis is silent."""
        now, found = clock().now().timestamp(), {}
        try:
            for queue in ("send", "confirm", "tracking"):
                words: Any = lock_redis().hgetall(redis_keys.workers(queue))
                found[queue] = sum(now - _at(word) <= WORKER_DEAD_S for word in words.values())
        except redis.RedisError:
            return None
        return found


def _alone(db: Connection, look: Callable[[], None]) -> bool:
    """One look that fails must not silence the others; a lost connection ends the round, though."""
    try:
        with db.transaction():
            look()
    except Exception as error:
        if db.closed or db.broken:
            raise
        emit(Event.NOTICE_WATCH_FAILED, error=repr(error))
        return False
    return True


def _stands(db: Connection, kind: str, key: str, severity: notices.Severity, **facts: Any) -> None:
    title, text = told(kind, **facts)
    _post(db, kind, key, severity, title, text, standing=True)


def _post(
    db: Connection, kind: str, key: str, severity: notices.Severity, title: str, text: str, **more: Any
) -> None:
    posted = notices.post(db, Notice(kind=kind, key=key, severity=severity, title=title, text=text, **more))
    if posted.fresh:
        emit(Event.NOTICE_POSTED, notice_id=posted.id, kind=kind, severity=severity, title=title)


def _before(since: dt.datetime) -> dt.datetime:
    return since - dt.timedelta(seconds=OVERLAP_S)


def _short(title: str) -> str:
    return title if len(title) <= 60 else f"{title[:59]}…"


def _at(word: str) -> float:
    try:
        return float(json.loads(word)["at"])
    except (ValueError, KeyError, TypeError):
        return 0.0
