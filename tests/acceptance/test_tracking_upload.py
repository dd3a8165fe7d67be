"""An upload through real worker processes, as beats and services ask for it (C01, C03, C05, C40, C56)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from celery import Celery

from ops.emulator import Emulator
from tests.support import databases
from tests.support.hinting import Hinting
from tests.support.processes import Processes
from tests.support.uploading import SCALED, Uploading

QUIET = ("--without-gossip", "--without-mingle")


@pytest.fixture
def env(scaled_env: dict[str, str], emulator: Emulator) -> dict[str, str]:
    return {**scaled_env, **SCALED, "PLAYAUTO_API_URL": f"{emulator.url}/playauto"}


@pytest.fixture
def up(env: dict[str, str], emulator: Emulator) -> Iterator[Uploading]:
    with databases.connect(env["DATABASE_URL"]) as db:
        yield Uploading(db, emulator.playauto())


def test_two_workers_share_the_runs_that_a_beat_and_a_service_ask_for(
    up: Uploading, env: dict[str, str], processes: Processes
) -> None:
    scheduler = up.account(batch_size=20)
    up.orders(100)
    workers = [processes.worker("tracking", *QUIET, wait=False) for _ in range(2)]
    for one in workers:
        one.wait_for_line(" ready.")
    slot = up.due_slot(scheduler)
    with closing(Hinting()) as hinting:
        hinting.raw("jeongsi.tracking.run", [{"v": 1, "slots": [str(slot)]}], "tracking")
    number = up.value_soon("SELECT id FROM tracking_upload_jobs WHERE slot_id = %s", str(slot))
    ended = up.until_over(number)
    assert (ended.job_type, ended.status, ended.success) == ("scheduled", "completed", 100)
    assert up.value("SELECT state FROM slots") == "delivered"

    app = Celery("shop", broker=env["REDIS_URL"], backend=env["REDIS_URL"])
    app.conf.update(task_default_exchange="", task_default_queue="tracking")
    app.conf.update(task_default_routing_key="tracking")
    asked = {"idempotency_key": "shop/1"}
    first, second, wrong = (
        app.send_task("jeongsi.tracking.upload", [one]).get(timeout=10)
        for one in (asked, asked, {"acount": "x"})
    )
    assert (first["status"], second["status"]) == ("accepted", "duplicate")
    assert second["id"] == first["id"]
    assert [one["field"] for one in wrong["errors"]] == ["acount"]
    assert up.until_over(int(first["id"])).reason == "nothing_pending"
    up.assert_each_once(100)
    assert [one.terminate() for one in workers] == [0, 0]
