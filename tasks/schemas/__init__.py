"""JSON Schemas of the public tasks' one argument. docs/schema holds the same files for other services."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from math import isfinite
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from models.ledger.messages import FieldError

MAX_DEPTH = 20  # of lists and objects in each other
_SHOWN = 60


@cache
def schema(name: str) -> dict[str, Any]:
    """The schema of a public task by the words after `jeongsi.`, for instance message.schedule."""
    text = resources.files(__name__).joinpath(f"{name.replace('.', '-')}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def problems(name: str, request: Any) -> list[FieldError]:
    """Everything that is wrong with the form of a request, one error per field, in the fields' order."""
    if not isinstance(request, Mapping):
        return [FieldError("request", f"{shown(request)} is no JSON object", "one JSON object")]
    found: dict[str, FieldError] = {}
    for error in [*_unstorable(request), *_misfits(name, request)]:
        found.setdefault(error.field, error)
    return list(found.values())


def shown(value: Any) -> str:
    """A value as an error may show it: whole if it is short, never megabytes."""
    if isinstance(value, str):
        value = value[: _SHOWN + 1]
    elif isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name))


def _misfits(name: str, request: Mapping[str, Any]) -> Iterator[FieldError]:
    for error in _validator(name).iter_errors(request):
        yield from _told(schema(name), request, error)


def _told(
    known: Mapping[str, Any], request: Mapping[str, Any], error: ValidationError
) -> Iterator[FieldError]:
    path = list(error.absolute_path)
    if path:
        field = "".join(f"[{step}]" if isinstance(step, int) else str(step) for step in path[:2])
        right = known["properties"][path[0]]["description"]
        yield FieldError(field, _reason(error), right)
    elif error.validator == "additionalProperties":
        right = f"one of {', '.join(known['properties'])}"
        strange = sorted(str(name)[:_SHOWN] for name in request if name not in known["properties"])
        yield from (FieldError(name, "there is no such field", right) for name in strange[:20])
    elif error.validator == "required":
        missing = [name for name in known["required"] if name not in request]
        yield from (
            FieldError(name, "it is missing", known["properties"][name]["description"]) for name in missing
        )
    else:
        yield FieldError("request", "it does not fit", known["description"])


def _reason(error: ValidationError) -> str:
    found: Any = error.instance
    match error.validator:
        case "maxLength":
            return f"it has {len(found)} characters"
        case "minLength":
            return "it is empty"
        case "maxItems":
            return f"there are {len(found)}"
        case _:
            return f"{shown(found)} does not fit"


def _unstorable(request: Mapping[str, Any]) -> Iterator[FieldError]:
    """What Postgres cannot keep as JSON (NUL, half a pair, no finite number), or is nested too deep.

    Without recursion: the depth is what a caller chooses.
    """
    for name, value in request.items():
        if _unkeepable(name):
            yield FieldError(shown(name)[:_SHOWN], *_CHARACTER)
        for found in _each(value):
            if isinstance(found, str) and _unkeepable(found):
                yield FieldError(name, *_CHARACTER)
            elif isinstance(found, float) and not isfinite(found):
                yield FieldError(name, f"{found} is no number that JSON has", "a finite number")
            elif found is _TOO_DEEP:
                yield FieldError(name, "it is nested too deep", f"at most {MAX_DEPTH} levels")


_CHARACTER = ("it has a character that cannot be stored (NUL or half a pair)", "the text without it")
_TOO_DEEP = object()


def _each(value: Any) -> Iterator[Any]:
    """Every value and every name in a value."""
    left = [(value, 1)]
    while left:
        found, depth = left.pop()
        if isinstance(found, list | dict):
            if depth > MAX_DEPTH:
                yield _TOO_DEEP
                return
            inner = [*found, *found.values()] if isinstance(found, dict) else found
            left += [(one, depth + 1) for one in inner]
        else:
            yield found


def _unkeepable(text: str) -> bool:
    if "\0" in text:
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
