"""Named places at which a fault test lets this process die, stop or fail. No-ops unless asked for.

`JEONGSI_FAILPOINTS="send.settled=kill@3; beat.planned=error@1"`:

    name=kill@N    SIGKILL to itself at the N-th hit of this process
    name=stop@N    SIGSTOP to itself (a pause; somebody else sends SIGCONT)
    name=error@N   raises FailpointError
    name=kill%P    the same with probability P at every hit (also stop%P, error%P)
    ...@N!         once only, over all processes that share JEONGSI_HOME

Each action leaves an fsynced line {"name", "n", "action", "pid"} in JEONGSI_HOME/failpoints.jsonl
before it happens, so that a test can assert the death and not merely hope for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runtime.settings import SettingsError, get_settings

NAMES: dict[str, str] = {
    # A worker sends.
    "send.taken": "a hint was taken off the queue, nothing done yet",
    "send.locking": "about to ask Redis for the slot's lock",
    "send.locked": "the slot's lock is held, the ledger not asked yet",
    "send.leased": "the ledger gave the lease",
    "send.prepared": "content rendered, connection open, before the point of no return",
    "send.committed": "the point of no return is passed for this part",
    "send.wave_committed": "the committer passed a whole wave over the point of no return",
    "send.guarded": "the last check before the write was passed",
    "send.written": "the request is written, its answer not read",
    "send.replied": "the answer is read, not in the ledger yet",
    "send.evidenced": "the answer is in the ledger, the slot not settled",
    "send.settled": "the slot is settled, the message not acknowledged",
    # A worker confirms.
    "confirm.taken": "a confirm hint was taken off the queue",
    "confirm.leased": "the ledger gave the lease for a look-up",
    "confirm.looked_up": "the provider's answer is read, not in the ledger yet",
    "confirm.evidenced": "what the look-up showed is in the ledger, the slot not settled",
    "confirm.settled": "the slot is settled by the look-up",
    # The beat ticks.
    "beat.planning": "about to lay down slots",
    "beat.planned": "a chunk of slots is committed, the rest not planned",
    "beat.expired": "late slots are expired and coalesced",
    "beat.reaping": "about to take back slots whose lease ended",
    "beat.dispatched": "slots are marked queued and committed, nothing published",
    "beat.prepared": "a batch for an instant ahead is prepared in memory",
    "beat.pushed": "hints are in the broker, the tick not ended",
    "beat.republished": "hints were published again",
    # An upload runs.
    "upload.hinted": "a slot's hint was taken off the queue, the ledger not asked yet",
    "upload.opened": "the run is in the ledger, none of its orders laid down",
    "upload.laid": "a piece of a run's orders is laid down",
    "upload.claimed": "a chunk of orders is leased, nobody asked about it yet",
    "upload.looked": "PlayAuto has shown the chunk's orders, nothing decided yet",
    "upload.instructing": "the point of no return of an instruction is passed, nothing written",
    "upload.instructed": "the instruction's answer is read, not in the ledger yet",
    "upload.setting": "the point of no return of storing numbers is passed, nothing written",
    "upload.set": "the answer to storing numbers is read, not in the ledger yet",
    "upload.sending": "the point of no return of passing numbers on is passed, nothing written",
    "upload.sent": "the answer to passing numbers on is read, not in the ledger yet",
    "upload.recorded": "a chunk's outcome is in the ledger",
    "upload.finishing": "a run is about to be closed: its end is not committed yet",
    "upload.finished": "a run is closed and its notice posted",
    # A notice is sent.
    "notice.taken": "a notice is leased for one target, nothing written",
    "notice.answered": "the target has answered, the ledger does not know it yet",
}

_RULE = re.compile(
    r"(?P<name>[\w.]+)=(?P<action>kill|stop|error)(?:@(?P<at>\d+)(?P<once>!)?|%(?P<chance>[\d.]+))"
)


class FailpointError(RuntimeError):
    """Raised where `name=error@N` asks for it. Product code treats it as any other surprise."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens at one failpoint: `action` at the `at`-th hit, or with `chance` at each."""

    name: str
    action: str
    at: int | None = None
    chance: float = 0.0
    once: bool = False

    def fires(self, n: int) -> bool:
        return n == self.at if self.at is not None else random.random() < self.chance


_rules: dict[str, tuple[Rule, ...]] | None = None
_hits: dict[str, int] = {}
_guard = threading.Lock()


def hit(name: str) -> None:
    """Pass the place `name`. Does nothing unless JEONGSI_FAILPOINTS has a rule for it.

    Raises SettingsError at the first use if the setting is unreadable or ENVIRONMENT=production.
    """
    rules = _rules if _rules is not None else _arm()
    if not rules or name not in rules:
        return
    with _guard:
        _hits[name] = n = _hits.get(name, 0) + 1
    for rule in rules[name]:
        if rule.fires(n) and _note(rule, n):
            _act(rule, n)


def reset() -> None:
    """Forget hits and rules, so that the next `hit` reads the setting again."""
    global _rules
    with _guard:
        _rules = None
        _hits.clear()


def parse(text: str) -> tuple[Rule, ...]:
    """Read JEONGSI_FAILPOINTS. Raises SettingsError for an unknown name or an unreadable rule."""
    return tuple(_parse_one(part.strip()) for part in text.split(";") if part.strip())


def _parse_one(text: str) -> Rule:
    found = _RULE.fullmatch(text)
    if found is None:
        raise SettingsError(f"JEONGSI_FAILPOINTS: {text!r} is no rule; one looks like send.written=kill@3")
    if found["name"] not in NAMES:
        raise SettingsError(f"JEONGSI_FAILPOINTS: {found['name']!r} is unknown; there are {', '.join(NAMES)}")
    if found["chance"] is not None:
        return Rule(found["name"], found["action"], chance=float(found["chance"]))
    return Rule(found["name"], found["action"], at=int(found["at"]), once=found["once"] is not None)


def _arm() -> dict[str, tuple[Rule, ...]]:
    global _rules
    settings = get_settings()
    rules = parse(settings.failpoints)
    if rules and settings.environment == "production":
        raise SettingsError(
            "JEONGSI_FAILPOINTS is set while ENVIRONMENT=production: failpoints kill processes"
        )
    armed: dict[str, tuple[Rule, ...]] = {}
    for rule in rules:
        armed[rule.name] = (*armed.get(rule.name, ()), rule)
    _rules = armed
    return armed


def _note(rule: Rule, n: int) -> bool:
    """Write the line that proves the action. False if a once-only rule has its line already."""
    path = get_settings().home / "failpoints.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if rule.once and _noted_before(file, rule.name):
            return False
        file.write(json.dumps({"name": rule.name, "n": n, "action": rule.action, "pid": os.getpid()}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return True


def _noted_before(file: IO[str], name: str) -> bool:
    file.seek(0)
    return any(json.loads(line)["name"] == name for line in file if line.strip())


def _act(rule: Rule, n: int) -> None:
    if rule.action == "error":
        raise FailpointError(f"failpoint {rule.name}, hit {n}")
    if rule.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    # To this very thread: sent to the process, another may take it while this one runs on past the place.
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
