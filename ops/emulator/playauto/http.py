"""The HTTP side of an emulated PlayAuto: `/playauto/...`, its faults, and `/_control/playauto/...`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from ops.emulator.bridge import Answer
from ops.emulator.faults import Rule
from ops.emulator.playauto.api import READS, PlayAuto, Spoken

if TYPE_CHECKING:
    from ops.emulator.handler import Handler

#: As the gateway in front says them; PlayAuto documents none of these.
_STOPPING: dict[str, tuple[int, dict[str, Any]]] = {
    "429": (429, {"message": "Too Many Requests"}),
    "503": (503, {"message": "Service Unavailable"}),
    "500_before": (500, {"message": "Internal server error"}),
    "4xx": (400, {"error_code": "400", "messages": ["refused by a scripted fault"]}),
}


def serve(handler: Handler, playauto: PlayAuto, path: str, rest: list[str], body: bytes) -> None:
    """Answer one request. Faults meet the channels NAME, NAME-read and NAME-auth; NAME is `playauto`."""
    faults, read = handler.emulator.faults, bool(rest) and rest[0] in READS and handler.command != "PUT"
    lag = faults.choose(playauto.name, None, None, path, lookup=True) if read else None
    way = "-read" if read else "-auth" if rest == ["auth"] else ""
    rule = faults.choose(playauto.name + way, None, None, path, lookup=False)
    asked, met = _json(body), rule or lag
    playauto.requests.append(
        {"at": playauto.now(), "method": handler.command, "path": path, "rows": _rows(asked),
         "fault": met.fault if met else None, "connection": handler.client_address[1]}
    )  # fmt: skip
    if lag is not None and lag.fault == "lookup_down":
        handler._html(503, "<h1>Service Unavailable</h1>")
        return
    if rule is not None and _stopped(handler, rule):
        return
    effect = rule is None or rule.fault not in ("lost", "undelivered")
    spoken = playauto.answer(
        handler.command, rest, handler.headers, asked, blind=lag is not None, effect=effect
    )
    handler.emulator.clock.wait(playauto.rules.latency_s, handler.emulator.stopping)
    if rule is None or not _spoiled(handler, rule, spoken):
        _say(handler, spoken.status, spoken.body)


def control(playauto: PlayAuto, method: str, name: str, target: str, asked: dict[str, Any]) -> Answer | None:
    """One request to `/_control/playauto/NAME`; None if there is none of that name. Raises ValueError."""
    query = {key: one[0] for key, one in parse_qs(urlsplit(target).query).items()}
    match method, name:
        case "POST", "seed":
            return Answer(200, playauto.seed(int(asked.pop("orders")), **asked))
        case "POST", "settings":
            playauto.rules.change(asked)
            return Answer(200, {})
        case "POST", "expire-tokens":
            return Answer(200, {"expired": playauto.expire_tokens()})
        case "POST", "reset":
            playauto.reset()
            return Answer(200, {})
        case "GET", "receipts":
            changes = playauto.changes.all(int(query.get("since", "0")))
            return Answer(200, {"receipts": [asdict(one) for one in changes]})
        case "GET", "summary":
            return Answer(200, playauto.changes.summary() | {"orders": len(playauto.orders)})
        case "GET", "requests":
            return Answer(200, {"requests": list(playauto.requests)})
        case "GET", "bundles":
            limit = int(query["limit"]) if "limit" in query else None
            return Answer(200, {"bundles": playauto.bundles(query.get("state"), limit)})
        case "GET", "jobs":
            return Answer(200, {"jobs": [_job(one) for one in list(playauto.jobs.all)]})
    return None


def _job(job: Any) -> dict[str, Any]:
    return {
        "work_no": job.work_no, "name": job.name, "shop_cd": job.shop_cd, "shop_id": job.shop_id,
        "state": job.state, "callbacks": job.callbacks,
    }  # fmt: skip


def _stopped(handler: Handler, rule: Rule) -> bool:
    if rule.fault in _STOPPING:
        status, body = _STOPPING[rule.fault]
        handler._answer(Answer(status, body, {"Retry-After": "1"} if status in (429, 503) else {}))
        return True
    return handler._stopped_before(rule)


def _spoiled(handler: Handler, rule: Rule, spoken: Spoken) -> bool:
    if rule.fault == "500_after":
        handler._answer(Answer(*_STOPPING["500_before"]))
        return True
    spoils = rule.fault in ("drip", "cut_body")
    return handler._spoiled_after(rule, Answer(spoken.status, json.loads(spoken.body) if spoils else {}))


def _say(handler: Handler, status: int, body: bytes) -> None:
    handler._write(status, body, "application/json; charset=utf-8", {})


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _rows(asked: Any) -> int:
    """How many bundles or numbers a request names."""
    if not isinstance(asked, dict):
        return 0
    for name in ("orders", "bundle_codes", "list"):
        if isinstance(asked.get(name), list):
            return len(asked[name])
    words = asked.get("multi_search_word")
    return len(str(words).split("\n")) if words else 0
