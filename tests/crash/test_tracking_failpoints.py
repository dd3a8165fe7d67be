"""A worker dies by signal 9 at every named place of an upload, at its first and at its third pass.

Three accounts run at once, so that every place is passed three times. The test process is the worker that
comes after. PlayAuto's receipts decide: every number stored once and passed on once, none lost, no run stuck.
"""

from __future__ import annotations

import json
import signal
from contextlib import closing
from pathlib import Path

import pytest

from ops.emulator import Emulator
from ops.emulator.playauto import PlayAuto
from runtime import failpoints
from runtime.settings import get_settings
from tasks.tracking.crew import Crew
from tests.support.hinting import Hinting
from tests.support.processes import Processes
from tests.support.uploading import SCALED, Uploading
from tests.support.waiting import eventually

POINTS = [name for name in failpoints.NAMES if name.startswith("upload.")]
QUIET = ("-c", "2", "--without-gossip", "--without-mingle")
ACCOUNTS = ("default", "둘", "셋")
ORDERS = 60
RECOVERY_S = 30.0


@pytest.fixture
def env(scaled_env: dict[str, str], up: Uploading, playauto: PlayAuto, emulator: Emulator) -> dict[str, str]:
    """What every child process gets."""
    return {**scaled_env, **SCALED, "PLAYAUTO_API_URL": f"{emulator.url}/playauto"}


@pytest.fixture
def playauto(emulator: Emulator) -> PlayAuto:
    return emulator.playauto()


@pytest.mark.parametrize("hits", [1, 3])
@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_dies_in_an_upload(
    point: str, hits: int, up: Uploading, processes: Processes, home: Path
) -> None:
    schedulers = [up.account(account=name, batch_size=5) for name in ACCOUNTS]
    up.orders(ORDERS, instructed=False)
    up.db.execute("UPDATE orders SET account = (%s::text[])[1 + id %% 3]", (list(ACCOUNTS),))
    up.db.execute(  # some parcels hold two orders
        "INSERT INTO orders (account, order_no, bundle_no, carrier_code, tracking_number)"
        " SELECT account, order_no || '-b', bundle_no, carrier_code, tracking_number FROM orders"
        " WHERE id % 5 = 0"
    )
    slots = [up.due_slot(one) for one in schedulers]
    victim = processes.worker("tracking", *QUIET, wait=False, JEONGSI_FAILPOINTS=f"{point}=kill@{hits}")
    with closing(Hinting()) as hinting:
        for slot in slots:
            hinting.raw("jeongsi.tracking.run", [{"v": 1, "slots": [str(slot)]}], "tracking")
    victim.assert_died_by(signal.SIGKILL, timeout=30)
    lines = [json.loads(line) for line in (home / "failpoints.jsonl").read_text().splitlines()]
    assert lines == [{"name": point, "n": hits, "action": "kill", "pid": victim.pid}]

    rescuer = Crew(get_settings())
    rescuer.start()
    try:
        eventually(
            lambda: up.value("SELECT count(*) FROM slots WHERE ended_at IS NOT NULL") == len(slots),
            RECOVERY_S,
            message=lambda: str([up.left(one) for one in range(1, 99) if up.left(one)]),
        )
    finally:
        rescuer.stop(5)
    ends = up.db.execute("SELECT state, reason FROM slots").fetchall()
    assert ends == [("delivered", "done")] * len(slots)
    up.assert_each_once(ORDERS)
    assert up.value("SELECT count(*) FROM tracking_upload_jobs") == len(slots)
    assert up.value("SELECT count(*) FROM orders WHERE playauto_uploaded = 0") == 0
    assert up.value("SELECT count(*) FROM tracking_chunks") == 0
