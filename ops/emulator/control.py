"""`/_control`: scripting the emulator from another process.

GET  /_control/receipts?since=N   effects with a number above N
GET  /_control/requests           every send and look-up seen, with the fault it met
GET  /_control/kakao              the same of Kakao's own API
GET  /_control/faults             rules with their hits, rates, seed, counts
POST /_control/faults             {"rules": [{"fault", "room", "key", "path", "channel", "count", "delay_s"}],
                                   "rates": {"429": 0.01}, "rate": 0.02, "clear": true}
POST /_control/settings           {"lookup_lag_s", "deliver_after_s", "slow_s", "missing_rooms": []}
GET  /_control/notices            what the Discord and Slack webhooks were given, and every request they saw
POST /_control/webhooks           {"gone": [ids], "rules": [{"fault", "channel", "room", "count", "delay_s"}]}
/_control/playauto/… (or playauto-2, …):
GET  receipts?since=N | summary | requests | jobs | bundles?state=S&limit=N
POST seed                         {"orders", "shops", "states": {s: share}, "refuse": {code: share},
                                   "bundled", "days", "seed"}
POST settings                     the switches of `PlayAutoRules`
POST expire-tokens | reset        {}
POST /_control/reset              no faults, no remembered keys (the receipt file stays)
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from ops.emulator.bridge import Answer, error
from ops.emulator.faults import Rule, everyday_rates
from ops.emulator.playauto import http as playauto_http

if TYPE_CHECKING:
    from ops.emulator.server import Emulator

_RULE_FIELDS = ("fault", "channel", "room", "key", "path", "count", "delay_s")
_SETTINGS = ("lookup_lag_s", "deliver_after_s", "slow_s")


def handle(emulator: Emulator, method: str, name: str, target: str, body: bytes) -> Answer:
    """Answer one control request; a wrong one gets 400 with the reason."""
    try:
        asked = json.loads(body) if body else {}
        match method, name:
            case "GET", "receipts":
                since = int(parse_qs(urlsplit(target).query).get("since", ["0"])[0])
                return Answer(200, {"receipts": [asdict(one) for one in emulator.receipts.all(since)]})
            case "GET", "requests":
                return Answer(200, {"requests": list(emulator.requests)})
            case "GET", "kakao":
                return Answer(200, {"requests": list(emulator.kakao.requests)})
            case "GET", "faults":
                return Answer(200, emulator.faults.state())
            case "POST", "faults":
                _script(emulator, asked)
                return Answer(200, emulator.faults.state())
            case "POST", "settings":
                _set(emulator, asked)
                return Answer(200, {})
            case "GET", "notices":
                return Answer(200, emulator.webhooks.state())
            case "POST", "webhooks":
                emulator.webhooks.gone |= {str(one) for one in asked.get("gone", [])}
                for one in asked.get("rules", []):
                    emulator.webhooks.faults.add(_rule(one))
                return Answer(200, {})
            case _, name if name.startswith("playauto"):
                return _playauto(emulator, method, name, target, asked)
            case "POST", "reset":
                emulator.reset()
                return Answer(200, {})
            case _:
                return error(404, "not_found", f"there is no {method} /_control/{name}")
    except (ValueError, TypeError, AttributeError, KeyError) as wrong:
        return error(400, "invalid_request", str(wrong))


def _playauto(emulator: Emulator, method: str, name: str, target: str, asked: dict[str, Any]) -> Answer:
    account, _, rest = name.partition("/")
    answer = playauto_http.control(emulator.playauto(account), method, rest, target, asked)
    return answer or error(404, "not_found", f"there is no {method} /_control/{name}")


def _script(emulator: Emulator, asked: dict[str, Any]) -> None:
    rules = [_rule(one) for one in asked.get("rules", [])]
    if asked.get("clear"):
        emulator.faults.clear()
    if "rate" in asked:
        emulator.faults.set_rates(everyday_rates(float(asked["rate"])))
    if "rates" in asked:
        emulator.faults.set_rates(asked["rates"])
    for rule in rules:
        emulator.faults.add(rule)


def _rule(asked: dict[str, Any]) -> Rule:
    if unknown := set(asked) - set(_RULE_FIELDS):
        raise ValueError(f"a rule has no {', '.join(sorted(unknown))}; it has {', '.join(_RULE_FIELDS)}")
    return Rule(**asked)


def _set(emulator: Emulator, asked: dict[str, Any]) -> None:
    if unknown := set(asked) - {*_SETTINGS, "missing_rooms"}:
        raise ValueError(f"there is no setting {', '.join(sorted(unknown))}")
    for name in _SETTINGS:
        if name in asked:
            setattr(emulator.behaviour, name, float(asked[name]))
    if "missing_rooms" in asked:
        emulator.behaviour.missing_rooms = {str(room) for room in asked["missing_rooms"]}
