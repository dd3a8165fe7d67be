"""Explicit-state model of one message part (exactly-once.md section 11).

Two workers, a reaper, a confirmer and a provider with requests in flight; any order of steps, a crash at
any of them; a stopped process is one that is never scheduled. Every reachable state is visited, so what
the model does not find cannot happen in it. It judges the protocol, not our SQL: that is what
tests/integration/test_ledger_machine.py is for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple

MAX_FENCE = 7
Resend = Literal["never", "always", "not_found"]


@dataclass(frozen=True)
class Protocol:
    """What a deployment does: which of our rules are on, and what its provider can."""

    point_of_no_return: bool = True
    resend: Resend = "never"
    idempotency_key: bool = False
    lookup: bool = False
    settle: bool = False
    crashes: int = 1
    tries: int = 2


class At(Enum):
    """Where a worker stands."""

    IDLE = "idle"
    LEASED = "leased"
    PASSED = "past the point of no return"
    WROTE = "wrote"
    DEAD = "dead"


class Worker(NamedTuple):
    at: At = At.IDLE
    fence: int = 0
    attempt: int = 0


class State(NamedTuple):
    """The whole world at one moment. ``received``: effects at the provider, counted up to 2."""

    slot: Literal["queued", "leased", "confirm", "done", "unresolved"] = "queued"
    part: Literal["pending", "sending", "accepted", "unknown"] = "pending"
    fence: int = 0
    attempt: int = 0
    tries: int = 0
    workers: tuple[Worker, Worker] = (Worker(), Worker())
    in_flight: tuple[int, ...] = ()
    received: int = 0
    crashes: int = 0


Step = tuple[str, State]


@dataclass(frozen=True)
class Verdict:
    """What can happen under a protocol; the traces are the shortest ways there, None if there is none."""

    states: int
    duplicate: list[str] | None
    lost: list[str] | None
    unresolved: bool


def explore(protocol: Protocol) -> Verdict:
    """Visit every reachable state."""
    start = State()
    came: dict[State, tuple[str, State] | None] = {start: None}
    todo = deque([start])
    duplicate: State | None = None
    lost: State | None = None
    unresolved = False
    while todo:
        state = todo.popleft()
        steps = list(steps_from(state, protocol))
        if state.received > 1 and duplicate is None:
            duplicate = state
        if lost is None and is_lost(state, bool(steps), protocol):
            lost = state
        unresolved |= not steps and state.slot == "unresolved"
        for name, after in steps:
            if after not in came:
                came[after] = (name, state)
                todo.append(after)
    return Verdict(len(came), _way(came, duplicate), _way(came, lost), unresolved)


def is_lost(state: State, moves: bool, protocol: Protocol) -> bool:
    """Called delivered though nothing arrived nor will, or stuck although tries and a worker are left."""
    if state.slot == "done":
        return state.received == 0 and not state.in_flight
    hopeful = state.tries < protocol.tries and state.fence < MAX_FENCE
    alive = any(worker.at is At.IDLE for worker in state.workers)
    return not moves and state.received == 0 and state.slot != "unresolved" and hopeful and alive


def steps_from(state: State, protocol: Protocol) -> Iterator[Step]:
    """Every step that somebody can take next."""
    for number in (0, 1):
        yield from worker_steps(state, number, protocol)
    for attempt in state.in_flight:
        yield "provider takes effect", provider(state, attempt, protocol)
    if state.slot == "leased":
        yield "reaper", reaped(state, protocol)
    if state.slot == "confirm":
        yield from confirm_steps(state, protocol)


def worker_steps(state: State, number: int, protocol: Protocol) -> Iterator[Step]:
    worker = state.workers[number]
    who = f"worker {number}"
    if (
        worker.at is At.IDLE
        and state.slot == "queued"
        and state.tries < protocol.tries
        and state.fence < MAX_FENCE
    ):
        fence = state.fence + 1
        yield f"{who} leases", put(state, number, Worker(At.LEASED, fence), slot="leased", fence=fence)
    if worker.at is At.LEASED:
        yield from pass_or_not(state, number, protocol)
    if worker.at is At.PASSED:
        in_flight = tuple(sorted((*state.in_flight, worker.attempt)))
        yield f"{who} writes", put(state, number, worker._replace(at=At.WROTE), in_flight=in_flight)
        if protocol.point_of_no_return:
            yield f"{who} proves that nothing was sent", not_sent(state, number)
    if worker.at is At.WROTE and worker.attempt not in state.in_flight:
        yield f"{who} has the answer", answered(state, number, protocol)
    if worker.at not in (At.IDLE, At.DEAD) and state.crashes < protocol.crashes:
        yield f"{who} crashes", put(state, number, Worker(At.DEAD), crashes=state.crashes + 1)


def pass_or_not(state: State, number: int, protocol: Protocol) -> Iterator[Step]:
    """The point of no return, or, in a protocol without one, just going ahead."""
    worker, attempt, tries = state.workers[number], state.attempt + 1, state.tries + 1
    if not protocol.point_of_no_return:
        after = Worker(At.PASSED, worker.fence, attempt)
        yield f"worker {number} goes ahead", put(state, number, after, attempt=attempt, tries=tries)
    elif state.slot == "leased" and state.fence == worker.fence and state.part == "pending":
        fence = worker.fence + 1
        after = Worker(At.PASSED, fence, attempt)
        changes = {"part": "sending", "attempt": attempt, "fence": fence, "tries": tries}
        yield f"worker {number} passes the point of no return", put(state, number, after, **changes)
    else:
        yield f"worker {number} is fenced", put(state, number, Worker())


def not_sent(state: State, number: int) -> State:
    worker = state.workers[number]
    ours = state.attempt == worker.attempt and state.part in ("sending", "unknown")
    held = state.slot == "leased" and state.fence == worker.fence
    return put(
        state, number, Worker(), part="pending" if ours else state.part, slot="queued" if held else state.slot
    )


def answered(state: State, number: int, protocol: Protocol) -> State:
    """Evidence is not a command: it counts whoever says it and whenever (R4)."""
    if not protocol.point_of_no_return:
        return put(state, number, Worker(), part="accepted", slot="done")
    ours = state.attempt == state.workers[number].attempt and state.part in ("sending", "unknown", "pending")
    part = "accepted" if ours else state.part
    return put(state, number, Worker(), part=part, slot="done" if part == "accepted" else state.slot)


def provider(state: State, attempt: int, protocol: Protocol) -> State:
    left = list(state.in_flight)
    left.remove(attempt)
    received = 1 if protocol.idempotency_key else min(state.received + 1, 2)
    return state._replace(in_flight=tuple(left), received=received)


def reaped(state: State, protocol: Protocol) -> State:
    """A lease may run out at any time: asynchrony has no clock."""
    if protocol.point_of_no_return and state.part == "sending":
        return state._replace(slot="confirm", part="unknown", fence=state.fence + 1)
    return state._replace(slot="queued", fence=state.fence + 1)


def confirm_steps(state: State, protocol: Protocol) -> Iterator[Step]:
    if state.part == "pending" and state.tries < protocol.tries:
        # Without this step late proof of not-sent strands the slot: the first draft's bug.
        yield "confirm: proved not sent meanwhile, try again", state._replace(slot="queued")
    if state.part != "unknown":
        return
    under_way = bool(state.in_flight) or any(worker.at is At.PASSED for worker in state.workers)
    if protocol.settle and under_way:
        return
    if protocol.resend == "always":
        yield "confirm: send again", state._replace(slot="queued", part="pending")
    elif not protocol.lookup:
        yield "confirm: cannot know", state._replace(slot="unresolved")
    elif state.received:
        yield "confirm: found", state._replace(slot="done", part="accepted")
    elif protocol.resend == "not_found":
        yield "confirm: absent, send again", state._replace(slot="queued", part="pending")
    else:
        yield "confirm: absent, give up", state._replace(slot="unresolved")


def put(state: State, number: int, worker: Worker, **changes: object) -> State:
    workers = (worker, state.workers[1]) if number == 0 else (state.workers[0], worker)
    return state._replace(workers=workers, **changes)  # type: ignore[arg-type]


def _way(came: dict[State, tuple[str, State] | None], state: State | None) -> list[str] | None:
    if state is None:
        return None
    names: list[str] = []
    while (step := came[state]) is not None:
        names.append(step[0])
        state = step[1]
    return names[::-1]
