"""Secrets at rest: what goes into a table is sealed with a key that the database does not hold.

The key is JEONGSI_SECRET_KEY (or its _FILE), else `secret.key` in JEONGSI_HOME, which is made at first use
outside production. Losing the key loses what it sealed; nothing else.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from runtime.settings import Settings, SettingsError, get_settings

_MAKE = "make one: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"


class Unsealable(Exception):
    """What was sealed cannot be opened with this installation's key."""


def seal(text: str) -> bytes:
    """Encrypt and sign. Raises SettingsError if there is no usable key."""
    return _fernet(_key(get_settings())).encrypt(text.encode())


def unseal(data: bytes) -> str:
    """The text that was sealed. Raises Unsealable for another key's, SettingsError without a key."""
    try:
        return _fernet(_key(get_settings())).decrypt(bytes(data)).decode()
    except InvalidToken:
        raise Unsealable("it was sealed with another key than this installation's") from None


@lru_cache(maxsize=4)
def _fernet(key: str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise SettingsError(f"JEONGSI_SECRET_KEY: 32 bytes as URL-safe base64 are needed; {_MAKE}") from None


def _key(settings: Settings) -> str:
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    path = settings.home / "secret.key"
    if not path.exists():
        if settings.environment == "production":
            raise SettingsError(f"JEONGSI_SECRET_KEY is not set and {path} does not exist; {_MAKE}")
        _make(path)
    return path.read_text(encoding="ascii").strip()


def _make(path: Path) -> None:
    """Written whole under another name first, so that two processes never read half a key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"secret.key.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(Fernet.generate_key())
    try:
        os.link(draft, path)  # fails if somebody else was first; then theirs holds
    except FileExistsError:
        pass
    finally:
        draft.unlink()
