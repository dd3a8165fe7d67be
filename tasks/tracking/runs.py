"""The Celery tasks of uploads: `jeongsi.tracking.run` for a slot, and the public `jeongsi.tracking.upload`.

Both only begin a run: the crew of every `tracking` worker carries it (tasks/tracking/crew.py).
"""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task

from models.ledger import tracking as ledger
from models.ledger.messages import FieldError, Result, refused
from models.ledger.tracking import Started
from runtime import database
from runtime.events import Event, emit
from runtime.failpoints import hit
from tasks.hints import read_hint
from tasks.messages import asked_of, producer
from tasks.tracking.life import crew

_KEY = "a new key for another request, or the first request as it was"


@shared_task(name="jeongsi.tracking.run", ignore_result=True)
def run(hint: Any = None, *_: Any, **__: Any) -> dict[str, str]:
    """Begin the runs of the slots that a hint names; answers what became of each."""
    carriers = crew()
    found = {}
    for slot in read_hint(hint, "tracking"):
        hit("upload.hinted")
        if carriers is None:
            emit(Event.HINT_DROPPED, queue="tracking", reason="this worker carries no uploads")
            break
        try:
            found[str(slot)] = carriers.open(slot).verdict
        except Exception as error:
            if not database.is_transient(error):
                raise
            emit(Event.LEDGER_GONE, error=repr(error))  # the beat tells of the slot again
    return found


@shared_task(name="jeongsi.tracking.upload", bind=True, ignore_result=False)
def upload(self: Task[Any, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Begin a run of an account by hand, a dry run, or a redrive (docs/enqueue.md)."""
    request, wrong = asked_of("tracking.upload", args, kwargs)
    if wrong:
        return refused(*wrong).as_json()
    key = request.get("idempotency_key") or f"task:{self.request.id}"
    who = producer(self)
    started = database.retrying(lambda db: _begin(db, request, key, who))
    if started.verdict == "started" and (carriers := crew()) is not None:
        carriers.wake()
    return _result(started, request).as_json()


def _begin(db: ledger.Connection, request: dict[str, Any], key: str, who: str) -> Started:
    if request.get("redrive") is not None:
        return ledger.redrive(db, int(request["redrive"]), request.get("error_code"), key=key, who=who)
    account = request.get("account") or "default"
    return ledger.start(db, account, key=key, who=who, dry_run=bool(request.get("dry_run")))


def _result(started: Started, request: dict[str, Any]) -> Result:
    job = None if started.job is None else str(started.job)
    account = request.get("account") or "default"
    if started.verdict == "started":
        return Result(job, "accepted")
    if started.verdict == "duplicate":
        return Result(job, "duplicate", job)
    told = {
        "key_used": FieldError("idempotency_key", "it was used for another request", _KEY),
        "active": FieldError("account", f"its run {job} is not over", "wait for it, or cancel it"),
        "no_account": FieldError("account", f"there is no account {account!r}", "an account's name"),
        "held": FieldError("account", "nothing may leave this database now", "jeongsi instance show"),
        "gone": FieldError("redrive", f"there is no run {request.get('redrive')}", "a run's number"),
        "nothing": FieldError("redrive", "it left no such order", "another run or error_code"),
    }  # fmt: skip
    return Result(None, "refused", job, (told[started.verdict],))
