"""`jeongsi.notify`: other services tell the operators something. The schema is tasks/schemas/notify.json."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib import resources
from typing import Any

from celery import Task, shared_task

from models.ledger import notices
from models.ledger.notices import Notice, Request
from runtime import database
from runtime.events import Event, emit

_RIGHT = {
    "required": "give it",
    "additionalProperties": "the fields are title, text, severity, kind, key, link and idempotency_key",
    "maxLength": "make it shorter",
    "minLength": "do not leave it empty",
    "type": "give a text",
    "enum": "info, warning, error or critical",
}
_PATTERNS = {
    "title": "one line of words, without NUL",
    "kind": "small letters, digits and _, joined by dots, like payment.failed",
    "link": "a web address, like https://host/page",
}


@shared_task(name="jeongsi.notify", bind=True, ignore_result=False)
def notify(self: Task[Any, Any], body: Any = None, *_: Any, **__: Any) -> dict[str, Any]:
    """Post one notice; the result says what became of it: accepted, duplicate or refused with errors."""
    return posted(body, str(self.request.id))


def posted(body: Any, task_id: str) -> dict[str, Any]:
    """Check a body and post it. Raises psycopg.Error if the ledger is away: then nothing was kept."""
    errors = problems(body)
    if errors:
        return {"id": None, "status": "refused", "duplicate_of": None, "errors": errors}
    asked = dict(body)
    key = asked.pop("idempotency_key", None) or f"task:{task_id}"
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    notice = notice_of(asked)
    number, status = database.retrying(lambda db: notices.post_once(db, notice, Request(key, digest)))
    if status == "accepted":
        emit(
            Event.NOTICE_POSTED,
            notice_id=number, kind=notice.kind, severity=notice.severity, title=notice.title,
        )  # fmt: skip
    if status == "refused":
        wrong = {
            "field": "idempotency_key", "reason": "this key was used for another notice",
            "right": "take a new key for a new notice",
        }  # fmt: skip
        return {"id": None, "status": "refused", "duplicate_of": str(number), "errors": [wrong]}
    return {
        "id": str(number), "status": status, "duplicate_of": str(number) if status == "duplicate" else None,
        "errors": [],
    }  # fmt: skip


def notice_of(asked: dict[str, Any]) -> Notice:
    """A checked body as a notice."""
    kind = asked.get("kind")
    return Notice(
        kind=f"external.{kind}" if kind else "external",
        key=asked.get("key"),
        severity=asked.get("severity", "warning"),
        title=asked["title"].strip(),
        text=asked.get("text", ""),
        link=asked.get("link"),
        source="task",
    )


def problems(body: Any) -> list[dict[str, str]]:
    """Everything that is wrong with a body, a field each: field, reason, right."""
    if not isinstance(body, dict):
        return [_wrong("", "the argument is no JSON object", 'send {"title": "…"}')]
    long = [name for name, value in body.items() if isinstance(value, str) and len(value) > _limit(name)]
    found = [
        _wrong(name, f"it is longer than {_limit(name)} characters", _RIGHT["maxLength"]) for name in long
    ]
    # A pattern takes its time on 10 MB, so what is too long never meets one.
    shorter = body | {name: "x" for name in long if name in schema()["properties"]}
    known = {one["field"] for one in found}
    found += [
        told for one in _validator().iter_errors(shorter) if (told := _explained(one))["field"] not in known
    ]
    for field, value in shorter.items():
        if isinstance(value, str) and not _storable(value):
            found.append(_wrong(field, "it holds half a surrogate pair", "send valid Unicode"))
    return found


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The contract, as docs/schema/notify.json shows it."""
    text = resources.files("tasks").joinpath("schemas/notify.json").read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


def _limit(name: str) -> int:
    limit: int = schema()["properties"].get(name, {}).get("maxLength", 1_000)
    return limit


@lru_cache(maxsize=1)
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema())


def _explained(error: Any) -> dict[str, str]:
    field = ".".join(str(step) for step in error.absolute_path)
    rule = str(error.validator)
    if rule == "required":
        field = next(name for name in error.validator_value if name not in error.instance)
        return _wrong(field, "it is missing", _RIGHT[rule])
    if rule == "additionalProperties":
        unknown = sorted(set(error.instance) - set(schema()["properties"]))
        return _wrong(", ".join(unknown)[:200], "there is no such field", _RIGHT[rule])
    if rule == "pattern":
        return _wrong(field, "its form is not taken", _PATTERNS.get(field, "a text without NUL"))
    reasons = {
        "maxLength": f"it is longer than {error.validator_value} characters",
        "minLength": "it is empty",
        "type": "it is no text",
        "enum": "there is no such severity",
    }
    return _wrong(field, reasons.get(rule, rule), _RIGHT.get(rule, "see docs/schema/notify.json"))


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong(field: str, reason: str, right: str) -> dict[str, str]:
    return {"field": field, "reason": reason, "right": right}
