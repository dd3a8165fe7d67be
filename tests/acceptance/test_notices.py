"""Notices on a real worker: told once, never in a send's way, at least once through a kill (E06, B133)."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis

from ops.emulator import Emulator, Rule
from runtime import redis_keys
from runtime.clock import SystemClock
from tests.support import databases
from tests.support.hinting import Hinting
from tests.support.noticing import Noticing
from tests.support.processes import Processes
from tests.support.sending import Promises
from tests.support.waiting import eventually

QUIET = ("--without-gossip", "--without-mingle")


@pytest.fixture
def env(scaled_env: dict[str, str], emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    more = {
        "JEONGSI_DISCORD_URL": f"{emulator.url}/discord",
        "JEONGSI_SLACK_URL": f"{emulator.url}/slack",
        "JEONGSI_NOTICE_URLS": "discord://11/hush-hush",
        "JEONGSI_NOTICE_WATCH_S": "0.3",
        "JEONGSI_NOTICE_DEADLINE_S": "0.6",
        "JEONGSI_NOTICE_BURST": "50",
        "LOG_LEVEL": "DEBUG",
    }
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    return scaled_env | more


@pytest.fixture
def db(env: dict[str, str]) -> Iterator[psycopg.Connection[Any]]:
    with databases.connect(env["DATABASE_URL"]) as one:
        yield one


@pytest.fixture
def hinting(env: dict[str, str]) -> Iterator[Hinting]:
    one = Hinting()
    yield one
    one.close()


def texts(emulator: Emulator, hook: str = "11") -> list[str]:
    return [one.text for one in emulator.webhooks.notices if one.hook == hook]


def test_a_streak_of_real_failures_raises_one_notice(
    db: psycopg.Connection[Any], hinting: Hinting, processes: Processes, emulator: Emulator
) -> None:
    """B133, B36: three refusals in a row are told once, five stop the schedule, `error` is told."""
    promises = Promises(db)
    db.execute("SELECT beat_tick('beat-1', now(), '1 hour')")
    worker = processes.worker("send,confirm,notify", *QUIET)
    eventually(lambda: db.execute("SELECT 1 FROM notice_watch").fetchone())
    schedule = promises.schedule(promises.room("missing-방", "emulator-none"), title="@everyone 아침 공지")
    for number in range(1, 6):
        slot = promises.slot(schedule)
        hinting.send([due.slot for due in promises.due()])
        eventually(lambda slot=slot: promises.state(slot) == "failed")  # type: ignore[misc]
        if number >= 3:
            eventually(lambda: any("3번 연속" in text for text in texts(emulator)))
    eventually(lambda: any("중지됨" in text for text in texts(emulator)))
    assert sum("연속 실패" in text for text in texts(emulator)) == 1
    assert not any(one.pings for one in emulator.webhooks.notices)
    assert promises.row("SELECT status FROM kb_schedule WHERE id = %s", schedule)["status"] == "error"
    assert "hush-hush" not in worker.output


def test_a_service_tells_something_by_task_and_hears_what_became_of_it(
    env: dict[str, str], hinting: Hinting, processes: Processes, emulator: Emulator
) -> None:
    worker = processes.worker("notify", *QUIET)

    def tell(body: Any) -> Any:
        return hinting.app.send_task("jeongsi.notify", args=[body]).get(timeout=10)

    body = {"title": "결제 실패 12건", "text": "확인하십시오", "severity": "error", "idempotency_key": "k-1"}
    first = tell(body)
    assert first["status"] == "accepted"
    assert tell(body) == {"id": first["id"], "status": "duplicate", "duplicate_of": first["id"], "errors": []}
    other = tell(body | {"title": "다른 일"})
    assert (other["status"], other["errors"][0]["field"]) == ("refused", "idempotency_key")
    refused = tell({"title": "", "severity": "loud", "link": "ftp://x", "extra": 1, "kind": "A B"})
    assert refused["status"] == "refused"
    assert {one["field"] for one in refused["errors"]} == {"title", "severity", "link", "extra", "kind"}
    assert all(one["reason"] and one["right"] for one in refused["errors"])
    assert tell(None)["status"] == "refused"
    eventually(lambda: texts(emulator) == ["**❌ 결제 실패 12건**\n확인하십시오"])
    with redis.Redis.from_url(env["REDIS_URL"], decode_responses=True) as client:
        (word,) = client.hvals(redis_keys.workers("notify"))
        assert SystemClock().now().timestamp() - json.loads(word)["at"] < 5
        assert worker.terminate() == 0
        assert client.hvals(redis_keys.workers("notify")) == []


def test_a_webhook_that_hangs_delays_no_send_and_no_stop(
    db: psycopg.Connection[Any], hinting: Hinting, processes: Processes, emulator: Emulator
) -> None:
    """C84: every notice hangs to its deadline, in the very process that sends."""
    promises = Promises(db)
    worker = processes.worker("send,confirm,notify", *QUIET, JEONGSI_NOTICE_DEADLINE_S="20")
    calm = lateness(promises, hinting, "고요")
    emulator.webhooks.faults.add(Rule("slow_before", delay_s=30, count=None))
    noticing = Noticing(db)
    for number in range(10):
        noticing.post(f"일 {number}")
    eventually(lambda: emulator.webhooks.requests)
    loud = lateness(promises, hinting, "매달림")
    print(f"lateness of 20 sends, median: {calm:.1f} ms; while a webhook hangs: {loud:.1f} ms")
    assert loud < calm + 100
    assert texts(emulator) == []
    assert worker.terminate(timeout=10) == 0


def lateness(promises: Promises, hinting: Hinting, name: str) -> float:
    """Twenty sends in a row: the median of milliseconds from the slot's time to the first byte."""
    slots = []
    for number in range(20):
        slots.append(promises.promise(f"{name} {number}", "emulator-none"))
        hinting.send([due.slot for due in promises.due()])
        eventually(lambda: promises.state(slots[-1]) == "delivered", every=0.005)
    late = [promises.of(slot) for slot in slots]
    spans: list[float] = sorted((one["started_at"] - one["slot_at"]).total_seconds() * 1000 for one in late)
    return spans[len(spans) // 2]


@pytest.mark.crash
@pytest.mark.parametrize(("failpoint", "shown"), [("notice.taken", 1), ("notice.answered", 2)])
def test_a_worker_killed_on_the_way_loses_no_notice_and_repeats_it_once_at_most(
    db: psycopg.Connection[Any], processes: Processes, emulator: Emulator, failpoint: str, shown: int
) -> None:
    noticing = Noticing(db)
    noticing.target("ops", "discord://11/token")
    killed = processes.worker(
        "notify", *QUIET, wait=False, JEONGSI_FAILPOINTS=f"{failpoint}=kill@1", JEONGSI_NOTICE_URLS=""
    )
    noticing.post("한 번만")
    killed.assert_died_by(signal.SIGKILL, timeout=30)
    assert len(texts(emulator)) == shown - 1
    processes.worker("notify", *QUIET, JEONGSI_NOTICE_URLS="")
    eventually(lambda: noticing.states("ops") == ["sent"], timeout=20)
    assert len(texts(emulator)) == shown


@pytest.mark.crash
def test_postgres_away_is_told_directly(
    own_env: dict[str, str], own_servers: Any, processes: Processes, emulator: Emulator
) -> None:
    """Nothing can be kept then, so the targets are told at once, and again when it is back."""
    worker = processes.worker(
        "notify", *QUIET, JEONGSI_DISCORD_URL=f"{emulator.url}/discord",
        JEONGSI_NOTICE_URLS="discord://11/token", JEONGSI_NOTICE_WATCH_S="0.3", JEONGSI_NOTICE_LATE_S="1",
    )  # fmt: skip
    with psycopg.connect(own_env["DATABASE_URL"], autocommit=True) as db:
        eventually(lambda: db.execute("SELECT 1 FROM notice_targets").fetchone())
    own_servers.postgres.kill()
    eventually(lambda: any("Postgres" in text for text in texts(emulator)), timeout=40)
    own_servers.postgres.start()
    eventually(lambda: any("해제" in text for text in texts(emulator)), timeout=20)
    assert len(texts(emulator)) == 2
    assert worker.running
