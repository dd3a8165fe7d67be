"""The access token: where it comes from, when it is refreshed, and who must act when it cannot be.

One refresh at a time over all workers: Kakao issues 20 access tokens in ten minutes and kills the old refresh
token when it hands out a new one. The store (a table, see models/ledger/tokens.py) is handed in.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from gateways.http import Reply, Transport
from gateways.kakao.dialect import error_code
from gateways.kakao.errors import BY_CODE, told
from gateways.outcomes import NotSent, RejectedFinal, Unknown
from runtime.clock import clock
from runtime.events import Event, emit

_LOOK_AGAIN_S = 2.0  # how long this process believes what it last read from the store


@dataclass(frozen=True, slots=True)
class KakaoToken:
    """Tokens of the account that sends. ``expires_at`` None: nobody said; used until Kakao refuses it."""

    access: str
    refresh: str | None = None
    expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    scopes: str = ""

    def __repr__(self) -> str:
        return f"KakaoToken(expires_at={self.expires_at}, refresh_expires_at={self.refresh_expires_at})"


@dataclass(frozen=True, slots=True)
class AppKeys:
    """The app's own keys, from Kakao Developers."""

    rest_api_key: str | None
    client_secret: str | None


class TokenStore(Protocol):
    """Where tokens are kept for all processes. May raise what its database raises."""

    def load(self) -> KakaoToken | None:
        """The newest token, None if there is none."""
        ...

    def save(self, token: KakaoToken) -> None:
        """Keep a refreshed token. Returns only when it is safe."""
        ...

    def refreshing(self) -> AbstractContextManager[bool]:
        """Held by one process at a time; False: another one refreshes right now."""
        ...

    def login_needed(self, why: str) -> None:
        """Note for operators that a person must log in."""
        ...


class Tokens:
    """The token of one account for one process. Thread-safe. ``ahead_s``: refresh so long before the end."""

    def __init__(self, store: TokenStore, auth: Transport, keys: AppKeys, *, ahead_s: float = 600.0) -> None:
        self._store, self._auth, self._keys = store, auth, keys
        self._ahead = timedelta(seconds=ahead_s)
        self._held: KakaoToken | None = None
        self._looked = float("-inf")
        self._refused: set[str] = set()
        self._dead: dict[str, str] = {}
        self._guard = threading.Lock()

    def fresh(self) -> str | NotSent | RejectedFinal:
        """An access token that is good for now, refreshed if need be. Before the point of no return only.

        RejectedFinal: a person must log in. NotSent: Kakao's login or the store could not be reached.
        """
        with self._guard:
            token = self._known()
            if token is None:
                return RejectedFinal("kakao_no_token: there is no token; set one with `jeongsi token set`")
            if not self._worn(token):
                return token.access
            return self._renewed(token)

    def renew(self) -> str | NotSent | RejectedFinal:
        """A new access token now, whatever the old one is good for."""
        with self._guard:
            token = self._store.load()
            if token is None:
                return RejectedFinal("kakao_no_token: there is no token; set one with `jeongsi token set`")
            if not self._renewable(token):
                return RejectedFinal(self._why_not(token))
            with self._store.refreshing() as mine:
                return self._ask(token, keep=False) if mine else NotSent("kakao_token_refreshing")

    def refuse(self, access: str) -> bool:
        """Kakao refused this token: use it no more. Whether a new one can be had."""
        with self._guard:
            self._refused.add(access)
            self._looked = float("-inf")
            token = self._known()
            return token is not None and (token.access != access or self._renewable(token))

    def _known(self) -> KakaoToken | None:
        if self._held is None or clock().monotonic() - self._looked > _LOOK_AGAIN_S:
            self._held = self._store.load()
            self._looked = clock().monotonic()
        return self._held

    def _worn(self, token: KakaoToken) -> bool:
        ends = token.expires_at
        return token.access in self._refused or (ends is not None and ends - clock().now() < self._ahead)

    def _usable(self, token: KakaoToken) -> bool:
        """Worn, but still accepted: better than nothing."""
        return (
            token.access not in self._refused
            and token.expires_at is not None
            and token.expires_at > clock().now()
        )

    def _renewable(self, token: KakaoToken) -> bool:
        return bool(token.refresh and self._keys.rest_api_key and token.refresh not in self._dead)

    def _renewed(self, token: KakaoToken) -> str | NotSent | RejectedFinal:
        if not self._renewable(token):
            return self._or(token, RejectedFinal(self._why_not(token)))
        with self._store.refreshing() as mine:
            newest = self._store.load() or token
            if newest.access != token.access and not self._worn(newest):
                self._held = newest  # another process was faster
                return newest.access
            if not mine:
                return self._or(token, NotSent("kakao_token_refreshing"))
            return self._ask(newest)

    def _ask(self, token: KakaoToken, *, keep: bool = True) -> str | NotSent | RejectedFinal:
        """``keep``: the old token will do, where it still is good."""
        form = {
            "grant_type": "refresh_token",
            "client_id": self._keys.rest_api_key or "",
            "refresh_token": token.refresh or "",
        }
        if self._keys.client_secret:
            form["client_secret"] = self._keys.client_secret
        reply = ask(self._auth, "/oauth/token", form)
        if not isinstance(reply, Reply):
            return self._or(token, NotSent(f"kakao_login_unreachable: {reply.reason}"), keep)
        found = read_token(reply, clock().now(), before=token)
        if found is not None:
            self._held = found
            self._store.save(found)
            emit(Event.KAKAO_TOKEN_REFRESHED, until=found.expires_at, rotated=found.refresh != token.refresh)
            return found.access
        code = error_code(reply)
        known = BY_CODE.get(code or "")
        if code is None or known is None or known.effect != "final":
            return self._or(token, NotSent(f"kakao_login_unreachable: http_{reply.status}"), keep)
        self._dead[token.refresh or ""] = told(code)
        self._store.login_needed(told(code))
        emit(Event.KAKAO_LOGIN_NEEDED, reason=told(code))
        return self._or(token, RejectedFinal(self._why_not(token)), keep)

    def _or(
        self, token: KakaoToken, otherwise: NotSent | RejectedFinal, keep: bool = True
    ) -> str | NotSent | RejectedFinal:
        return token.access if keep and self._usable(token) else otherwise

    def _why_not(self, token: KakaoToken) -> str:
        if token.refresh in self._dead:
            return f"kakao_login_needed: {self._dead[token.refresh]}"
        missing = "a refresh token" if not token.refresh else "KAKAO_REST_API_KEY"
        return f"kakao_login_needed: the token has ended, {missing} is missing; see `jeongsi token --help`"


