"""How Iris answers /reply. A 200 means "queued on the device" and proves nothing; any error is a 500."""

from __future__ import annotations

from gateways.http import Reply

# What Iris says when it could not even read the request, so that nothing was queued: words of Ktor,
# kotlinx.serialization and Kotlin's toLong.
_UNREADABLE = (
    "failed to convert request body",
    "illegal input",
    "unexpected json token",
    "unknown key",
    "is required for type",
    "fields [",
    "does not contain element with name",
    "unknown type",
    "for input string",
    "element class kotlinx.serialization",
)


def is_queued(reply: Reply) -> bool:
    """`{"success": true, …}`: it lies in the device's queue of one. A 200 that was cut off says as much."""
    if reply.status != 200 or not is_json(reply):
        return False
    if reply.cut:
        return True
    said = reply.json()
    return isinstance(said, dict) and said.get("success") is True


def refusal(reply: Reply) -> str | None:
    """Iris's own words if they prove that it could not read the request; None for every other answer."""
    said = reply.json() if reply.status == 500 and is_json(reply) and not reply.cut else None
    if not isinstance(said, dict) or said.get("status", False) is not False or "success" in said:
        return None
    message = said.get("message")
    if not isinstance(message, str):
        return None
    return message if any(words in message.lower() for words in _UNREADABLE) else None


def why_unclear(reply: Reply) -> str:
    """A short stable code for an answer that proves nothing."""
    if 300 <= reply.status < 400:
        return "redirect"
    return "not_the_provider" if 200 <= reply.status < 300 else f"http_{reply.status}"


def is_json(reply: Reply) -> bool:
    """Whether the answer calls itself JSON."""
    return reply.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "application/json"
