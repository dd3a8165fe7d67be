"""The workers and beats of a run: restarted at once when they die, woken when they lie stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from ops.local.identity import Identity
from ops.local.spawn import Order, spawn
from runtime.clock import clock

ROOT = Path(__file__).parents[2]
CELERY = ("-m", "celery", "-A", "workers")


@dataclass
class Life:
    """One process from its birth to its death. ``name`` is its name in the ledger's log, like `send-2.7`."""

    member: str
    number: int
    pid: int
    born: datetime
    died: datetime | None = None
    killed: bool = False
    """By signal 9, ours or its own failpoint's."""
    stops: list[tuple[datetime, datetime | None]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.member}.{self.number}"


@dataclass(frozen=True)
class Role:
    """One member of the crew: its arguments to Celery, and what its environment has beyond the others'."""

    member: str
    kind: str
    """`send`, `confirm` or `beat`: which failpoints it passes."""
    arguments: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    app: Sequence[str] = CELERY


def worker(member: str, queues: str, threads: int, **env: str) -> Role:
    """A worker on these queues."""
    arguments = ["worker", "-Q", queues, "-n", f"{member}@%h", "-c", str(threads)]
    kind = queues.split(",", 1)[0]
    return Role(member, kind, [*arguments, "--without-gossip", "--without-mingle"], env)


def beat(member: str, **env: str) -> Role:
    """A beat."""
    return Role(member, "beat", ["beat", "--pidfile="], env)


def standing_crew(shifted: bool) -> list[Role]:
    """Three workers that send, two that confirm, two beats; ``shifted``: two of them with a wrong clock."""
    off = {"JEONGSI_CLOCK_SHIFT_S": "-300"} if shifted else {}
    ahead = {"JEONGSI_CLOCK_SHIFT_S": "300"} if shifted else {}
    return [
        worker("send-1", "send", 8), worker("send-2", "send", 8), worker("send-3", "send", 8, **off),
        worker("confirm-1", "confirm", 8), worker("confirm-2", "confirm", 8),
        beat("beat-1"), beat("beat-2", **ahead),
    ]  # fmt: skip


class Crew:
    """All members. Call `look` every few dozen milliseconds, from the thread that made it.

    ``environment`` is what all get; ``rules`` answers the failpoints of a member that is about to start.
    """

    def __init__(
        self, environment: Mapping[str, str], folder: Path, rules: Callable[[Role], str],
        stop_s: Callable[[], float],
    ) -> None:  # fmt: skip
        self.lives: list[Life] = []
        self._environment = dict(environment)
        self._folder = folder
        self._rules, self._stop_s = rules, stop_s
        self._roles: dict[str, Role] = {}
        self._running: dict[str, tuple[subprocess.Popen[bytes], Life]] = {}
        self._waking: dict[str, float] = {}

    @property
    def members(self) -> list[str]:
        """Who should run now."""
        return list(self._roles)

    def pid(self, member: str) -> int:
        """The process that is this member now."""
        return self._running[member][1].pid

    def of_kind(self, kind: str) -> list[str]:
        """The members of one kind."""
        return [role.member for role in self._roles.values() if role.kind == kind]

    def add(self, role: Role) -> None:
        """Start it, and keep it running until it is dismissed."""
        self._roles[role.member] = role
        self._start(role)

    def dismiss(self, member: str) -> Role:
        """Kill it for good; answers the role, for `add`."""
        role = self._roles.pop(member)
        self.kill(member)
        self._bury(member)
        return role

    def kill(self, member: str) -> None:
        """SIGKILL, proved: it is gone when this returns."""
        child, _ = self._running[member]
        identity = Identity.of(child.pid)
        if identity is not None:
            identity.kill()

    def stop(self, member: str) -> bool:
        """SIGSTOP; it is woken by `look`. False if it is dead or lies stopped already."""
        child, _ = self._running[member]
        if child.poll() is not None or member in self._waking:
            return False
        child.send_signal(signal.SIGSTOP)
        return True

    def look(self) -> list[Life]:
        """Restart the dead, wake those that have lain long enough; answers the lives that ended."""
        ended = []
        for member, (child, _) in list(self._running.items()):
            if child.poll() is not None:
                ended.append(self._bury(member))
                if member in self._roles:
                    self._start(self._roles[member])
            else:
                self._see_to_stopped(member, child)
        return ended

    def replace_all(self) -> None:
        """Kill everybody at once; everybody starts anew."""
        for member in self.members:
            self.kill(member)
        self.look()

    def close(self) -> None:
        """Kill all, for good."""
        for member in self.members:
            self.dismiss(member)

    def stopped(self, member: str) -> bool:
        """Whether it lies stopped."""
        return member in self._waking

    def tail(self, member: str, lines: int = 15) -> str:
        """The last lines of its log."""
        log = self._folder / f"{member}.log"
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _start(self, role: Role) -> None:
        number = sum(life.member == role.member for life in self.lives) + 1
        name = f"{role.member}.{number}"
        env = {**self._environment, **role.env, "JEONGSI_FAILPOINTS": self._rules(role)}
        env["DATABASE_URL"] = f"{env['DATABASE_URL']}?options={quote(f'-c jeongsi.who={name}')}"
        child = spawn(
            Order(
                [sys.executable, *role.app, *role.arguments], state=self._folder / f"{role.member}.json",
                log=self._folder / f"{role.member}.log", cwd=ROOT, env=env, death_signal=signal.SIGKILL,
            )
        )  # fmt: skip
        life = Life(role.member, number, child.pid, clock().now())
        self.lives.append(life)
        self._running[role.member] = (child, life)

    def _bury(self, member: str) -> Life:
        child, life = self._running.pop(member)
        self._waking.pop(member, None)
        life.died = clock().now()
        life.killed = child.wait(10) == -signal.SIGKILL
        if life.stops and life.stops[-1][1] is None:
            life.stops[-1] = (life.stops[-1][0], life.died)
        return life

    def _see_to_stopped(self, member: str, child: subprocess.Popen[bytes]) -> None:
        life = self._running[member][1]
        due = self._waking.get(member)
        if due is None and _lies_stopped(child.pid):
            self._waking[member] = clock().monotonic() + self._stop_s()
            life.stops.append((clock().now(), None))
        elif due is not None and clock().monotonic() >= due:
            del self._waking[member]
            life.stops[-1] = (life.stops[-1][0], clock().now())
            os.kill(child.pid, signal.SIGCONT)


def _lies_stopped(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"
