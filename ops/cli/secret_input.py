"""Secrets that commands take: asked for, from a file or from standard input, never from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from ops.cli.errors import BadInput

if TYPE_CHECKING:
    from models.store.accounts import Credentials

_NAMES: Final = ("api_key", "email", "password", "authentication_key")
_FORM: Final = (
    "Write lines like api_key=…, email=… and password=…, or authentication_key=…; or the same as JSON."
)


def secret(flag: str, given: str, question: str) -> str:
    """The text that a flag's value leads to: `ask`, `-` for standard input, or a file. Raises BadInput."""
    if given == "ask":
        if not sys.stdin.isatty():
            raise BadInput(
                f"{flag} ask: there is no terminal to ask on.", "Give a file, or - and pipe it in."
            )
        return str(typer.prompt(question, hide_input=True)).strip()
    if given == "-":
        return sys.stdin.read().strip()
    if "://" in given:
        raise BadInput(
            f"{flag}: a secret on the command line is seen by everybody on this machine.",
            "Write ask to paste it when asked, a file's name, or - to pipe it in.",
        )
    try:
        return Path(given).read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInput(f"{flag}: {given} cannot be read ({reason}).", "Write ask, - or a file.") from None


def credentials(flag: str, given: str) -> Credentials:
    """PlayAuto's login: asked for one by one, or from a file or standard input. Raises BadInput."""
    from models.store.accounts import Credentials

    found = _asked(flag) if given == "ask" else _read(flag, secret(flag, given, ""))
    found = {name: value for name, value in found.items() if value}
    if not found.get("api_key"):
        raise BadInput(f"{flag}: there is no api_key.", _FORM)
    if not found.get("authentication_key") and not (found.get("email") and found.get("password")):
        raise BadInput(
            f"{flag}: nobody can log in with this.",
            "An e-mail address with its password is needed, or an authentication_key.",
        )
    return Credentials(**found)


def _asked(flag: str) -> dict[str, str]:
    if not sys.stdin.isatty():
        raise BadInput(f"{flag} ask: there is no terminal to ask on.", "Give a file, or - and pipe it in.")
    found = {"api_key": _hidden("API key (it is not shown)")}
    found["email"] = typer.prompt("E-mail address, empty for an authentication key", default="").strip()
    if found["email"]:
        return found | {"password": _hidden("Password (it is not shown)")}
    return found | {"authentication_key": _hidden("Authentication key (it is not shown)")}


def _hidden(question: str) -> str:
    return str(typer.prompt(question, hide_input=True)).strip()


def _read(flag: str, text: str) -> dict[str, str]:
    """JSON, or lines of NAME=VALUE as an .env file has them (PLAYAUTO_API_KEY=… too)."""
    if text.startswith("{"):
        try:
            pairs = {str(name): value for name, value in json.loads(text).items()}
        except ValueError:
            raise BadInput(f"{flag}: this is no JSON.", _FORM) from None
    else:
        lines = [line.strip() for line in text.splitlines()]
        pairs = dict(line.partition("=")[::2] for line in lines if line and not line.startswith("#"))
    found: dict[str, str] = {}
    for name, value in pairs.items():
        known = name.strip().lower().removeprefix("playauto_")
        if known not in _NAMES or not isinstance(value, str):
            # What stands there may be the secret itself, so it is not repeated.
            raise BadInput(f"{flag}: a line of it has another name than {', '.join(_NAMES)}.", _FORM)
        found[known] = value.strip().strip("'\"")
    return found
