"""The home of an installation, and children that are kept running and never left behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.local.home import Home, HomeBusy, HomeUnusable
from ops.local.identity import Identity, noted
from ops.local.processes import BACKOFF_S, STEADY_S, Child, Plan, stop_all
from runtime.clock import ManualClock, set_clock
from runtime.settings import get_settings
from tests.support.environment import isolate
from tests.support.processes import ROOT
from tests.support.waiting import eventually

UNTIL_STOPPED = "import signal; print('up', flush=True); signal.pause()"
DEAF = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"


@pytest.fixture
def children(tmp_path: Path) -> Iterator[list[Child]]:
    """Children to be ended with the test."""
    made: list[Child] = []
    yield made
    for child in made:
        child.kill()


@pytest.fixture
def manual() -> Iterator[ManualClock]:
    """Back-off passes when the test says so."""
    clock = ManualClock(datetime(2026, 11, 21, tzinfo=UTC))
    set_clock(clock)
    yield clock
    set_clock(None)


def child_of(children: list[Child], folder: Path, code: str, name: str = "child", **plan: object) -> Child:
    wanted = Plan(name, [sys.executable, "-c", code], **plan)  # type: ignore[arg-type]
    child = Child(wanted, state_folder=folder / "run", log_folder=folder / "log")
    children.append(child)
    return child


def started(child: Child) -> Child:
    child.start()
    assert child.wait_for(lambda: "up" in child.tail(), 10.0), child.tail()
    return child


# -- the home -----------------------------------------------------------------------------------


def test_a_second_up_on_the_same_home_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    code = (
        "import pathlib, signal, sys; from ops.local.home import Home\n"
        "with Home(pathlib.Path(sys.argv[1])).lock(): print('locked', flush=True); signal.pause()"
    )
    first = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, cwd=ROOT)
    assert first.stdout is not None
    assert first.stdout.readline() == b"locked\n"
    with pytest.raises(HomeBusy, match=f"in use by another `up`, process {first.pid}. Stop that one"):
        Home(tmp_path).lock().__enter__()
    first.kill()
    first.communicate()
    with Home(tmp_path).lock():
        pass


def test_a_home_is_its_owners_alone_and_keeps_its_passwords(tmp_path: Path) -> None:
    home = Home(tmp_path / "새 집")
    password = home.secret("flower")
    assert home.secret("flower") == password
    assert home.secret("other") != password
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((home.path / "secrets" / "flower").stat().st_mode) == 0o600


def test_a_home_that_cannot_be_made_says_which_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeUnusable, match="Set JEONGSI_HOME to a folder you may write to"):
        Home(tmp_path / "file" / "home").make()


def test_settings_find_the_servers_that_a_running_stack_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate(monkeypatch)
    monkeypatch.setenv("JEONGSI_HOME", str(tmp_path))
    home = Home(tmp_path)
    home.write_run(
        database_url="postgresql://jeongsi:x@127.0.0.1:1/jeongsi", redis_url="redis://127.0.0.1:2/0"
    )
    get_settings.cache_clear()
    assert get_settings().database_url == "postgresql://jeongsi:x@127.0.0.1:1/jeongsi"
    assert stat.S_IMODE(home.run_json.stat().st_mode) == 0o600
    home.clear_run()
    get_settings.cache_clear()
    assert get_settings().database_url is None
    get_settings.cache_clear()


def test_addresses_of_a_dead_stack_are_not_taken_for_a_running_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.write_run(redis_url="redis://127.0.0.1:2/0")
    assert home.read_run() is not None
    home.run_json.write_text(home.run_json.read_text().replace('"started": "', '"started": "another-'))
    assert home.read_run() is None


# -- children -----------------------------------------------------------------------------------


def test_a_child_runs_in_its_own_session_with_its_output_in_its_log(
    children: list[Child], tmp_path: Path
) -> None:
    child = started(child_of(children, tmp_path, UNTIL_STOPPED))
    assert child.pid is not None
    assert os.getsid(child.pid) == child.pid
    assert child.log.read_text() == "up\n"


def test_a_child_that_dies_is_started_again_later_each_time(
    children: list[Child], tmp_path: Path, manual: ManualClock
) -> None:
    child = child_of(children, tmp_path, "raise SystemExit(3)")
    child.start()
    for delay in (*BACKOFF_S, BACKOFF_S[-1]):
        assert eventually(child.check) == f"child ended with status 3; starting it again in {delay:g} s"
        manual.advance(delay - 0.01)
        assert child.check() is None
        manual.advance(0.02)
        assert child.check() == "child was started again"


def test_a_child_that_ran_steadily_is_forgiven_its_earlier_deaths(
    children: list[Child], tmp_path: Path, manual: ManualClock
) -> None:
    child = child_of(children, tmp_path, UNTIL_STOPPED)
    child.start()
    for ran_s, delay in ((1, BACKOFF_S[0]), (1, BACKOFF_S[1]), (STEADY_S + 1, BACKOFF_S[0])):
        manual.advance(ran_s)
        child.kill()
        said = child.check()
        assert said == f"child ended by signal 9 (Killed); starting it again in {delay:g} s"
        manual.advance(delay)
        child.check()
    assert child.restarts == 3


def test_a_killed_child_is_named_with_the_signal_that_ended_it(children: list[Child], tmp_path: Path) -> None:
    child = started(child_of(children, tmp_path, UNTIL_STOPPED, restart=False))
    child.kill()
    assert child.check() == "child ended by signal 9 (Killed)"
    assert child.check() is None
    assert not child.running


def test_a_child_is_asked_to_stop_before_it_is_made_to(children: list[Child], tmp_path: Path) -> None:
    gentle = started(child_of(children, tmp_path, UNTIL_STOPPED, "gentle"))
    deaf = started(child_of(children, tmp_path, DEAF, "deaf", stop_s=0.2))
    stop_all([gentle, deaf])
    assert (gentle.last_status, deaf.last_status) == (-signal.SIGTERM, -signal.SIGKILL)
    assert gentle.check() is None


def test_killing_a_child_ends_the_processes_it_started(children: list[Child], tmp_path: Path) -> None:
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {DEAF!r}]).wait()"
    child = started(child_of(children, tmp_path, code))
    assert child.pid is not None
    whole = Identity.of(child.pid)
    assert whole is not None
    (grandchild,) = whole.descendants()
    child.kill()
    assert grandchild.wait_gone(5.0)


PARENT = """
import os, pathlib, signal, sys
from ops.local.processes import Child, Plan
folder = pathlib.Path(sys.argv[1])
child = Child(Plan("child", [sys.executable, "-c", sys.argv[2]]),
    state_folder=folder / "run", log_folder=folder / "log")
