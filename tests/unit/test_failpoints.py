"""Failpoints: real processes that die where they were told to, and leave the proof."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import failpoints
from runtime.settings import SettingsError, get_settings

ROOT = Path(__file__).parents[2]
HITS = "from runtime.failpoints import hit\nfor _ in range(3): hit('send.written')\nprint('alive')"


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("JEONGSI_HOME", str(tmp_path))
    monkeypatch.setenv("JEONGSI_ENV_FILE", "")
    get_settings.cache_clear()
    failpoints.reset()
    yield
    get_settings.cache_clear()
    failpoints.reset()


def child(rules: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HITS],
        env={**os.environ, "JEONGSI_FAILPOINTS": rules, **more},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def proof(home: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (home / "failpoints.jsonl").read_text().splitlines()]


def test_a_process_dies_by_signal_9_at_the_hit_it_was_told_to(tmp_path: Path) -> None:
    done = child("send.written=kill@2")
    assert done.returncode == -signal.SIGKILL
    assert [(one["name"], one["n"], one["action"]) for one in proof(tmp_path)] == [
        ("send.written", 2, "kill")
    ]


def test_a_once_only_failpoint_spares_the_process_that_takes_over() -> None:
    assert child("send.written=kill@1!").returncode == -signal.SIGKILL
    assert child("send.written=kill@1!").stdout == "alive\n"


def test_without_the_setting_nothing_happens(tmp_path: Path) -> None:
    assert child("").stdout == "alive\n"
    assert not (tmp_path / "failpoints.jsonl").exists()


def test_certainty_is_a_probability_of_one() -> None:
    assert child("send.written=kill%1.0").returncode == -signal.SIGKILL
    assert child("send.written=kill%0.0").returncode == 0


def test_production_refuses_failpoints() -> None:
    done = child("send.written=kill@1", ENVIRONMENT="production")
    assert done.returncode == 1
    assert "JEONGSI_FAILPOINTS is set while ENVIRONMENT=production" in done.stderr


def test_a_stopped_process_goes_on_when_continued(tmp_path: Path) -> None:
    env = {**os.environ, "JEONGSI_FAILPOINTS": "send.written=stop@1"}
    with subprocess.Popen(
        [sys.executable, "-c", HITS], env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as one:
        _, status = os.waitpid(one.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert proof(tmp_path)[0]["pid"] == one.pid
        one.send_signal(signal.SIGCONT)
        assert one.communicate(timeout=30)[0] == "alive\n"


def test_an_error_is_raised_at_its_hit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEONGSI_FAILPOINTS", "beat.planned=error@2; send.taken=error@9")
    failpoints.hit("beat.planned")
    with pytest.raises(failpoints.FailpointError, match=r"beat\.planned, hit 2"):
        failpoints.hit("beat.planned")
    failpoints.hit("beat.planned")


@pytest.mark.parametrize(
    ("rules", "teaches"),
    [
        ("send.wriiten=kill@1", "'send.wriiten' is unknown; there are send.taken"),
        ("send.written", "one looks like send.written=kill@3"),
        ("send.written=explode@1", "is no rule"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rules: str, teaches: str) -> None:
    with pytest.raises(SettingsError, match=teaches):
        failpoints.parse(rules)


def test_every_failpoint_in_the_code_is_in_the_registry() -> None:
    used: dict[str, str] = {}
    for room in ("runtime", "models", "gateways", "beat", "tasks", "workers", "api", "ops"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in {"hit", "failpoints.hit"}:
                    argument = node.args[0]
                    assert isinstance(argument, ast.Constant), f"{path}: a failpoint's name is written out"
                    used[str(argument.value)] = str(path)
    assert set(used) <= set(failpoints.NAMES)
