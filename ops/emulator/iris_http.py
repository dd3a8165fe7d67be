"""The HTTP side of an emulated Iris device: `/iris/...`, and `/iris-2/...` for more of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops.emulator.bridge import Answer
from ops.emulator.iris import IrisDevice, Refused

if TYPE_CHECKING:
    from ops.emulator.handler import Handler

_PAGE = "<!doctype html><title>Login</title><h1>Please sign in</h1>"
#: Faults that the device has, not the HTTP in front of it.
_OF_THE_DEVICE = frozenset({"lost", "pending", "stuck"})
_BEFORE = "Failed to write to the queue"


def serve(handler: Handler, device: IrisDevice, path: str, rest: list[str], body: bytes) -> None:
    """Answer one request to the device."""
    if device.phone.html:
        handler._html(200, _PAGE)
        return
    try:
        match handler.command, rest:
            case "GET", ["config"]:
                handler._answer(Answer(200, device.config()))
            case "GET", ["dashboard", "status"]:
                handler._answer(Answer(200, device.status()))
            case "POST", ["query"]:
                _query(handler, device, path, body)
            case "POST", ["reply"]:
                _reply(handler, device, path, body)
            case _:
                handler._write(404, b"", "text/plain", {})
    except Refused as refused:
        handler._answer(_error(str(refused)))


def _query(handler: Handler, device: IrisDevice, path: str, body: bytes) -> None:
    rule = handler.emulator.faults.choose(device.channel, None, None, path, lookup=True)
    if rule is not None and rule.fault == "lookup_down":
        handler._html(503, "<h1>Service Unavailable</h1>")
        return
    handler._answer(Answer(200, device.query(body, blind=rule is not None)))


def _reply(handler: Handler, device: IrisDevice, path: str, body: bytes) -> None:
    key, attempt = handler.headers.get("Idempotency-Key"), handler.headers.get("X-Attempt-Id")
    rule = handler.emulator.faults.choose(device.channel, None, key, path, lookup=False)
    handler.emulator.requests.append(
        {"at": handler.emulator.now(), "channel": device.channel, "method": "POST", "path": path, "key": key,
         "attempt": attempt, "fault": rule.fault if rule else None}
    )  # fmt: skip
    if rule is not None and rule.fault == "500_before":
        handler._answer(_error(_BEFORE))
        return
    if rule is not None and rule.fault not in _OF_THE_DEVICE and handler._stopped_before(rule):
        return
    of_device = rule.fault if rule is not None and rule.fault in _OF_THE_DEVICE else None
    delay_s = (rule.delay_s or 0.0) if rule is not None and of_device else 0.0
    answer = Answer(200, device.reply(body, key, attempt, of_device, delay_s))
    if rule is not None and rule.fault == "500_after":
        handler._answer(_error("unknown error"))
        return
    if rule is None or of_device or not handler._spoiled_after(rule, answer):
        handler._answer(answer)


def _error(message: str) -> Answer:
    body: dict[str, Any] = {"status": False, "message": message}
    return Answer(500, body)
