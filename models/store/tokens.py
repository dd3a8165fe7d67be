"""The Kakao account's token as people set and see it (A26, A34)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from models.ledger import tokens as ledger
from models.ledger.tokens import Connection, TokenRow
from models.store.errors import Refused, Wrong


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What may be shown of a token."""

    expires_at: dt.datetime | None
    can_refresh: bool
    refresh_expires_at: dt.datetime | None
    scopes: str
    updated_at: dt.datetime | None
    updated_by: str


def set_kakao_token(
    db: Connection,
    access_token: str,
    *,
    refresh_token: str | None = None,
    expires_in_s: float | None = None,
    refresh_expires_in_s: float | None = None,
    scopes: str = "",
    who: str,
) -> TokenFacts:
    """Keep a token for all processes, sealed; they use it within two seconds (A26).

    Without `expires_in_s` it is used until Kakao refuses it. Raises Refused for what can be no token,
    SettingsError if there is no key to seal it with.
    """
    wrong = [
        Wrong(field, "it is no token", "one word of 8 to 4096 letters, digits and signs")
        for field, value in (("access_token", access_token), ("refresh_token", refresh_token))
        if value is not None and not _may_be_token(value)
    ]
    if wrong:
        raise Refused(wrong)
    row = db.execute("SELECT ledger_now()").fetchone()
    assert row is not None
    now: dt.datetime = row[0]
    ledger.save(
        db,
        TokenRow(
            access=access_token, refresh=refresh_token, expires_at=_after(now, expires_in_s),
            refresh_expires_at=_after(now, refresh_expires_in_s), scopes=scopes, seed=None, updated_by=who,
        ),
    )  # fmt: skip
    facts = kakao_token(db)
    assert facts is not None, "it was just saved"
    return facts


def kakao_token(db: Connection) -> TokenFacts | None:
    """What may be shown of the stored token; None if there is none."""
    held = ledger.load(db)
    if held is None:
        return None
    return TokenFacts(
        held.expires_at, held.refresh is not None, held.refresh_expires_at, held.scopes, held.updated_at,
        held.updated_by,
    )  # fmt: skip


def _may_be_token(text: str) -> bool:
    return (
        8 <= len(text) <= 4096
        and text.isascii()
        and text.isprintable()
        and not any(c.isspace() for c in text)
    )


def _after(now: dt.datetime, seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else now + dt.timedelta(seconds=seconds)
