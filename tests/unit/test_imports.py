"""Which room may import which, and that importing does nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Imports every module of ours while reading a setting, opening a connection or a `.env` ends the process.
IMPORT_ALL = """
import importlib, os, pathlib, sys
os.environ["DATABASE_URL"] = "nonsense"
os.environ["JEONGSI_LEASE_S"] = "nonsense"

def watch(event, arguments):
    if event in {"socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.posix_spawn"}:
        raise SystemExit(f"{event} {arguments} while importing {current}")
    if event == "open" and str(arguments[0]).endswith((".env", "run.json")):
        raise SystemExit(f"{arguments[0]} was read while importing {current}")

import urllib3.util.connection  # tries once, when imported, whether this machine has IPv6
import runtime.settings
def refuse(*_, **__):
    raise SystemExit(f"a setting was read while importing {current}")
runtime.settings.Settings.__init__ = refuse

count = 0
sys.addaudithook(watch)
for room in ("runtime", "models", "gateways", "beat", "tasks", "workers", "api", "ops"):
    for path in sorted(pathlib.Path(room).rglob("*.py")):
        parts = path.with_suffix("").parts
        if parts[-1] == "__main__" or parts[:2] == ("models", "migrations"):
            continue  # a program, and what only Alembic may load
        if parts[:2] == ("ops", "bench") and parts[-1].endswith("_app"):
            continue  # what only a peer's own process loads
        current = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        importlib.import_module(current)
        count += 1
print(count)
"""


def test_imports_run_one_way() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_any_module_reads_no_setting_and_opens_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 10
