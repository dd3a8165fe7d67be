"""Starting a child so that nothing of it can be left behind unseen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.local.account import Account

_LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Order:
    """What to start. `state` gets `{pid, started, **note}` before the program begins.

    `death_signal` is what the kernel sends to the child when the *thread* that started it ends (Linux
    only; None: it lives on), so start children from a thread that lives as long as the process.
    """

    command: Sequence[str]
    state: Path
    log: Path
    cwd: Path
    env: Mapping[str, str] | None = None
    note: Mapping[str, Any] = field(default_factory=dict)
    account: Account | None = None
    death_signal: int | None = None


def spawn(order: Order) -> subprocess.Popen[bytes]:
    """Start it in its own session, with its output appended to the log and no input.

    A command that does not exist ends with a status and a line in the log, not with an exception.
    """
    account = order.account
    told = {
        "command": list(order.command), "state": str(order.state.absolute()), "note": dict(order.note),
        "parent": os.getpid(), "death_signal": order.death_signal,
        "uid": account.uid if account else None, "gid": account.gid if account else None,
    }  # fmt: skip
    with os.fdopen(os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(told)],
            cwd=order.cwd, env=order.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
