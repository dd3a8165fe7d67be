"""What this machine says: disk, evidence that waits in the journal, room bots that answer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateways.errors import GatewayError
from gateways.iris.adapter import IrisAdapter
from gateways.registry import adapter_for, close_adapters
from ops.doctor import iris
from ops.doctor.finding import Finding, fail, ok, warn
from runtime.settings import Settings

WARN_BYTES: Final = 2 * 1024**3
FAIL_BYTES: Final = 512 * 1024**2


def findings(settings: Settings) -> Iterator[Finding]:
    """Everything that can be seen from here."""
    yield _disk(settings.home)
    yield _journal(settings.home / "journal")
    for channel in settings.channels():
        yield from _channel(channel)
    close_adapters()


def _disk(home: Path) -> Finding:
    folder = next(one for one in (home, *home.parents) if one.exists())
    free = shutil.disk_usage(folder).free
    found = f"{free / 1024**3:.1f} GB free at {home}"
    todo = "make room: a full disk stops the database, and with it every send"
    if free < FAIL_BYTES:
        return fail("disk", found, todo)
    return warn("disk", found, todo) if free < WARN_BYTES else ok("disk", found)


def _journal(folder: Path) -> Finding:
    waiting = [path for path in folder.glob("*") if path.is_file() and path.stat().st_size]
    if waiting:
        todo = "start a worker here: it writes them into the ledger"
        return warn("journal", f"{len(waiting)} files of evidence wait in {folder}", todo)
    return ok("journal", "no evidence waits")


def _channel(channel: str) -> Iterator[Finding]:
    try:
        adapter = adapter_for(channel)
    except GatewayError:
        adapter = None
    yield from iris.findings(adapter) if isinstance(adapter, IrisAdapter) else [_bot(channel)]


def _bot(channel: str) -> Finding:
    try:
        found = adapter_for(channel).capabilities()
    except GatewayError as error:
        return warn(
            f"channel {channel}", str(error), "start the room bot, or mend its address in KAKAO_BOT_URL"
        )
    return ok(f"channel {channel}", f"answers; kind {found.kind}, texts up to {found.text_limit} characters")
