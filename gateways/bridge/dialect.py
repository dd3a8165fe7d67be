"""How a bridge speaks: its answers, read strictly. The words are those of docs/bridge.yaml."""

from __future__ import annotations

from typing import Any

from gateways.capabilities import Capabilities
from gateways.classify import Acceptance
from gateways.http import Reply
from gateways.outcomes import Absent, Found, LookUp, LookUpUnavailable

# Validity (30 min) and an hour: a key forgotten earlier would let our last try arrive a second time.
IDEMPOTENCY_TTL_MIN_S = 5400.0
STATES = ("accepted", "delivered", "failed")
ERROR_CODE_MAX = 64


class BridgeDialect:
    """For `classify`."""

    not_accepted = frozenset({429, 503})

    def read_acceptance(self, reply: Reply) -> Acceptance | None:
        """`{"accepted": true, "message_id"}`; a JSON answer that was cut off counts as well, since a bridge
        says 2xx for nothing else."""
        if not _is_json(reply):
            return None
        if reply.cut:
            return Acceptance(None)
        body = reply.json()
        if not isinstance(body, dict) or body.get("accepted") is not True:
            return None
        message_id = body.get("message_id")
        return Acceptance(message_id if isinstance(message_id, str) else None)

    def read_error(self, reply: Reply) -> str | None:
        """The `code` of `{"error": {"code", "message"}}`."""
        body = reply.json() if _is_json(reply) and not reply.cut else None
        error = body.get("error") if isinstance(body, dict) else None
        if not isinstance(error, dict) or not isinstance(error.get("message"), str):
            return None
        code = error.get("code")
        return code[:ERROR_CODE_MAX] if isinstance(code, str) and code else None


def read_look_up(reply: Reply) -> LookUp:
    """Absence is believed only of a whole 200 in the bridge's own form."""
    body = reply.json() if _is_json(reply) and not reply.cut else None
    found = body.get("found") if isinstance(body, dict) else None
    if reply.status != 200 or not isinstance(found, bool) or not isinstance(body, dict):
        reason = "not_the_provider" if reply.status == 200 else f"http_{reply.status}"
        return LookUpUnavailable(reason, reply.answer())
    if not found:
        return Absent(reply.answer())
    state, message_id = body.get("state"), body.get("message_id")
    if state not in STATES:
        return LookUpUnavailable("bad_state", reply.answer())
    return Found(state, message_id if isinstance(message_id, str) else None, reply.answer())


def read_capabilities(body: Any) -> Capabilities:
    """Raises ValueError naming the field that is missing or wrong.

    A bridge that remembers keys for less than IDEMPOTENCY_TTL_MIN_S is read as one without keys."""
    if not isinstance(body, dict):
        raise ValueError("the answer is no JSON object")  # noqa: TRY004 - a wrong answer, not a wrong call
    ttl = _number(body, "idempotency_ttl_s")
    return Capabilities(
        idempotency=_flag(body, "idempotency") and ttl >= IDEMPOTENCY_TTL_MIN_S,
        idempotency_ttl_s=ttl,
        lookup_by_key=_flag(body, "lookup_by_key"),
        lookup_authoritative=_flag(body, "lookup_authoritative"),
        lookup_lag_s=_number(body, "lookup_lag_s"),
        confirms=_flag(body, "confirms"),
        text_limit=int(_number(body, "text_limit", at_least=1)),
        images=_flag(body, "images"),
        max_images=int(_number(body, "max_images")),
        max_image_bytes=int(_number(body, "max_image_bytes")),
        image_types=_names(body, "image_types"),
        max_in_flight=None
        if body.get("max_in_flight") is None
        else int(_number(body, "max_in_flight", at_least=1)),
    )


def _flag(body: dict[str, Any], name: str) -> bool:
    if not isinstance(value := body.get(name), bool):
        raise ValueError(f"{name} must be true or false, not {value!r}")  # noqa: TRY004
    return value


def _number(body: dict[str, Any], name: str, at_least: float = 0) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not at_least <= value < 1e12:
        raise ValueError(f"{name} must be a number from {at_least:g} on, not {value!r}")
    return float(value)


def _names(body: dict[str, Any], name: str) -> tuple[str, ...]:
    value = body.get(name)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{name} must be a list of texts, not {value!r}")
    return tuple(value)


def _is_json(reply: Reply) -> bool:
    return reply.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "application/json"
