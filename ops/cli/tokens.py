"""`jeongsi token`: the Kakao account that sends, logged in once and kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from ops.cli.database import ledger
from ops.cli.errors import BadInput
from ops.cli.options import As, Json, acting, example, group
from ops.cli.output import facts, local, note, print_json, say

if TYPE_CHECKING:
    from models.store.tokens import TokenFacts

app = group("The token by which Kakao Talk memos and friends' messages are sent (docs/kakao.md).")

Redirect = Annotated[
    str, typer.Option("--redirect-uri", help="The redirect URI that is registered with the app.")
]


@app.command(
    "set",
    epilog=example(
        "jeongsi token set",
        "jeongsi token set --file /run/secrets/kakao-access --refresh-file /run/secrets/kakao-refresh",
    ),
)
def set_(
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="Read the access token from it, - for stdin."),
    ] = None,
    refresh_file: Annotated[
        Path | None, typer.Option("--refresh-file", metavar="FILE", help="Read the refresh token from it.")
    ] = None,
    expires_in: Annotated[
        float | None, typer.Option("--expires-in", min=1, help="Seconds that the access token has left.")
    ] = None,
    who: As = None,
) -> None:
    """Keep a token, sealed; every worker uses it within two seconds. Asked for, if no file is named.

    A token never goes on the command line, where others could read it.
    """
    from models.store.tokens import set_kakao_token

    access = _read(file, "access token")
    refresh = _read(refresh_file, "refresh token") if refresh_file is not None else None
    with ledger() as db:
        kept = set_kakao_token(db, access, refresh_token=refresh, expires_in_s=expires_in, who=acting(who))
    _tell(kept)


@app.command(epilog=example("jeongsi token show", "jeongsi token show --json"))
def show(as_json: Json = False) -> None:
    """Say until when the stored token is good. The token itself is never shown."""
    from models.store.tokens import kakao_token

    with ledger() as db:
        held = kakao_token(db)
    if as_json:
        print_json(None if held is None else _described(held))
        return
    if held is None:
        say(
            "No token is stored. `jeongsi token login-url` begins a login, `jeongsi token set` keeps a token."
        )
        return
    _tell(held)


@app.command(epilog=example("jeongsi token refresh"))
def refresh() -> None:
    """Take a new access token now, as the workers do by themselves shortly before the old one ends."""
    from gateways.outcomes import NotSent, RejectedFinal
    from gateways.registry import kakao_tokens
    from tasks.kakao_tokens import LedgerTokens

    tokens = kakao_tokens(LedgerTokens())
    answer = tokens.renew()
    if isinstance(answer, NotSent | RejectedFinal):
        raise BadInput(
            f"The token was not refreshed: {answer.reason}.", "`jeongsi token --help` shows how to log in."
        )
    show(as_json=False)


@app.command("login-url", epilog=example("jeongsi token login-url --redirect-uri https://example.com/kakao"))
def login_url(redirect_uri: Redirect) -> None:
    """Print the address at which the account logs in and agrees. Its code goes to `token exchange`."""
    from runtime.settings import get_settings

    settings = get_settings()
    if settings.kakao_rest_api_key is None:
        raise BadInput(
            "KAKAO_REST_API_KEY is not set.", "It stands in the console of Kakao Developers, App keys."
        )
    asked = {
        "response_type": "code", "client_id": settings.kakao_rest_api_key.get_secret_value(),
        "redirect_uri": redirect_uri, "scope": "talk_message,friends",
    }  # fmt: skip
    say(f"{settings.kakao_auth_url}/oauth/authorize?{urlencode(asked)}")


@app.command(epilog=example("jeongsi token exchange --redirect-uri https://example.com/kakao"))
def exchange(redirect_uri: Redirect, who: As = None) -> None:
    """Turn the code of a login into tokens and keep them. The code is asked for, or read from stdin."""
    from gateways.http import Reply
    from gateways.kakao.dialect import error_code
    from gateways.kakao.errors import told
    from gateways.kakao.tokens import exchanged
    from gateways.registry import kakao_login
    from models.store.tokens import set_kakao_token
    from runtime.clock import clock

    code = _read(None, "code")
    auth, keys = kakao_login()
    reply, token = exchanged(auth, keys, code, redirect_uri, clock().now())
    if token is None:
        why = (
            told(error_code(reply) or "")
            if isinstance(reply, Reply) and error_code(reply)
            else str(reply.reason if not isinstance(reply, Reply) else f"http_{reply.status}")
        )
        raise BadInput(f"Kakao gave no token: {why}.", "Log in again: `jeongsi token login-url`.")
    now = clock().now()
    with ledger() as db:
        kept = set_kakao_token(
            db, token.access, refresh_token=token.refresh, who=acting(who), scopes=token.scopes,
            expires_in_s=(token.expires_at - now).total_seconds() if token.expires_at else None,
            refresh_expires_in_s=(token.refresh_expires_at - now).total_seconds()
            if token.refresh_expires_at else None,
        )  # fmt: skip
    _tell(kept)


def _read(path: Path | None, what: str) -> str:
    """One word from a file, from stdin, or typed without being shown."""
    try:
        if path is not None and str(path) != "-":
            return path.read_text(encoding="utf-8").strip()
        if path is None and sys.stdin.isatty():
            return str(typer.prompt(f"The {what}", hide_input=True)).strip()
        return sys.stdin.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInput(
            f"The {what} cannot be read from {path}: {why}.", "Name a file that holds it alone."
        ) from None


def _described(held: TokenFacts) -> dict[str, object]:
    return {
        "expires_at": held.expires_at, "can_refresh": held.can_refresh,
        "refresh_expires_at": held.refresh_expires_at, "scopes": held.scopes, "updated_at": held.updated_at,
        "updated_by": held.updated_by,
    }  # fmt: skip


def _tell(held: TokenFacts) -> None:
    facts(
        {
            "access token until": local(held.expires_at)
            or "Kakao refuses it (nobody said how long it lasts)",
            "refresh token": "kept" if held.can_refresh else "none: a person must log in when the token ends",
            "refresh token until": local(held.refresh_expires_at),
            "scopes": held.scopes,
            "kept": f"{local(held.updated_at)} by {held.updated_by}",
        }
    )
    if held.scopes and "talk_message" not in held.scopes:
        note("Note: the account has not agreed to talk_message, so Kakao will refuse every message (-402).")
