"""The command line, as a call in this process or as the real console script."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(sys.executable).with_name("jeongsi")


@dataclass(frozen=True)
class Answer:
    """What a command said and with which code it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def said(self) -> str:
        return self.out + self.err


def jeongsi(*arguments: object) -> Answer:
    """Run a command in this process, with the settings of the test."""
    from ops.cli.app import app
    from ops.cli.run import guarded

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = guarded(lambda: app(args=[str(one) for one in arguments], prog_name="jeongsi"))
    return Answer(code, out.getvalue(), err.getvalue())


def jeongsi_script(*arguments: object, env: Mapping[str, str], timeout: float = 30.0) -> Answer:
    """Run the installed console script as a process of its own."""
    done = subprocess.run(
        [SCRIPT, *(str(one) for one in arguments)], env=env, capture_output=True, text=True, timeout=timeout,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return Answer(done.returncode, done.stdout, done.stderr)
