"""`make up` as a person meets it: real processes, a home of its own, the clock on the wall."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.local.home import Home
from ops.local.servers import PostgresServer
from runtime.clock import clock
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
JEONGSI = str(Path(sys.executable).with_name("jeongsi"))
UP_S = 60.0

pytestmark = [pytest.mark.embedded_only, pytest.mark.timeout(180)]


class Up:
    """One `jeongsi up` in a home."""

    def __init__(self, home: Path, *arguments: str, **env: str) -> None:
        self.log = home.parent / f"up-{clock().monotonic():.3f}.txt"
        cleared = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                [JEONGSI, "up", *arguments], cwd=ROOT, stdout=file, stderr=file, start_new_session=True,
                env={**cleared, "JEONGSI_HOME": str(home), "JEONGSI_ENV_FILE": "", **env},
            )  # fmt: skip

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, text: str) -> None:
        """Until it has said so; fails with its output if it ends first."""

        def said() -> bool:
            assert text in self.output or self.process.poll() is None, self.output
            return text in self.output

        eventually(said, UP_S, message=lambda: f"never said {text!r}:\n{self.output}")

    def ended(self, timeout: float) -> int:
        return self.process.wait(timeout)

    def family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the servers' own account can reach, too."""
    folder = Path(tempfile.mkdtemp(prefix="정시-up-"))
    folder.chmod(0o755)
    yield folder / "집"
    for pid in _noted_pids(folder / "집"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def test_up_for_a_time_sends_ends_by_itself_and_prints_a_clean_audit_last(home: Path) -> None:
    up = Up(home, "--for", "20")
    assert up.ended(90) == 0, up.output
    report = json.loads(up.output.strip().splitlines()[-1])
    assert report["ok"] is True
    assert report["violations"] == []
    assert report["slots"]["delivered"] >= 2
    assert set(report["lateness_ms"]) == {"p50", "p95", "p99", "max"}
    assert "Flower" in up.output
    assert "password" in up.output
    assert "audit clean" in up.output


def test_a_second_up_on_the_same_folder_is_refused_and_ctrl_c_stops_the_first_within_ten_seconds(
    home: Path,
) -> None:
    up = Up(home)
    up.wait_until("up after")
    family = up.family()
    second = Up(home)
    assert second.ended(30) == 1
    assert f"process {up.process.pid}" in second.output
    assert "JEONGSI_HOME" in second.output
    began = clock().monotonic()
    os.killpg(up.process.pid, signal.SIGINT)
    assert up.ended(20) == 0, up.output
    assert clock().monotonic() - began < 10
    assert [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.crash
def test_what_a_killed_up_left_is_cleaned_up_and_the_next_goes_on_where_it_was(home: Path) -> None:
    up = Up(home)
    up.wait_until("up after")
    up.process.send_signal(signal.SIGKILL)
    assert up.ended(10) == -signal.SIGKILL
    again = Up(home, "--for", "14")
    assert again.ended(90) == 0, again.output
    report = json.loads(again.output.strip().splitlines()[-1])
    assert report["ok"] is True
    assert "tables: nothing" not in again.output  # the same database


def test_a_taken_port_is_an_error_that_says_what_to_do(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        up = Up(home, "--port-postgres", str(port))
        assert up.ended(30) == 1
    assert f"port {port} is taken" in up.output.lower()


def test_a_broken_database_is_an_error_that_says_what_to_do(home: Path) -> None:
    server = PostgresServer(Home(home).folder("postgres"))
    server.start()
    server.stop()
    (home / "postgres" / "data" / "global" / "pg_control").write_bytes(b"broken")
    up = Up(home)
    assert up.ended(60) == 1
    assert str(home / "postgres") in up.output
    assert "Traceback" not in up.output


def _noted_pids(home: Path) -> list[int]:
    notes = [*home.glob("run/*.json"), *home.glob("*/server.json")] if home.exists() else []
    return [int(json.loads(note.read_text())["pid"]) for note in notes]
