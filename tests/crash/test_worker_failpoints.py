"""A worker dies by signal 9 at every named place of its way. Every slot still ends, and none goes out twice.

One slot per provider kind travels in the dying worker's hint. The test process is the worker that comes
after it, and the beat.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.emulator import Rule
from runtime import failpoints
from runtime.ids import SlotId
from tests.support.hinting import Hinting
from tests.support.processes import Processes
from tests.support.sending import Sending
from tests.support.waiting import eventually

SEND = [name for name in failpoints.NAMES if name.startswith("send.")]
CONFIRM = [name for name in failpoints.NAMES if name.startswith("confirm.")]
QUIET = ("-c", "4", "--without-gossip", "--without-mingle")
KINDS = ("key", "lookup", "none")
#: Up to here no slot of the hint can have passed the point of no return. From then on a neighbour may be out
#: with its answer lost in the dying process, and the third kind of provider cannot be asked.
SAFE = {"send.taken", "send.locking", "send.locked", "send.leased"}
RECOVERY_S = 6.0


@pytest.fixture
def hinting(env: dict[str, str]) -> Iterator[Hinting]:
    one = Hinting()
    yield one
    one.close()


def die_at(
    point: str, slots: list[SlotId], queue: str, processes: Processes, hinting: Hinting, home: Path
) -> None:
    """Give these slots to a worker that dies at ``point``; its death is proved."""
    victim = processes.worker(queue, *QUIET, JEONGSI_FAILPOINTS=f"{point}=kill@1")
    hinting.send(slots, queue)
    victim.assert_died_by(signal.SIGKILL)
    lines = [json.loads(line) for line in (home / "failpoints.jsonl").read_text().splitlines()]
    assert lines == [{"name": point, "n": 1, "action": "kill", "pid": victim.pid}]


def assert_ended_once(sending: Sending, slots: dict[str, SlotId], in_doubt: bool) -> None:
    ends = dict(zip(slots, sending.until_ended(*slots.values(), timeout=RECOVERY_S), strict=True))
    assert (ends["key"], ends["lookup"]) == ("delivered", "delivered")
    assert ends["none"] in (("delivered", "unresolved") if in_doubt else ("delivered",))
    for kind, end in ends.items():
        assert sending.receipts(kind) in ((1,) if end == "delivered" else (0, 1)), kind
    assert not sending.rows("SELECT 1 FROM incidents WHERE kind IN ('dup_suspect', 'evidence_conflict')")


@pytest.mark.parametrize("point", SEND)
def test_a_worker_that_dies_while_sending(
    point: str, sending: Sending, processes: Processes, hinting: Hinting, home: Path
) -> None:
    slots = {kind: sending.promise(kind, f"emulator-{kind}") for kind in KINDS}
    if point == "send.evidenced":  # an accepted last part is stored and settled in one transaction
        sending.emulator.faults.add(Rule("429", room="key"))
    sending.due()

    die_at(point, list(slots.values()), "send", processes, hinting, home)

    assert_ended_once(sending, slots, in_doubt=point not in SAFE)


@pytest.mark.parametrize("point", CONFIRM)
def test_a_worker_that_dies_while_confirming(
    point: str, sending: Sending, processes: Processes, hinting: Hinting, home: Path
) -> None:
    slots = {kind: sending.promise(kind, f"emulator-{kind}") for kind in KINDS}
    sending.emulator.faults.add(Rule("500_after", room="none"))
    sending.once()
    assert {sending.of(slot)["phase"] for slot in slots.values()} == {"confirm"}
    sending.rt.clock.wait(0.25)
    sending.due()

    die_at(point, list(slots.values()), "confirm", processes, hinting, home)

    assert_ended_once(sending, slots, in_doubt=True)


STANDING = [("lookup", "delivered", 1), ("none", "unresolved", 0)]


@pytest.mark.parametrize(("kind", "ends", "receipts"), STANDING)
def test_a_worker_that_stands_still_between_the_point_of_no_return_and_the_write_writes_no_more(
    sending: Sending, processes: Processes, hinting: Hinting, kind: str, ends: str, receipts: int
) -> None:
    slot = sending.promise("방", f"emulator-{kind}")
    sending.due()
    ghost = processes.worker("send", *QUIET, JEONGSI_FAILPOINTS="send.committed=stop@1")
    hinting.send([slot])
    ghost.wait_until_it_stands_still()  # else this process might have the slot before it

    assert sending.until_ended(slot, timeout=RECOVERY_S) == [ends]
    ghost.resume()
    eventually(lambda: sending.attempts(slot)[0] == "not_sent", timeout=5)

    assert (sending.state(slot), sending.receipts()) == (ends, receipts)
    assert not sending.rows("SELECT 1 FROM incidents WHERE kind IN ('dup_suspect', 'evidence_conflict')")


def test_every_failpoint_of_a_worker_stands_in_the_code_by_its_literal_name() -> None:
    root = Path(__file__).parents[2]
    files = [path for room in ("tasks", "gateways") for path in root.glob(f"{room}/**/*.py")]
    code = "".join(path.read_text(encoding="utf-8") for path in files)
    missing = [name for name in SEND + CONFIRM if f'hit("{name}")' not in code]
    assert missing == []
