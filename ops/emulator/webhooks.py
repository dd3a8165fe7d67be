"""Incoming webhooks of Discord and Slack: what providers.md section 5 says of them, without HTTP.

{url}/discord/api/webhooks/ID/TOKEN and {url}/slack/services/T/B/X. A token `wrong` is refused as a wrong one;
ids in `gone` were deleted. What arrived is in `notices`, every request in `requests`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ops.emulator.faults import Faults

DISCORD_MOST = 2000
_TEXT = "text/html"


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message that a channel would show. `pings`: whom it would have called."""

    at: float
    service: str
    hook: str
    text: str
    message_id: str
    pings: bool


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, and the effect that it reports."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    effect: Arrived | None = None


class Webhooks:
    """State of both services. Thread-safe."""

    def __init__(self, seed: int, now: Callable[[], float]) -> None:
        self.faults = Faults(seed)
        self.gone: set[str] = set()
        self._now = now
        self._guard = threading.Lock()
        self._notices: list[Arrived] = []
        self._requests: list[dict[str, Any]] = []
        self._next = 1

    @property
    def notices(self) -> list[Arrived]:
        """What arrived, oldest first."""
        with self._guard:
            return list(self._notices)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Every request: at (epoch seconds), service, hook, status it would get without a fault."""
        with self._guard:
            return list(self._requests)

    def state(self) -> dict[str, Any]:
        """As JSON, without tokens."""
        return {"notices": [asdict(one) for one in self.notices], "requests": self.requests}

    def reset(self) -> None:
        """Forget faults, deleted hooks and what arrived."""
        self.faults.clear()
        with self._guard:
            self.gone.clear()
            self._notices.clear()
            self._requests.clear()

    def receive(self, effect: Arrived) -> None:
        """The message is shown."""
        with self._guard:
            self._notices.append(effect)

    def meet(self, service: str, method: str, rest: list[str], target: str, body: Any) -> Said:
        """What this request would be answered with."""
        said = self._discord(rest, target, body) if service == "discord" else self._slack(rest, body)
        if method != "POST":
            said = Said(405, b'{"message": "405: Method Not Allowed", "code": 0}')
        with self._guard:
            hook = rest[-2] if len(rest) > 1 else ""
            self._requests.append(
                {"at": self._now(), "service": service, "hook": hook, "status": said.status}
            )
        return said

    def limited(self, service: str, retry_after_s: float) -> Said:
        """429 as each says it: Discord in the body too, with fractions; Slack in whole seconds."""
        if service == "slack":
            return Said(429, b"rate_limited", _TEXT, {"Retry-After": f"{max(round(retry_after_s), 1)}"})
        body = {"message": "You are being rate limited.", "retry_after": retry_after_s, "global": False}
        headers = {
            "Retry-After": f"{max(round(retry_after_s), 1)}", "X-RateLimit-Limit": "5",
            "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{self._now() + retry_after_s:.3f}",
            "X-RateLimit-Reset-After": f"{retry_after_s:.3f}", "X-RateLimit-Bucket": "emulated",
            "X-RateLimit-Scope": "user",
        }  # fmt: skip
        return Said(429, json.dumps(body).encode(), headers=headers)

    def _discord(self, rest: list[str], target: str, body: Any) -> Said:
        match [one for one in rest if not one.startswith("v")]:
            case ["api", "webhooks", hook, token] if hook.isdigit():
                pass
            case _:
                return _error(404, 0, "404: Not Found")
        if hook in self.gone:
            return _error(404, 10015, "Unknown Webhook")
        if token == "wrong":  # noqa: S105 - a name, no secret
            return _error(401, 50027, "Invalid Webhook Token")
        content = body.get("content") if isinstance(body, dict) else None
        if not isinstance(content, str) or not content.strip():
            return _error(400, 50006, "Cannot send an empty message")
        if len(content.encode("utf-16-le")) // 2 > DISCORD_MOST:
            longest = {"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 2000 or fewer in length."}
            errors = {"content": {"_errors": [longest]}}
            return _error(400, 50035, "Invalid Form Body", errors=errors)
        allowed = body.get("allowed_mentions", {}).get("parse", ["everyone"])
        pings = "everyone" in allowed and ("@everyone" in content or "@here" in content)
        effect = self._effect("discord", hook, content, pings)
        if parse_qs(urlsplit(target).query).get("wait") != ["true"]:
            return Said(204, effect=effect)
        shown = {
            "id": effect.message_id,
            "type": 0,
            "content": content,
            "channel_id": "1",
            "webhook_id": hook,
        }
        return Said(200, json.dumps(shown, ensure_ascii=False).encode(), effect=effect)

    def _slack(self, rest: list[str], body: Any) -> Said:
        match rest:
            case ["services", _, hook, token]:
                pass
            case _:
                return Said(404, b"no_service", _TEXT)
        if hook in self.gone:
            return Said(404, b"no_service", _TEXT)
        if token == "wrong":  # noqa: S105
            return Said(403, b"invalid_token", _TEXT)
        if not isinstance(body, dict):
            return Said(400, b"invalid_payload", _TEXT)
        text = body.get("text")
        if not isinstance(text, str) or not text:
            return Said(400, b"no_text", _TEXT)
        effect = self._effect("slack", hook, text, "<!channel>" in text or "<!everyone>" in text)
        return Said(200, b"ok", _TEXT, effect=effect)

    def _effect(self, service: str, hook: str, text: str, pings: bool) -> Arrived:
        with self._guard:
            number, self._next = self._next, self._next + 1
        return Arrived(self._now(), service, hook, text, f"{service}-{number}", pings)


def _error(status: int, code: int, message: str, **more: Any) -> Said:
    return Said(status, json.dumps({"message": message, "code": code, **more}).encode())
