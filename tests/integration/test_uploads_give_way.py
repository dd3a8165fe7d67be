"""A worker of uploads alone runs at a lower priority than those that send."""

from __future__ import annotations

import os

import psutil
import pytest

from tests.support.processes import Processes
from tests.support.waiting import eventually

QUIET = ("--without-gossip", "--without-mingle")


@pytest.mark.parametrize(("queues", "lower"), [("tracking", True), ("tracking,send", False)])
def test_only_a_worker_of_uploads_alone_steps_back(
    queues: str, lower: bool, scaled_env: dict[str, str], processes: Processes
) -> None:
    worker = processes.worker(queues, *QUIET, wait=False)
    worker.wait_for_line(" ready.")
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = max(10, ours) if lower else ours
    assert eventually(lambda: psutil.Process(worker.pid).nice() == wanted)
    assert worker.terminate() == 0
