"""Memo and friends: one adapter, two ways of addressing. See `gateways.adapter.Adapter`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateways.adapter import Line
from gateways.capabilities import Capabilities
from gateways.errors import RoomsUnavailable
from gateways.http import Prepared, Reply, Transport
from gateways.kakao.dialect import error_code, friends_outcome, memo_outcome
from gateways.kakao.errors import BY_CODE, told
from gateways.kakao.tokens import Tokens
from gateways.message import PartToSend, RoomAddress, Sought
from gateways.outcomes import (
    LookUp,
    LookUpUnavailable,
    NotSent,
    Outcome,
    RejectedFinal,
    RejectedRetry,
    Unknown,
)
from runtime.environment import SettingsError
from runtime.sealing import Unsealable

TEXT_LIMIT: Final = 200
RECEIVERS_MAX: Final = 5
_UUID = re.compile(r"[A-Za-z0-9_=+/-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Way:
    """One of the two APIs: its path, who is named in the form, how its answer is read."""

    path: str
    address: Callable[[str], dict[str, str] | str]
    outcome: Callable[[Reply], Outcome]


def _to_me(_room: str) -> dict[str, str] | str:
    return {}


def _to_friends(room: str) -> dict[str, str] | str:
    receivers = [one.strip() for one in room.split(",") if one.strip()]
    if not 1 <= len(receivers) <= RECEIVERS_MAX or not all(_UUID.fullmatch(one) for one in receivers):
        return "bad_address: 1 to 5 receiver uuids, separated by commas (`jeongsi room set ROOM --address`)"
    return {"receiver_uuids": json.dumps(receivers)}


MEMO = Way("/v2/api/talk/memo/default/send", _to_me, memo_outcome)
FRIENDS = Way("/v1/api/talk/friends/message/default/send", _to_friends, friends_outcome)


class KakaoLine:
    """One prepared connection, and the access token that it goes with."""

    __slots__ = ("_api", "access", "before", "prepared")

    def __init__(self, api: Transport, prepared: Prepared, access: str) -> None:
        self._api, self.prepared, self.access = api, prepared, access
        self.before: dict[str, Any] | None = None

    def close(self) -> None:
        """Give the connection back unused; harmless after a send."""
        self._api.release(self.prepared)


class KakaoAdapter:
    """Texts by the default template `text`. ``link``: where a tap leads; a registered domain of the app."""

    def __init__(
        self,
        channel: str,
        way: Way,
        api: Transport,
        tokens: Tokens,
        *,
        link: str,
        long_text: Literal["split", "refuse"] = "split",
    ) -> None:
        self.channel = channel
        self._way, self._api, self._tokens, self._link = way, api, tokens, link
        self._capabilities = Capabilities(text_limit=TEXT_LIMIT, long_text=long_text)

    def capabilities(self) -> Capabilities:
        """Neither key nor look-up; texts of 200 characters, no images."""
        return self._capabilities

    def open(self, room: RoomAddress) -> KakaoLine | NotSent | RejectedFinal:
        """A good token and a connection. RejectedFinal, if a person must log in first."""
        try:
            access = self._tokens.fresh()
        except (Unsealable, SettingsError) as error:
            return RejectedFinal(f"kakao_token_sealed: {error}")
        if not isinstance(access, str):
            return access
        prepared = self._api.prepare()
        return prepared if isinstance(prepared, NotSent) else KakaoLine(self._api, prepared, access)

    def send(
        self, line: Line, room: RoomAddress, part: PartToSend, *, write_by: float | None = None
    ) -> Outcome:
        """POST the text as a form. -401 lets the next try take a new token, if one can be had."""
        assert isinstance(line, KakaoLine), "a line belongs to the adapter that opened it"
        address = self._way.address(room.room)
        if part.text is None or isinstance(address, str):
            line.close()
            return RejectedFinal(address if isinstance(address, str) else "this channel takes no images")
        form = {**address, "template_object": json.dumps(self._template(part.text), ensure_ascii=False)}
        headers = {"Authorization": f"Bearer {line.access}"}
        reply = self._api.send(line.prepared, "POST", self._way.path, headers, form=form, write_by=write_by)
        if not isinstance(reply, Reply):
            return reply
        outcome = self._way.outcome(reply)
        return self._after_refusal(line, reply, outcome) if isinstance(outcome, RejectedRetry) else outcome

    def look_up(self, room: RoomAddress, sought: Sought) -> LookUp:
        """Kakao cannot be asked what became of a message."""
        return LookUpUnavailable("kakao_has_no_look_up")

    def rooms(self) -> list[str]:
        """The uuids of friends who can be sent to, first page of 100; a memo goes to oneself alone."""
        if self._way is MEMO:
            return ["me"]
        reply = self._get("/v1/api/talk/friends?limit=100")
        body = reply.json() if isinstance(reply, Reply) and reply.status == 200 else None
        elements = body.get("elements") if isinstance(body, dict) else None
        if not isinstance(elements, list):
            code = error_code(reply) if isinstance(reply, Reply) else None
            raise RoomsUnavailable(self.channel, told(code) if code else "no list of friends came back")
        return [str(one["uuid"]) for one in elements if isinstance(one, dict) and "uuid" in one]

    def close(self) -> None:
        """Close idle connections."""
        self._api.close()

    def _template(self, text: str) -> dict[str, Any]:
        return {
            "object_type": "text",
            "text": text,
            "link": {"web_url": self._link, "mobile_web_url": self._link},
        }

    def _after_refusal(self, line: KakaoLine, reply: Reply, outcome: RejectedRetry) -> Outcome:
        known = BY_CODE.get(error_code(reply) or "")
        if known is None or known.effect != "token" or self._tokens.refuse(line.access):
            return outcome
        return RejectedFinal(
            outcome.reason, outcome.http_status, answer=outcome.answer, wrote_after_ms=outcome.wrote_after_ms
        )

    def _get(self, path: str) -> Reply | NotSent | Unknown | RejectedFinal:
        access = self._tokens.fresh()
        if not isinstance(access, str):
            return access
        prepared = self._api.prepare()
        if isinstance(prepared, NotSent):
            return prepared
        return self._api.send(prepared, "GET", path, {"Authorization": f"Bearer {access}"})