child.start()
assert child.wait_for(lambda: "up" in child.tail(), 10.0), child.tail()
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_parent_of(code: str, folder: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", PARENT, folder, code], cwd=ROOT, check=False, timeout=30)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="told by the Linux kernel only")
def test_a_child_is_told_to_stop_when_its_parent_is_killed(tmp_path: Path) -> None:
    killed_parent_of(UNTIL_STOPPED, tmp_path)
    eventually(lambda: noted(tmp_path / "run" / "child.json") is None)


def test_a_child_that_outlived_its_killed_parent_is_stopped_by_the_next_start(
    children: list[Child], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.local.processes.LEFTOVER_S", 0.2)
    killed_parent_of(DEAF, tmp_path)
    left = noted(tmp_path / "run" / "child.json")
    assert left is not None
    child = started(child_of(children, tmp_path, UNTIL_STOPPED))
    assert left.wait_gone(5.0)
    assert child.pid != left.pid


def test_a_program_that_does_not_exist_is_a_death_with_a_log_not_an_exception(
    children: list[Child], tmp_path: Path
) -> None:
    child = Child(
        Plan("missing", ["/no/such/program"], restart=False), state_folder=tmp_path, log_folder=tmp_path
    )
    child.start()
    assert eventually(child.check) == "missing ended with status 1"
    assert child.tail() == "/no/such/program cannot be started: No such file or directory"
