"""The public tasks by which other services enqueue (docs/enqueue.md). Bad input is a result, never raised.

A raised error is ours (the database is away): the producer then asks again with the same key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Task, shared_task

from models.ledger import messages as ledger
from models.ledger.messages import Connection, FieldError, Result, refused
from runtime import database
from tasks.schemas import problems

_ASK = FieldError("arguments", "they are not one JSON object", "args: [{…}], nothing else")
_WHO = 100  # characters of a producer's name that the history keeps


@shared_task(name="jeongsi.message.schedule", bind=True, ignore_result=False)
def schedule(self: Task[Any, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Enqueue one message, now or once later."""
    task, who = self.request.id, producer(self)
    return _answer(
        "message.schedule", lambda db, asked: ledger.enqueue(db, asked, task_id=task, who=who), args, kwargs
    )


@shared_task(name="jeongsi.message.cancel", bind=True, ignore_result=False)
def cancel(self: Task[Any, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Call one message off."""
    who = producer(self)
    return _answer("message.cancel", lambda db, asked: ledger.cancel(db, asked, who=who), args, kwargs)


def producer(task: Task[Any, Any]) -> str:
    """Who asked, as far as its client says."""
    return f"enqueue {task.request.origin or 'of an unnamed producer'}"[:_WHO].replace("\0", "")


def _answer(
    name: str,
    work: Callable[[Connection, dict[str, Any]], Result],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> dict[str, Any]:
    """Check the one argument, then do the work in one transaction. It may run twice: the key sees to it."""
    request, wrong = asked_of(name, args, kwargs)
    result = refused(*wrong) if wrong else database.retrying(lambda db: work(db, request))
    return result.as_json()


def asked_of(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dict[str, Any], list[FieldError]]:
    """The one argument of a public task, and all that is wrong with its form."""
    if len(args) + bool(kwargs) != 1:
        return {}, [_ASK]
    request = args[0] if args else kwargs
    return request, problems(name, request)
