"""What a target said, as one value, and how the webhooks' answers are read (providers.md section 5)."""

from __future__ import annotations

import email.utils
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateways.answer import kept
from gateways.http import Reply
from runtime.clock import clock

What = Literal["sent", "later", "failed", "refused", "gone"]
LONGEST_WAIT_S = 3600.0
USUAL_WAIT_S = 30.0
#: Discord's own codes for a webhook that will never work again: unknown webhook, invalid webhook token.
DISCORD_GONE = frozenset({10015, 50027})
#: Slack's words for the same (403, 404, 410).
SLACK_GONE = frozenset(
    {"no_active_hooks", "no_service", "no_service_id", "no_team", "team_disabled", "invalid_token",
     "channel_not_found", "channel_is_archived", "action_prohibited", "posting_to_general_channel_denied"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Heard:
    """sent: it has it. later: it asked for `wait_s`. failed: try again. refused: never this notice.

    gone: never again at all. `error` is a short reason without secrets; `answer` fits a JSON column."""

    what: What
    error: str | None = None
    wait_s: float = 0.0
    message_id: str | None = None
    answer: dict[str, Any] = field(default_factory=dict)


def from_discord(reply: Reply) -> Heard:
    """With wait=true success is 200 and a message; 204 comes from what forgot the question."""
    body, answer = reply.json(), _kept(reply)
    if reply.status == 200 and isinstance(body, dict) and isinstance(body.get("id"), str):
        return Heard("sent", message_id=body["id"], answer=answer)
    if reply.status == 204:
        return Heard("sent", answer=answer)
    if reply.status == 429:
        return later(reply, answer)
    code = body.get("code") if isinstance(body, dict) else None
    if reply.status in (401, 403, 404, 410) and code in DISCORD_GONE:
        return Heard("gone", f"HTTP {reply.status}: {body['message']}", answer=answer)
    return _unhappy(reply, answer, own=code is not None)


def from_slack(reply: Reply) -> Heard:
    """Text answers: `ok`, or the error's name."""
    word, answer = reply.body.decode("utf-8", "replace").strip(), _kept(reply)
    if reply.status == 200 and word == "ok":
        return Heard("sent", answer=answer)
    if reply.status == 429:
        return later(reply, answer)
    if reply.status in (403, 404, 410) and word in SLACK_GONE:
        return Heard("gone", f"HTTP {reply.status}: {word}", answer=answer)
    return _unhappy(reply, answer, own=bool(word) and word.replace("_", "").isalpha() and len(word) < 60)


def from_web(reply: Reply) -> Heard:
    """Any other web address: 2xx is taken, 410 is its own word for gone, other refusals may be passing."""
    answer = _kept(reply)
    if 200 <= reply.status < 300:
        return Heard("sent", answer=answer)
    if reply.status == 429:
        return later(reply, answer)
    if reply.status == 410:
        return Heard("gone", "HTTP 410", answer=answer)
    return _unhappy(reply, answer, own=reply.status in (400, 413, 422))


def later(reply: Reply, answer: dict[str, Any]) -> Heard:
    """429: not before what the body says, else the header; both may be fractions of a second."""
    return Heard("later", "HTTP 429", wait_s=retry_after_s(reply.headers, reply.body), answer=answer)


def retry_after_s(headers: Mapping[str, str], body: bytes) -> float:
    """Seconds to wait by `retry_after` in the body or `Retry-After` (seconds or a date), the longer one."""
    found = [_number(headers.get("Retry-After", "")), _date_s(headers.get("Retry-After", ""))]
    try:
        said = json.loads(body)
        found.append(_number(str(said["retry_after"])))
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    known = [one for one in found if one is not None]
    return min(max(known), LONGEST_WAIT_S) if known else USUAL_WAIT_S


def _unhappy(reply: Reply, answer: dict[str, Any], *, own: bool) -> Heard:
    """A client error in the service's own form is about this notice; anything else may pass."""
    final = own and 400 <= reply.status < 500 and reply.status not in (401, 403, 404, 408, 425)
    return Heard("refused" if final else "failed", f"HTTP {reply.status}", answer=answer)


def _kept(reply: Reply) -> dict[str, Any]:
    return kept(reply.status, reply.body[:1024])


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _date_s(text: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return None if moment.tzinfo is None else max((moment - clock().now()).total_seconds(), 0.0)
