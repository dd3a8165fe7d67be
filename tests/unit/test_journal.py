"""Evidence that waits in a file while Postgres is away."""

from __future__ import annotations

import os
import threading
import uuid
from pathlib import Path

import pytest

from models.ledger.worker import Evidence
from models.states import AttemptOutcome
from tasks import journal
from tests.support.slots import slot_at


def fact(number: int = 0) -> Evidence:
    return Evidence(
        slot_at(number),
        0,
        uuid.uuid4(),
        AttemptOutcome.ACCEPTED,
        "accepted",
        "id-1",
        200,
        {"본문": "예"},
        3.5,
    )


def replayed(folder: Path) -> list[Evidence]:
    found: list[Evidence] = []
    journal.replay(folder, found.extend)
    return found


def test_what_was_written_is_replayed_once(tmp_path: Path) -> None:
    facts = [fact(n) for n in range(3)]
    for one in facts:
        journal.append(tmp_path / "journal", one)
    assert replayed(tmp_path / "journal") == facts
    assert replayed(tmp_path / "journal") == []
    assert list((tmp_path / "journal").iterdir()) == []


def test_file_and_folder_are_on_the_disk_before_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    honest = os.fsync

    def noting(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        honest(handle)

    monkeypatch.setattr(os, "fsync", noting)
    path = journal.append(tmp_path, fact())
    assert synced == [str(path), str(tmp_path)]


def test_a_store_that_fails_leaves_everything_for_the_next(tmp_path: Path) -> None:
    one = fact()
    journal.append(tmp_path, one)

    def away(facts: list[Evidence]) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        journal.replay(tmp_path, away)
    assert replayed(tmp_path) == [one]


def test_a_torn_line_swallows_neither_the_line_before_nor_the_one_after(tmp_path: Path) -> None:
    before, after = fact(1), fact(2)
    path = journal.append(tmp_path, before)
    with path.open("ab") as file:
        file.write(b'{"schedule_id": 1, "slot_at": "2026\xec')
    journal.append(tmp_path, after)
    assert replayed(tmp_path) == [before, after]


def test_nothing_is_lost_between_a_writer_and_a_replay_at_once(tmp_path: Path) -> None:
    facts = [fact(n) for n in range(200)]
    found: list[Evidence] = []
    writing = threading.Event()

    def write() -> None:
        for one in facts:
            journal.append(tmp_path, one)
        writing.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not writing.is_set():
        journal.replay(tmp_path, found.extend)
    writer.join()
    journal.replay(tmp_path, found.extend)
    assert found == facts


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert replayed(tmp_path / "none") == []
