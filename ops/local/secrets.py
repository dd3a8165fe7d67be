"""Passwords that are made once and kept in files only their owner can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def kept_secret(path: Path) -> str:
    """The secret in this file; made and written (mode 0600) if there is none. Letters and digits only."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half = path.with_name(f"{path.name}.{os.getpid()}.half")
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets.token_hex(16) + "\n")
    try:
        os.link(half, path)  # never replaces: if two make it at once, the first one's counts for both
    except FileExistsError:
        pass
    finally:
        half.unlink()
    return path.read_text(encoding="ascii").strip()
