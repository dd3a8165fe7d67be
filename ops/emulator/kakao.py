"""Kakao's REST API and its login, without HTTP: what providers.md section 1 says of them.

{url}/kakao is kapi (KAKAO_API_URL), {url}/kauth is kauth (KAKAO_AUTH_URL). A first token is had by
`grant()` or by the code `good` at /oauth/token. Texts that arrived are receipts of the channels
`kakao-memo` and `kakao-friends`, the room of a friend being its uuid.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ops.emulator.receipts import Receipts

ACCESS_S, REFRESH_S = 21_599, 5_183_999
ROTATE_BELOW_S = 30 * 86_400
ISSUES_MAX, ISSUES_WINDOW_S = 20, 600
RECEIVERS_MAX = 5
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer, and the effects that it reports: (channel, room, text) each."""

    status: int
    body: dict[str, Any]
    effects: tuple[tuple[str, str, str], ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class KakaoRules:
    """What may be changed while it runs.

    refuse_long     a text above 200 characters is refused; the documents only say what is displayed
    access_s        life of an access token, seconds
    quota           messages of one sender on a day; above it -532
    not_friends     uuids that are no friends of the account: -502
    refusing        uuids that refuse messages: -530
    answer_code     every send is refused with this code
    """

    refuse_long: bool = False
    access_s: float = ACCESS_S
    refresh_s: float = REFRESH_S
    quota: int = 100
    not_friends: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    scopes: str = "talk_message friends"
    answer_code: int | None = None
    client_id: str | None = None
    client_secret: str | None = None


_STATUS = {-401: 401, -402: 403, -3: 403, -4: 403, -5: 403, -406: 401, -9798: 503}
_MSG = {
    -2: "invalid arguments", -10: "API limit has been exceeded.", -401: "this access token does not exist",
    -402: "insufficient scopes.", -502: "not friend", -530: "receiver refuses messages",
    -532: "daily message limit per sender has been exceeded.",
}  # fmt: skip


class Kakao:
    """State of one app with one account. Thread-safe."""

    def __init__(self, receipts: Receipts, now: Callable[[], float]) -> None:
        self.rules = KakaoRules()
        self.requests: deque[dict[str, Any]] = deque(maxlen=10_000)
        self._receipts, self._now = receipts, now
        self._access: dict[str, float] = {}
        self._refresh: dict[str, float] = {}
        self._issued: deque[float] = deque()
        self._sent: Counter[str] = Counter()
        self._number = 0
        self._guard = threading.RLock()

    def grant(self, *, access_s: float | None = None, refresh_s: float | None = None) -> dict[str, Any]:
        """Tokens as a login gives them: `access_token`, `refresh_token`, `expires_in`, …"""
        with self._guard:
            return self._pair(self.rules.access_s if access_s is None else access_s,
                              self.rules.refresh_s if refresh_s is None else refresh_s)  # fmt: skip

    def unlink(self) -> None:
        """The account leaves the app: every token is dead at once."""
        with self._guard:
            self._access.clear()
            self._refresh.clear()

    def forget(self) -> None:
        """No tokens, no counts, no rules."""
        with self._guard:
            self.unlink()
            self._issued.clear()
            self._sent.clear()
            self.requests.clear()
            self.rules = KakaoRules()

    def take(self, spoken: Spoken, attempt: str | None) -> None:
        """The messages of an answer are shown."""
        for channel, room, text in spoken.effects:
            digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
            self._receipts.append(
                at=self._now(), channel=channel, room=room, kind="text", key=None, attempt=attempt,
                sha256=digest, message_id=f"{channel}-{{n}}",
            )  # fmt: skip

    def auth(self, method: str, rest: list[str], headers: Message, body: bytes) -> Spoken:
        """kauth: POST /oauth/token."""
        form = _form(headers, body)
        if (method, rest) != ("POST", ["oauth", "token"]):
            return Spoken(404, {"error": "not_found", "error_description": "no such page"})
        if form is None:
            return _koe(400, "invalid_request", "wrong content type", "KOE009")
        with self._guard:
            return self._token(form)

    def api(self, method: str, rest: list[str], target: str, headers: Message, body: bytes) -> Spoken:
        """kapi: memo, friends' messages, the list of friends."""
        with self._guard:
            access = headers.get("Authorization", "").removeprefix("Bearer ")
            if self._access.get(access, 0.0) <= self._now():
                return _refused(-401)
            match method, rest:
                case "POST", ["v2", "api", "talk", "memo", "default", "send"]:
                    return self._memo(_form(headers, body))
                case "POST", ["v1", "api", "talk", "friends", "message", "default", "send"]:
                    return self._friends(_form(headers, body))
                case "GET", ["v1", "api", "talk", "friends"]:
                    return self._list(target)
                case _:
                    return Spoken(404, {"msg": "no such api", "code": -9})

    def _token(self, form: dict[str, str]) -> Spoken:
        rules, now = self.rules, self._now()
        if rules.client_id is not None and form.get("client_id") != rules.client_id:
            return _koe(400, "invalid_client", "Not exist client_id", "KOE101")
        if rules.client_secret is not None and form.get("client_secret") != rules.client_secret:
            return _koe(401, "invalid_client", "Bad client credentials", "KOE010")
        while self._issued and self._issued[0] <= now - ISSUES_WINDOW_S:
            self._issued.popleft()
        if len(self._issued) >= ISSUES_MAX:
            return _koe(429, "rate_limited", "token request rate limit exceeded", "KOE237")
        if form.get("grant_type") == "authorization_code":
            if form.get("code") != "good":
                return _koe(400, "invalid_grant", "authorization code not found", "KOE320")
            return Spoken(200, self._pair(rules.access_s, rules.refresh_s))
        ends = self._refresh.get(form.get("refresh_token", ""))
        if form.get("grant_type") != "refresh_token" or ends is None or ends <= now:
            return _koe(400, "invalid_grant", "expired_or_invalid_refresh_token", "KOE322")
        answer = self._issue(rules.access_s)
        if ends - now < ROTATE_BELOW_S:
            del self._refresh[form["refresh_token"]]
            answer |= self._issue_refresh(rules.refresh_s)
        return Spoken(200, answer)

    def _pair(self, access_s: float, refresh_s: float) -> dict[str, Any]:
        return self._issue(access_s) | self._issue_refresh(refresh_s) | {"scope": self.rules.scopes}

    def _issue(self, seconds: float) -> dict[str, Any]:
        self._number += 1
        token = f"emulated-access-{self._number:06}"
        self._access[token] = self._now() + seconds
        self._issued.append(self._now())
        return {"token_type": "bearer", "access_token": token, "expires_in": max(1, int(seconds))}

    def _issue_refresh(self, seconds: float) -> dict[str, Any]:
        self._number += 1
        token = f"emulated-refresh-{self._number:06}"
        self._refresh[token] = self._now() + seconds
        return {"refresh_token": token, "refresh_token_expires_in": max(1, int(seconds))}

    def _memo(self, form: dict[str, str] | None) -> Spoken:
        text = self._text(form)
        if isinstance(text, Spoken):
            return text
        return Spoken(200, {"result_code": 0}, (("kakao-memo", "me", text),))

    def _friends(self, form: dict[str, str] | None) -> Spoken:
        text = self._text(form)
        if isinstance(text, Spoken):
            return text
        try:
            receivers = json.loads((form or {}).get("receiver_uuids", ""))
        except ValueError:
            return _refused(-2)
        if not isinstance(receivers, list) or not 1 <= len(receivers) <= RECEIVERS_MAX:
            return _refused(-2)
        got, failed = [], []
        for uuid in map(str, receivers):
            code = -502 if uuid in self.rules.not_friends else -530 if uuid in self.rules.refusing else None
            if code is None:
                got.append(uuid)
            else:
                failed.append({"code": code, "msg": _MSG[code], "receiver_uuids": [uuid]})
        answer: dict[str, Any] = {"successful_receiver_uuids": got}
        if failed:
            answer["failure_info"] = failed
        return Spoken(200, answer, tuple(("kakao-friends", uuid, text) for uuid in got))

    def _text(self, form: dict[str, str] | None) -> str | Spoken:
        """The text that would be shown, or the refusal."""
        if self.rules.answer_code is not None:
            return _refused(self.rules.answer_code)
        if "talk_message" not in self.rules.scopes:
            return _refused(
                -402, api_type="TALK_MEMO_DEFAULT_SEND", required_scopes=["talk_message"], allowed_scopes=[]
            )
        try:
            template = json.loads((form or {}).get("template_object", ""))
            text, link = template["text"], template["link"]
            kind = template["object_type"]
        except (ValueError, KeyError, TypeError):
            return _refused(-2)
        if kind != "text" or not isinstance(text, str) or not text or not isinstance(link, dict):
            return _refused(-2)
        if self.rules.refuse_long and len(text) > 200:
            return _refused(-2)
        day = str(int((self._now() + 32_400) // 86_400))
        self._sent[day] += 1
        return _refused(-532) if self._sent[day] > self.rules.quota else text

    def _list(self, target: str) -> Spoken:
        limit = int(dict(parse_qsl(urlsplit(target).query)).get("limit", "10"))
        friends = [
            {"id": n, "uuid": f"friend-{n}", "profile_nickname": f"친구{n}", "profile_thumbnail_image": "",
             "favorite": False, "allowed_msg": True}
            for n in range(1, 8)
        ]  # fmt: skip
        return Spoken(
            200,
            {"elements": friends[:limit], "total_count": len(friends), "before_url": None, "after_url": None},
        )


def _refused(code: int, **more: Any) -> Spoken:
    return Spoken(_STATUS.get(code, 400), {"msg": _MSG.get(code, "refused"), "code": code, **more})


def _koe(status: int, error: str, description: str, code: str) -> Spoken:
    return Spoken(status, {"error": error, "error_description": description, "error_code": code})


def _form(headers: Message, body: bytes) -> dict[str, str] | None:
    """The form of a request; None if it is none: kapi takes no JSON."""
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != FORM:
        return None
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))
    except (ValueError, UnicodeDecodeError):
        return None
