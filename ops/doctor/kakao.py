"""Kakao's token: is there one, how long is it good for, and may it send?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg

from gateways.http import Transport
from gateways.outcomes import NotSent
from models.store.tokens import TokenFacts, kakao_token
from ops.doctor.finding import Finding, fail, ok, warn
from runtime.clock import clock
from runtime.sealing import Unsealable
from runtime.settings import Settings, SettingsError

_SOON = timedelta(days=14)
_LOG_IN = "log in: `jeongsi token login-url`, then `jeongsi token exchange`"


def findings(db: psycopg.Connection, settings: Settings) -> Iterator[Finding]:
    """Nothing, if Kakao's own API is not used here."""
    if "kakao-memo" not in settings.channels():
        return
    try:
        held = kakao_token(db)
    except (Unsealable, SettingsError) as error:
        yield fail("kakao token", str(error), "set the JEONGSI_SECRET_KEY that sealed it, or log in again")
        return
    yield _token(held, settings)
    if held is not None and held.scopes and "talk_message" not in held.scopes:
        yield fail("kakao scopes", f"the account agreed to: {held.scopes}", "log in again with talk_message")
    yield _reachable("kakao login", settings.kakao_auth_url)
    yield _reachable("kakao api", settings.kakao_api_url)


def _token(held: TokenFacts | None, settings: Settings) -> Finding:
    now = clock().now()
    if held is None:
        if settings.kakao_access_token is None and settings.kakao_refresh_token is None:
            return fail("kakao token", "there is none", _LOG_IN)
        if settings.kakao_refresh_token is None or settings.kakao_rest_api_key is None:
            return warn(
                "kakao token", "from the settings, it cannot be refreshed and ends within hours", _LOG_IN
            )
        return ok("kakao token", "from the settings, refreshed by the workers")
    if not held.can_refresh or settings.kakao_rest_api_key is None:
        return warn("kakao token", "it cannot be refreshed and ends within hours", _LOG_IN)
    ends = held.refresh_expires_at
    if ends is not None and ends - now < _SOON:
        level = fail if ends < now else warn
        return level("kakao token", f"the refresh token ends {ends.isoformat(timespec='minutes')}", _LOG_IN)
    return ok("kakao token", "kept and refreshed by the workers")


def _reachable(what: str, url: str) -> Finding:
    transport = Transport(url, connect_timeout_s=2)
    line = transport.prepare()
    if isinstance(line, NotSent):
        return fail(
            what, f"{url} cannot be reached: {line.reason}", "see to the network, or to the address in .env"
        )
    transport.release(line)
    transport.close()
    return ok(what, url)
