"""How kapi and kauth speak: answers read strictly, errors mapped by the table."""

from __future__ import annotations

from typing import Any

from gateways.classify import Acceptance, classify, retry_after_s
from gateways.http import Reply
from gateways.kakao.errors import BY_CODE, told
from gateways.outcomes import Accepted, Outcome, RejectedFinal, RejectedRetry, Unknown

_NAMED_MAX = 300


class _Memo:
    """`{"result_code": 0}`; no id comes with it."""

    not_accepted = frozenset({429})

    def read_acceptance(self, reply: Reply) -> Acceptance | None:
        body = reply.json()
        taken = (
            isinstance(body, dict)
            and body.get("result_code") == 0
            and not isinstance(body["result_code"], bool)
        )
        return Acceptance(None) if taken else None

    def read_error(self, reply: Reply) -> str | None:
        return error_code(reply)


class _Friends(_Memo):
    """`{"successful_receiver_uuids": […], "failure_info": […]}`; some may have got it, some not."""

    def read_acceptance(self, reply: Reply) -> Acceptance | None:
        return Acceptance(None) if _receivers(reply) is not None else None


MEMO, FRIENDS = _Memo(), _Friends()


def error_code(reply: Reply) -> str | None:
    """The code of kapi's `{"msg", "code"}` or kauth's `{"error", "error_code"}`; None: not said by Kakao."""
    body = reply.json()
    if not isinstance(body, dict):
        return None
    code = body.get("code")
    if isinstance(body.get("msg"), str) and isinstance(code, int) and not isinstance(code, bool):
        return str(code)
    code = body.get("error_code")
    return code[:20] if isinstance(body.get("error"), str) and isinstance(code, str) and code else None


def memo_outcome(reply: Reply) -> Outcome:
    """What the answer to a memo proves."""
    return _judged(classify(reply, MEMO), reply)


def friends_outcome(reply: Reply) -> Outcome:
    """What the answer to a message for friends proves; who was refused is named in `answer["refused"]`."""
    outcome = classify(reply, FRIENDS)
    found = _receivers(reply)
    if not isinstance(outcome, Accepted) or found is None or not found[1]:
        return _judged(outcome, reply)
    got, refused = found
    answer = {**outcome.answer, "refused": refused}
    if not got:
        code = str(refused[0]["code"])
        return RejectedFinal(
            told(code), outcome.http_status, answer=answer, wrote_after_ms=outcome.wrote_after_ms
        )
    return Accepted(
        "accepted_in_part", outcome.http_status, answer=answer, wrote_after_ms=outcome.wrote_after_ms
    )


def _judged(outcome: Outcome, reply: Reply) -> Outcome:
    """An error of Kakao's own means what the table says, whatever status it came with."""
    code = error_code(reply) if reply.status >= 400 else None
    if code is None:
        return outcome
    known = BY_CODE.get(code)
    effect = known.effect if known else None
    facts: dict[str, Any] = {
        "http_status": reply.status, "answer": reply.answer(), "wrote_after_ms": reply.wrote_after_ms,
    }  # fmt: skip
    if effect in ("retry", "token"):
        return RejectedRetry(told(code), retry_after_s=retry_after_s(reply), **facts)
    if effect == "final":
        return RejectedFinal(told(code), **facts)
    if effect == "unknown":
        return Unknown(told(code), **facts)
    return outcome


def _receivers(reply: Reply) -> tuple[list[str], list[dict[str, Any]]] | None:
    """Who got it, and who did not and why; None if this is no such answer."""
    body = reply.json() if not reply.cut else None
    got = body.get("successful_receiver_uuids") if isinstance(body, dict) else None
    refused = body.get("failure_info", []) if isinstance(body, dict) else None
    if not isinstance(got, list) or not isinstance(refused, list):
        return None
    try:
        told_of = [
            {"code": int(one["code"]), "msg": str(one.get("msg", ""))[:_NAMED_MAX],
             "receivers": [str(uuid) for uuid in one["receiver_uuids"]]}
            for one in refused
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError):
        return None
    return [str(uuid) for uuid in got], told_of
