"""A provider's answer as it may be kept in the ledger: JSON-able, small, without secrets."""

from __future__ import annotations

import json
import re
from typing import Any

from runtime.logs import masked_text

ANSWER_MAX_BYTES = 8 * 1024
_SECRET_KEY = re.compile(r"token|passw|secret|authorization|cookie|credential|api_?key|private_key", re.I)
_DEPTH_MAX = 20


def kept(status: int | None, body: bytes, **more: Any) -> dict[str, Any]:
    """`{"status", "body" (JSON) or "text", …}`, at most ANSWER_MAX_BYTES as UTF-8 JSON; a longer one is cut
    to its beginning and says `"cut": true`."""
    answer: dict[str, Any] = {"status": status} if status is not None else {}
    answer |= {name: value for name, value in more.items() if value}
    text = body.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
    if not text:
        return answer
    try:
        whole = answer | {"body": _masked(json.loads(text))}
    except (ValueError, RecursionError):
        whole = answer | {"text": masked_text(text)}
    if _size(whole) <= ANSWER_MAX_BYTES:
        return whole
    return _cut(
        answer, masked_text(json.dumps(whole["body"], ensure_ascii=False) if "body" in whole else text)
    )


def _cut(answer: dict[str, Any], text: str) -> dict[str, Any]:
    room = ANSWER_MAX_BYTES - _size(answer | {"cut": True, "text": ""})
    start = text[:room]
    while (over := _size(answer | {"cut": True, "text": start}) - ANSWER_MAX_BYTES) > 0:
        start = start[: -max(1, over // 6)]  # one character takes up to six bytes of JSON (\u0001)
    return answer | {"cut": True, "text": start}


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _masked(value: Any, depth: int = 0) -> Any:
    if depth > _DEPTH_MAX:
        return "…"
    if isinstance(value, dict):
        return {
            key.replace("\x00", "\N{REPLACEMENT CHARACTER}"): "***"
            if _SECRET_KEY.search(key) and one
            else _masked(one, depth + 1)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_masked(one, depth + 1) for one in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return str(value)  # Postgres takes neither NaN nor Infinity in JSON
    return _storable(value) if isinstance(value, str) else value


def _storable(text: str) -> str:
    """Postgres takes neither NUL nor half a surrogate pair in JSON text."""
    clean = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return masked_text(clean)
