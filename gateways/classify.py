"""From an answer to an outcome: the table of exactly-once section 6, the same for every provider.

    2xx in the provider's own form, even cut off      Accepted
    429, or 503 with Retry-After, from the provider   RejectedRetry (where its contract says "not accepted")
    4xx in the provider's own error form              RejectedFinal (not 408, 409, 425, 429)
    everything else                                   Unknown

"The provider's own" matters: a captive portal's 200 and an intermediary's 404 look definite and prove
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from gateways.http import Reply
from gateways.outcomes import Accepted, Outcome, RejectedFinal, RejectedRetry, Unknown
from runtime.clock import clock

NEVER_FINAL = frozenset({408, 409, 425, 429})  # the request may still be at work, or was, behind the answer
RETRY_AFTER_MAX_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A 2xx that really is the provider's. `message_id` is its own id, where it arrived."""

    message_id: str | None


class Dialect(Protocol):
    """How one provider speaks."""

    not_accepted: frozenset[int]
    """Statuses of which the provider's contract says: not accepted, come again."""

    def read_acceptance(self, reply: Reply) -> Acceptance | None:
        """None: this 2xx was not said by the provider, or does not say that it took the message."""
        ...

    def read_error(self, reply: Reply) -> str | None:
        """The provider's own error code, or None if the body is not in its error form."""
        ...


def classify(reply: Reply, dialect: Dialect) -> Outcome:
    """What the answer proves. `reason` is the provider's error code or one of ours."""
    if 200 <= reply.status < 300:
        return _read_success(reply, dialect)
    code = dialect.read_error(reply)
    wait = retry_after_s(reply)
    if code is None:
        return _unknown(reply, _anonymous_reason(reply.status))
    if reply.status in dialect.not_accepted and (reply.status == 429 or wait is not None):
        return RejectedRetry(
            code,
            http_status=reply.status,
            retry_after_s=wait,
            answer=reply.answer(),
            wrote_after_ms=reply.wrote_after_ms,
        )
    if 400 <= reply.status < 500 and reply.status not in NEVER_FINAL:
        return RejectedFinal(
            code, http_status=reply.status, answer=reply.answer(), wrote_after_ms=reply.wrote_after_ms
        )
    return _unknown(reply, f"http_{reply.status}")


def retry_after_s(reply: Reply) -> float | None:
    """Seconds of the Retry-After header, as seconds or as a date (RFC 9110 10.2.3); None if unreadable."""
    text = reply.headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return min(float(text), RETRY_AFTER_MAX_S)
    try:
        at: datetime = parsedate_to_datetime(text)
    except ValueError:
        return None
    wait = (at.replace(tzinfo=at.tzinfo or UTC) - clock().now()).total_seconds()
    return min(max(0.0, wait), RETRY_AFTER_MAX_S)


def _read_success(reply: Reply, dialect: Dialect) -> Outcome:
    acceptance = dialect.read_acceptance(reply)
    if acceptance is None:
        return _unknown(reply, "not_the_provider")
    return Accepted(
        "body_cut" if reply.cut else "accepted",
        http_status=reply.status,
        provider_msg_id=acceptance.message_id,
        answer=reply.answer(),
        wrote_after_ms=reply.wrote_after_ms,
    )


def _anonymous_reason(status: int) -> str:
    if 300 <= status < 400:
        return "redirect"  # never followed; whoever answered had the whole request
    if 400 <= status < 500 and status not in NEVER_FINAL:
        return "intermediary"
    return f"http_{status}"


def _unknown(reply: Reply, reason: str) -> Unknown:
    return Unknown(
        reason, http_status=reply.status, answer=reply.answer(), wrote_after_ms=reply.wrote_after_ms
    )
