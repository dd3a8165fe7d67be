"""Flower never starts open: it gets a password, a loopback address and a file that outlives it.

Flower reads `FLOWER_*` from the environment; what a person set there or on the command line wins.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from runtime.settings import Settings, SettingsError, get_settings

_PASSWORD_FILE = "flower-password"  # noqa: S105 - a file's name
_OWN_AUTH = ("--basic-auth", "--basic_auth", "--auth", "--auth-provider", "--auth_provider")


def guard_if_flower(arguments: list[str]) -> None:
    """Set Flower's options if this process is about to become Flower; else do nothing."""
    if "flower" not in arguments:
        return
    settings = get_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    if not any(word.startswith(_OWN_AUTH) for word in arguments) and "FLOWER_BASIC_AUTH" not in os.environ:
        os.environ["FLOWER_BASIC_AUTH"] = f"{settings.flower_user}:{password(settings)}"
    os.environ.setdefault("FLOWER_ADDRESS", settings.flower_address)
    os.environ.setdefault("FLOWER_PORT", str(settings.flower_port))
    os.environ.setdefault("FLOWER_PERSISTENT", "True")
    os.environ.setdefault("FLOWER_DB", str(settings.home / "flower"))
    os.environ.setdefault("FLOWER_STATE_SAVE_INTERVAL", "60000")  # ms; else a killed one forgets everything
    os.environ.setdefault("FLOWER_MAX_TASKS", "10000")
    # The arguments say schedule, room and slot time; Flower's own choice leaves them out.
    os.environ.setdefault("FLOWER_TASKS_COLUMNS", "name,args,state,received,runtime,worker,uuid")


def password(settings: Settings) -> str:
    """The password from the settings, else one that is made once, kept in JEONGSI_HOME and printed then."""
    if settings.flower_password is not None:
        own = settings.flower_password.get_secret_value()
        if "," in own:
            raise SettingsError("JEONGSI_FLOWER_PASSWORD holds a comma, at which Flower would cut it in two")
        return own
    path = settings.home / _PASSWORD_FILE
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        pass
    try:
        return _make(path, settings)
    except FileExistsError:
        return path.read_text(encoding="utf-8").strip()  # another Flower was faster


def _make(path: Path, settings: Settings) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = secrets.token_urlsafe(15)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(made + "\n")
    print(f"Flower: user {settings.flower_user}, password {made} (kept in {path})", file=sys.stderr)
    return made