def exchanged(
    auth: Transport, keys: AppKeys, code: str, redirect_uri: str, now: datetime
) -> tuple[Reply | NotSent | Unknown, KakaoToken | None]:
    """The tokens for a login's code, and kauth's answer."""
    form = {
        "grant_type": "authorization_code", "client_id": keys.rest_api_key or "",
        "redirect_uri": redirect_uri, "code": code,
    }  # fmt: skip
    if keys.client_secret:
        form["client_secret"] = keys.client_secret
    reply = ask(auth, "/oauth/token", form)
    return reply, read_token(reply, now) if isinstance(reply, Reply) else None


def ask(auth: Transport, path: str, form: dict[str, str]) -> Reply | NotSent | Unknown:
    """One form to kauth, asked every few hours: its connection is not kept."""
    prepared = auth.prepare()
    if isinstance(prepared, NotSent):
        return prepared
    try:
        return auth.send(prepared, "POST", path, form=form)
    finally:
        auth.close()


def read_token(reply: Reply, now: datetime, before: KakaoToken | None = None) -> KakaoToken | None:
    """The token of kauth's answer; a refresh token comes only when it was rotated, else the old one stays."""
    body = reply.json() if reply.status == 200 and not reply.cut else None
    if not isinstance(body, dict) or not isinstance(body.get("access_token"), str):
        return None
    old = before or KakaoToken("")
    found = KakaoToken(
        body["access_token"], old.refresh, _later(now, body.get("expires_in")), old.refresh_expires_at,
        str(body.get("scope") or old.scopes),
    )  # fmt: skip
    rotated = body.get("refresh_token")
    if not isinstance(rotated, str) or not rotated:
        return found
    return replace(
        found, refresh=rotated, refresh_expires_at=_later(now, body.get("refresh_token_expires_in"))
    )


def _later(now: datetime, seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 10**9:
        return None
    return now + timedelta(seconds=seconds)
