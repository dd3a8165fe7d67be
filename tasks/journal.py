"""Evidence that Postgres could not take: fsynced lines in JEONGSI_HOME/journal, for whoever finds them.

Without it a message that the provider accepted while the database was away would become `unknown`.
Evidence may be said twice and by anyone (R4), so a file that is replayed twice does no harm.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from models.ledger.worker import Evidence
from models.states import AttemptOutcome
from runtime.ids import SlotId


def append(folder: Path, evidence: Evidence) -> Path:
    """Write one piece of evidence durably; when this returns it survives the machine losing power."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{os.getpid()}.jsonl"
    while True:
        with path.open("a", encoding="utf-8") as file, _locked(file):
            if not _still_there(file, path):
                continue  # a replay deleted it between our open and our lock
            # The newline comes first too: a torn line of a writer that died must not swallow this one.
            file.write("\n" + json.dumps(_as_json(evidence)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        _fsync_folder(folder)
        return path


def replay(folder: Path, store: Callable[[list[Evidence]], None]) -> int:
    """Hand every journalled piece of evidence to ``store`` and delete what it took; answers how many.

    ``store`` raises when it cannot; the file then stays for the next one who looks. A torn last line
    (the writer died in it) was never promised to anybody and is dropped.
    """
    taken = 0
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else []:
        with suppress(FileNotFoundError):  # somebody else was faster
            taken += _replay_one(path, store)
    return taken


def set_aside(folder: Path, evidence: Evidence) -> None:
    """Keep what the ledger refuses for good where a person finds it and no replay does."""
    with (folder / "refused.txt").open("a", encoding="utf-8") as file:
        file.write(json.dumps(_as_json(evidence)) + "\n")


def _replay_one(path: Path, store: Callable[[list[Evidence]], None]) -> int:
    with path.open("r+", encoding="utf-8", errors="replace") as file, _locked(file):
        if not _still_there(file, path):
            return 0
        found = list(_read(file))
        if found:
            store(found)
        path.unlink()
        return len(found)


@contextmanager
def _locked(file: IO[str]) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _still_there(file: IO[str], path: Path) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(file: IO[str]) -> Iterator[Evidence]:
    for line in file:
        try:
            yield _from_json(json.loads(line))
        except (ValueError, KeyError, TypeError):
            continue


def _as_json(evidence: Evidence) -> dict[str, Any]:
    return {
        "schedule_id": evidence.slot.schedule_id,
        "slot_at": evidence.slot.slot_at.isoformat(),
        "ord": evidence.ord,
        "attempt_id": str(evidence.attempt_id),
        "outcome": evidence.outcome.value,
        "reason": evidence.reason,
        "provider_msg_id": evidence.provider_msg_id,
        "http_status": evidence.http_status,
        "answer": evidence.answer,
        "wrote_ms": evidence.wrote_ms,
    }


def _from_json(row: dict[str, Any]) -> Evidence:
    return Evidence(
        slot=SlotId(int(row["schedule_id"]), datetime.fromisoformat(row["slot_at"])),
        ord=int(row["ord"]),
        attempt_id=UUID(row["attempt_id"]),
        outcome=AttemptOutcome(row["outcome"]),
        reason=str(row["reason"]),
        provider_msg_id=row["provider_msg_id"],
        http_status=row["http_status"],
        answer=row["answer"],
        wrote_ms=row["wrote_ms"],
    )
