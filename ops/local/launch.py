"""Becomes a program: leaves root, asks to die with its parent, notes itself in a file, then execs.

Run as a file by `ops.local.spawn`, with nothing but the standard library. Done here and not between
fork and exec, because our processes have threads, and there only exec is safe; and done by the child
itself, so that no moment exists in which a server runs and no file says so.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1


def start_mark(pid: int) -> str | None:
    """What tells this process from any other that ever had its number; None if it is gone or a zombie."""
    if not sys.platform.startswith("linux"):
        return _start_mark_by_ps(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    # The program's name stands in brackets and may hold anything, brackets too.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def _start_mark_by_ps(pid: int) -> str | None:
    shown = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return None if len(shown) < 2 or shown[0].startswith("Z") else shown[1].strip()


def write_privately(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file in one step; only its owner can read it."""
    half = path.with_name(f"{path.name}.{os.getpid()}.half")
    number = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
    half.replace(path)


def _die_with(parent: int, signal_number: int) -> None:
    if not sys.platform.startswith("linux"):
        return  # the next start finds the leftover by its state file
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent died before its child began")


def main(order: dict[str, Any]) -> None:
    """`order`: command, state (a path), note (kept in it), parent; death_signal, uid and gid may be None."""
    mark = start_mark(os.getpid())
    write_privately(Path(order["state"]), {**order["note"], "pid": os.getpid(), "started": mark})
    if order["uid"] is not None:
        os.setgroups([])
        os.setgid(order["gid"])
        os.setuid(order["uid"])
    if order["death_signal"] is not None:  # after setuid, which would clear it
        _die_with(order["parent"], order["death_signal"])
    try:
        os.execvp(order["command"][0], order["command"])  # noqa: S606 - becoming the program is the point
    except OSError as error:
        sys.exit(f"{order['command'][0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
