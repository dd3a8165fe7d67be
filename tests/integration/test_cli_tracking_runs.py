"""Upload runs by command: begun, watched, looked into, stopped and taken up again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from models.ledger import tracking
from models.ledger import tracking_worker as worker
from models.ledger.tracking_worker import Word
from tests.support import databases
from tests.support.cli import Answer, jeongsi
from tests.support.tracking import account, order
from tests.support.waiting import eventually

ME = uuid4()


@pytest.fixture
def db(ledger_url: str, ledger_env: dict[str, str]) -> Iterator[Any]:
    with databases.connect(ledger_url) as connection:
        account(connection)
        yield connection


def orders(db: Any, count: int) -> None:
    for n in range(count):
        order(db, f"A-{n}", bundle_no=f"B-{n}")


def begun(db: Any, **asked: Any) -> int:
    started = tracking.start(db, **asked)
    assert started.job is not None
    return started.job


def worked(db: Any, job: int, *ends: dict[str, Any]) -> None:
    """Do what a worker would: one order after the other ends as told, and the run with them."""
    while worker.fill(db, job, 100) == "more":
        pass
    items = worker.claim(db, job, ME, 10, 100)
    if items:
        words = [Word(one.id, **end) for one, end in zip(items, ends, strict=True)]
        assert worker.record(db, items[0].chunk, ME, words, last=True)
    assert worker.finish(db, job, 100) == "finished"


GOOD: dict[str, Any] = {"what": "succeeded", "mark": "stored"}
BAD: dict[str, Any] = {"what": "failed", "code": "e2005", "message": "PlayAuto does not know the bundle"}
OTHER: dict[str, Any] = {
    "what": "unresolved", "code": "conflict",
    "evidence": {"theirs": {"carrier": "5", "number": "999900001111"}},
}  # fmt: skip


def with_a_worker(db: Any, url: str, *ends: dict[str, Any], **command: Any) -> Answer:
    """A command that watches, while a worker in another thread takes up the run that it begins."""

    def work() -> None:
        with databases.connect(url) as other:
            live = eventually(lambda: worker.agenda(other))
            worked(other, live[0].job, *ends)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        return jeongsi(*command["said"])
    finally:
        thread.join()


def test_a_run_is_begun_and_watched_to_its_end(db: Any, ledger_url: str) -> None:
    """C56, C75, C76."""
    orders(db, 2)
    said = with_a_worker(db, ledger_url, GOOD, GOOD, said=("tracking", "run"))
    assert (said.code, said.err) == (0, "")
    assert "has ended: 2 uploaded" in said.out


def test_a_run_with_failed_orders_ends_with_1_and_says_what_to_do(db: Any, ledger_url: str) -> None:
    """C82, C92."""
    orders(db, 2)
    said = with_a_worker(db, ledger_url, GOOD, BAD, said=("tracking", "run"))
    assert said.code == 1
    assert "1 uploaded, 1 failed" in said.out
    assert "e2005" in said.out
    assert "A-1" in said.out
    assert "tracking redrive" in said.out


def test_a_run_that_nobody_takes_up_is_told_to_whoever_watches(
    db: Any, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.cli.tracking_follow._STILL_S", 0.2)
    orders(db, 1)
    job = begun(db)
    told, said = threading.Event(), list[str]()

    def note(text: str) -> None:
        said.append(text)
        told.set()

    monkeypatch.setattr("ops.cli.tracking_follow.note", note)

    def work() -> None:
        told.wait(10)
        with databases.connect(ledger_url) as other:
            worked(other, job, GOOD)

    thread = threading.Thread(target=work)
    thread.start()
    assert jeongsi("tracking", "job", job, "--follow").code == 0
    thread.join()
    assert "no worker takes from it" in said[0]
    assert "celery -A workers worker -Q tracking" in said[0]


def test_a_run_that_is_not_watched_says_how_to_watch_it(db: Any) -> None:
    orders(db, 1)
    said = jeongsi("tracking", "run", "--no-wait", "--key", "k")
    job = int(said.out.split()[1])
    assert said.code == 0
    assert f"tracking job {job} --follow" in said.out
    again = jeongsi("tracking", "run", "--no-wait", "--key", "k", "--json")
    assert again.json["id"] == job
    assert "asked before" in again.err


def test_what_stands_in_the_way_of_a_run_is_said_with_what_to_do(db: Any) -> None:
    job = begun(db)
    active = jeongsi("tracking", "run")
    assert active.code == 1
    assert f"Run {job} of this account is under way" in active.err
    assert f"jeongsi tracking cancel {job}" in active.err
    unknown = jeongsi("tracking", "run", "--account", "nobody")
    assert unknown.code == 2
    assert "account add" in unknown.err
    key = jeongsi("tracking", "dry-run", "--account", "nobody")
    assert key.code == 2


def test_a_dry_run_says_what_would_be_uploaded_and_what_is_wrong(db: Any, ledger_url: str) -> None:
    orders(db, 3)
    would: dict[str, Any] = {"what": "skipped", "code": "would_upload"}
    there: dict[str, Any] = {"what": "skipped", "code": "already_uploaded"}
    said = with_a_worker(db, ledger_url, would, BAD, there, said=("tracking", "dry-run"))
    assert said.code == 0
    assert (
        "1 of 3 orders would be uploaded, 1 are there already, 1 would fail. Nothing was uploaded."
        in said.out
    )
    assert "would_upload" not in said.out
    assert "e2005" in said.out
    assert db.execute("SELECT count(*) FROM orders WHERE playauto_uploaded = 1").fetchone() == (0,)


def test_runs_are_listed_newest_first_and_shown_one_by_one(db: Any) -> None:
    """C57-C59, C69, C70."""
    orders(db, 2)
    first = begun(db, who="mina")
    worked(db, first, GOOD, BAD)
    second = begun(db)
    assert [one["id"] for one in jeongsi("tracking", "jobs", "--json").json] == [second, first]
    table = jeongsi("tracking", "jobs", "--limit", "5").out
    assert "mina" in table
    assert "some failed" in table
    shown = jeongsi("tracking", "job", first, "--orders", "--json").json
    assert (shown["success"], shown["failed"], shown["percent"]) == (1, 1, 100.0)
    assert [one["state"] for one in shown["orders"]] == ["succeeded", "failed"]
    assert shown["errors"][0]["examples"] == ["A-1"]
    only = jeongsi("tracking", "job", first, "--state", "failed")
    assert "A-1" in only.out
    assert "A-0" not in only.out
    assert jeongsi("tracking", "job", first, "--state", "odd").code == 2
    assert jeongsi("tracking", "job", 999_999).code == 2


def test_failed_orders_are_taken_up_again_by_their_error(db: Any) -> None:
    orders(db, 2)
    job = begun(db)
    worked(db, job, GOOD, BAD)
    nothing = jeongsi("tracking", "redrive", job, "--error", "e2003")
    assert nothing.code == 1
    assert "no order with error e2003" in nothing.err
    again = jeongsi("tracking", "redrive", job, "--error", "e2005", "--no-wait", "--json").json
    assert again["redrive_of"] == job
    worked(db, again["id"], GOOD)
    assert jeongsi("tracking", "job", again["id"], "--json").json["success"] == 1
    assert jeongsi("tracking", "redrive", 999_999).code == 2


def test_a_run_is_stopped_and_says_what_was_done(db: Any, ledger_url: str) -> None:
    orders(db, 2)
    job = begun(db)

    def stop() -> None:
        with databases.connect(ledger_url) as other:
            eventually(lambda: worker.agenda(other)[0].stopping)
            worker.finish(other, job, 100)

    while worker.fill(db, job, 100) == "more":
        pass
    thread = threading.Thread(target=stop)
    thread.start()
    said = jeongsi("tracking", "cancel", job, "--as", "mina")
    thread.join()
    assert said.code == 0
    assert "cancelled by mina: 0 uploaded, 0 failed, 2 not done, of 2" in said.out
    assert jeongsi("tracking", "cancel", job).code == 1
    assert jeongsi("tracking", "cancel", 999_999).code == 2
    assert "cancelled" in jeongsi("tracking", "jobs").out


def test_conflicts_show_both_numbers_and_are_decided_by_a_person(db: Any) -> None:
    orders(db, 2)
    job = begun(db)
    worked(db, job, OTHER, OTHER)
    first, second = jeongsi("tracking", "conflicts", "--json").json
    assert (first["our_number"], first["their_number"]) == ("123456789012", "999900001111")
    assert "999900001111 (5)" in jeongsi("tracking", "conflicts").out
    assert jeongsi("tracking", "decide", first["detail_id"]).code == 2
    both = jeongsi("tracking", "decide", first["detail_id"], 999_999, "--keep-theirs")
    assert both.code == 2
    assert "Nothing was decided" in both.err
    assert len(jeongsi("tracking", "conflicts", "--json").json) == 2
    assert jeongsi("tracking", "decide", first["detail_id"], "--keep-theirs", "--as", "mina").code == 0
    assert [one["detail_id"] for one in jeongsi("tracking", "conflicts", "--json").json] == [
        second["detail_id"]
    ]


def test_our_number_is_used_by_a_run_of_its_own(db: Any, ledger_url: str) -> None:
    orders(db, 1)
    worked(db, begun(db), OTHER)
    (one,) = jeongsi("tracking", "conflicts", "--json").json
    said = with_a_worker(db, ledger_url, GOOD, said=("tracking", "decide", one["detail_id"], "--use-ours"))
    assert said.code == 0
    assert "1 uploaded" in said.out
    assert jeongsi("tracking", "conflicts", "--json").json == []


def test_why_an_account_does_not_upload(db: Any) -> None:
    """C91."""
    said = jeongsi("tracking", "why")
    assert "It is off: it uploads by hand only." in said.out
    assert "no worker takes from it" in said.out
    assert "login       none" in said.out
    assert "No order waits." in said.out
    assert "jeongsi tracking account resume default" in said.out
    orders(db, 1)
    job = begun(db)
    assert f"Run {job} is under way" in jeongsi("tracking", "why").out
    worked(db, job, BAD)
    failed = jeongsi("tracking", "why", "--json").json
    assert "last_run_failed" in failed["hindrances"]
    assert failed["top_error"]["error_code"] == "e2005"
    assert (failed["login"], failed["workers"]["level"]) == ("none", "fail")
    assert "There is no such account." in jeongsi("tracking", "why", "--account", "nobody").out
