"""The emulator over real HTTP: held to the same verbatim pairs as the adapter, to the contract, and to its
receipts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from gateways.bridge.adapter import BridgeAdapter
from gateways.http import Transport
from gateways.message import PartToSend, RoomAddress, Sought
from gateways.outcomes import Absent, Found, LookUpUnavailable, NotSent, Outcome
from ops.emulator import Emulator, Receipt, Rule
from ops.emulator.bridge import Behaviour
from ops.emulator.faults import EVERYDAY, SEND_FAULTS, everyday_rates
from runtime.clock import SystemClock
from tests.support.bridge_fixtures import PAIRS, Pair, assert_follows, pair
from tests.support.waiting import eventually

SEED = 7
DEADLINE_S = 0.4
NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)


def ask(emulator: Emulator, one: Pair) -> requests.Response:
    body = one.request["body"]
    return requests.request(
        one.request["method"],
        f"{emulator.url}/{one.bridge}{one.request['path']}",
        data=None if body is None else json.dumps(body).encode(),
        headers=one.request["headers"],
        allow_redirects=False,
        timeout=5,
    )


@pytest.mark.parametrize("one", PAIRS, ids=lambda one: one.name)
def test_the_emulator_answers_as_the_pair_says(one: Pair) -> None:
    settings = dict(one.emulator)
    fault = settings.pop("fault", None)
    with Emulator(seed=SEED, behaviour=Behaviour(**settings)) as emulator:
        for name in one.before:
            ask(emulator, pair(name))
        if fault:
            emulator.faults.add(Rule(fault))
        answer = ask(emulator, one)
    assert answer.status_code == one.response["status"]
    assert answer.headers.items() >= one.response["headers"].items()
    if isinstance(one.response["body"], str):
        assert answer.text == one.response["body"]
        return
    assert answer.json() == one.response["body"]
    assert_follows(str(one.schema), answer.json())


class Client:
    """The adapter on one of the emulator's bridges."""

    def __init__(self, emulator: Emulator, kind: str) -> None:
        transport = Transport(f"{emulator.url}/{kind}", deadline_s=DEADLINE_S)
        self.adapter = BridgeAdapter(f"emulator-{kind}", transport)
        self.room = RoomAddress(f"emulator-{kind}", "방 1")

    def send(self, key: str, text: str = "안녕하세요", room: str | None = None) -> Outcome:
        address = self.room if room is None else RoomAddress(self.room.channel, room)
        line = self.adapter.open(address)
        assert not isinstance(line, NotSent)
        return self.adapter.send(line, address, PartToSend("text", text, None, key, uuid4()))

    def look_up(self, key: str) -> Any:
        return self.adapter.look_up(self.room, Sought(key, None, NOW))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.adapter.close()


EFFECTS = {
    "429": ("rejected_retry", "rate_limited", 0),
    "503": ("rejected_retry", "unavailable", 0),
    "4xx": ("rejected_final", "invalid_request", 0),
    "html_404": ("unknown", "intermediary", 0),
    "500_before": ("unknown", "http_500", 0),
    "500_after": ("unknown", "http_500", 1),
    "drop": ("unknown", "no_response", 0),
    "accept_then_drop": ("unknown", "no_response", 1),
    "slow_before": ("unknown", "deadline", 1),
    "slow_after": ("unknown", "deadline", 1),
    "drip": ("unknown", "deadline", 1),
    "reset_before": ("unknown", "reset", 0),
    "reset_after": ("unknown", "reset", 1),
    "redirect": ("unknown", "redirect", 0),
    "cut_body": ("accepted", "body_cut", 1),
    "lost": ("accepted", "accepted", 0),
    "undelivered": ("accepted", "accepted", 0),
}


@pytest.mark.parametrize("fault", SEND_FAULTS)
def test_each_fault_has_its_outcome_and_its_effect(fault: str, tmp_path: Path) -> None:
    kind, reason, effects = EFFECTS[fault]
    receipts = tmp_path / "receipts.jsonl"
    with (
        Emulator(receipts, SEED, behaviour=Behaviour(slow_s=0.6)) as emulator,
        Client(emulator, "key") as client,
    ):
        rule = emulator.faults.add(Rule(fault, key="k-1"))
        outcome = client.send("k-1")
        assert (outcome.kind, outcome.reason) == (kind, reason)
        eventually(lambda: len(emulator.receipts.all()) == effects)
        assert rule.hits == 1
        assert client.send("k-1").kind == "accepted", "the fault was for one request"
        assert len(emulator.receipts.all()) == 1, "a key is sent once, whatever went wrong before"
    assert len(receipts.read_text(encoding="utf-8").splitlines()) == 1


def test_an_effect_after_the_client_gave_up_is_still_one_effect() -> None:
    with Emulator(behaviour=Behaviour(slow_s=0.6)) as emulator, Client(emulator, "key") as client:
        emulator.faults.add(Rule("slow_before"))
        assert client.send("k-1").kind == "unknown"
        assert client.send("k-1").kind == "accepted"
        eventually(lambda: [seen["fault"] for seen in emulator.requests] == ["slow_before", None])
        assert len(emulator.receipts.all()) == 1


def test_a_receipt_is_on_disk_when_the_answer_arrives_and_names_what_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    with Emulator(path, SEED) as emulator, Client(emulator, "none") as client:
        before = SystemClock().now().timestamp()
        outcome = client.send("k-1", "a")
        [line] = path.read_text(encoding="utf-8").splitlines()
        receipt = json.loads(line)
        assert before <= receipt.pop("at") <= SystemClock().now().timestamp()
        assert receipt.pop("attempt") == emulator.requests[0]["attempt"]
        assert receipt == {
            "n": 1,
            "channel": "emulator-none",
            "room": "방 1",
            "kind": "text",
            "key": "k-1",
            "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
            "message_id": outcome.provider_msg_id,
        }


def test_only_the_bridge_with_keys_refuses_to_double() -> None:
    with Emulator() as emulator:
        for kind, effects in (("key", 1), ("lookup", 2), ("none", 2)):
            with Client(emulator, kind) as client:
                client.send("k-1")
                client.send("k-1")
                receipts = [one for one in emulator.receipts.all() if one.channel == f"emulator-{kind}"]
                assert len(receipts) == effects


def test_a_look_up_sees_an_effect_only_after_the_lag() -> None:
    with Emulator(behaviour=Behaviour(lookup_lag_s=0.3)) as emulator, Client(emulator, "lookup") as client:
        assert client.adapter.capabilities().lookup_lag_s == 0.3
        client.send("k-1")
        assert isinstance(client.look_up("k-1"), Absent)
        eventually(lambda: isinstance(client.look_up("k-1"), Found))


def test_an_accepted_message_turns_delivered_after_the_delay() -> None:
    with Emulator(behaviour=Behaviour(deliver_after_s=0.3)) as emulator, Client(emulator, "key") as client:
        client.send("k-1")
        assert client.look_up("k-1").state == "accepted"
        eventually(lambda: client.look_up("k-1").state == "delivered")


def test_a_look_up_can_lag_or_be_down_for_one_request() -> None:
    with Emulator() as emulator, Client(emulator, "lookup") as client:
        client.send("k-1")
        emulator.faults.add(Rule("lookup_down"))
        emulator.faults.add(Rule("lookup_lag"))
        down, lagging, found = (client.look_up("k-1") for _ in range(3))
        assert isinstance(down, LookUpUnavailable)
        assert isinstance(lagging, Absent)
        assert isinstance(found, Found)


def test_a_lost_message_is_absent_and_an_undelivered_one_says_failed_and_frees_its_key() -> None:
    with Emulator() as emulator, Client(emulator, "key") as client:
        emulator.faults.add(Rule("lost", key="k-1"))
        emulator.faults.add(Rule("undelivered", key="k-2"))
        client.send("k-1")
        client.send("k-2")
        assert isinstance(client.look_up("k-1"), Absent)
        assert client.look_up("k-2").state == "failed"
        assert emulator.receipts.all() == []
        client.send("k-2")
        assert client.look_up("k-2").state != "failed"
        assert [one.key for one in emulator.receipts.all()] == ["k-2"]


def test_a_rule_strikes_only_what_it_names_and_as_often_as_it_says() -> None:
    with Emulator() as emulator, Client(emulator, "none") as client, Client(emulator, "lookup") as other:
        emulator.faults.add(Rule("429", channel="emulator-none", room="방 2", path="/text", count=2))
        assert client.send("k-1", room="방 1").kind == "accepted"
        assert other.send("k-1", room="방 2").kind == "accepted"
        kinds = [client.send("k-1", room="방 2").kind for _ in range(3)]
        assert kinds == ["rejected_retry", "rejected_retry", "accepted"]


def run_with_rates(seed: int) -> list[str]:
    rates = everyday_rates(0.5)
    with Emulator(seed=seed, rates=rates, behaviour=Behaviour(slow_s=0.01)) as emulator:
        with Client(emulator, "none") as client:
            for n in range(60):
                client.send(f"k-{n}")
        return [str(seen["fault"]) for seen in emulator.requests]


def test_the_same_seed_meets_the_same_faults() -> None:
    first = run_with_rates(3)
    assert first == run_with_rates(3)
    assert first != run_with_rates(4)
    assert set(first) <= {*EVERYDAY, "None"}
    assert 15 <= sum(one != "None" for one in first) <= 45


def test_a_restarted_emulator_still_knows_its_keys_and_goes_on_counting(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    with Emulator(path) as emulator, Client(emulator, "key") as client:
        first = client.send("k-1").provider_msg_id
    with path.open("a", encoding="utf-8") as file:
        file.write('{"n": 2, "at"')  # cut by a kill
    with Emulator(path) as emulator, Client(emulator, "key") as client:
        assert client.send("k-1").provider_msg_id == first
        client.send("k-2")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["n"] for line in (lines[0], lines[2])] == [1, 2]


def test_a_stopped_emulator_cuts_its_connections_and_starts_again_on_its_port() -> None:
    with Emulator() as emulator, Client(emulator, "key") as client:
        client.send("k-1")
        url = emulator.url
        emulator.stop()
        assert isinstance(client.adapter.open(client.room), NotSent)
        emulator.start()
        assert emulator.url == url
        assert client.send("k-2").kind == "accepted"


def test_the_control_door_scripts_and_tells_everything() -> None:
    with Emulator() as emulator, Client(emulator, "key") as client:
        door = f"{emulator.url}/_control"
        rules = {"rules": [{"fault": "4xx", "room": "방 1", "count": 1}], "rates": {"429": 0.0}}
        assert requests.post(f"{door}/faults", json=rules, timeout=5).json()["rules"][0]["hits"] == 0
        client.send("k-1")
        client.send("k-2")
        assert requests.get(f"{door}/faults", timeout=5).json()["rules"][0]["hits"] == 1
        told = requests.get(f"{door}/receipts", params={"since": 0}, timeout=5).json()["receipts"]
        assert [Receipt(**one) for one in told] == emulator.receipts.all()
        seen = requests.get(f"{door}/requests", timeout=5).json()["requests"]
        assert [one["fault"] for one in seen] == ["4xx", None]
        requests.post(f"{door}/settings", json={"lookup_lag_s": 60, "missing_rooms": ["방 1"]}, timeout=5)
        assert client.send("k-3").reason == "room_not_found"
        assert isinstance(client.look_up("k-2"), Absent)
        assert requests.post(f"{door}/reset", timeout=5).status_code == 200
        assert requests.get(f"{door}/requests", timeout=5).json() == {"requests": []}


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("faults", {"rules": [{"fault": "gremlin"}]}, "there is no fault 'gremlin'"),
        ("faults", {"rules": [{"fault": "429", "colour": "red"}]}, "a rule has no colour"),
        ("faults", {"rates": {"429": 0.6, "4xx": 0.6}}, "fault rates lie between 0 and 1"),
        ("settings", {"mood": 1}, "there is no setting mood"),
    ],
)
def test_the_control_door_refuses_what_it_does_not_know(name: str, body: Any, why: str) -> None:
    with Emulator() as emulator:
        answer = requests.post(f"{emulator.url}/_control/{name}", json=body, timeout=5)
        assert answer.status_code == 400
        assert why in answer.json()["error"]["message"]


def test_many_clients_at_once_leave_one_whole_line_each(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    with Emulator(path) as emulator, Client(emulator, "key") as client, ThreadPoolExecutor(16) as threads:
        client.adapter._transport._deadline_s = 10.0
        list(threads.map(lambda n: client.send(f"k-{n % 100}"), range(400)))
    receipts = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert Counter(one["key"] for one in receipts) == Counter(f"k-{n}" for n in range(100))
    assert [one["n"] for one in receipts] == list(range(1, 101))


def test_as_a_process_it_says_its_address_first_and_ends_on_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    command = [sys.executable, "-m", "ops.emulator", "--receipts", str(path), "--rate", "4xx=1.0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = json.loads(process.stdout.readline())["url"]
            answer = requests.get(f"{url}/key/v1/capabilities", timeout=5)
            assert answer.json()["idempotency"] is True
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_as_a_process_it_says_why_it_cannot_start() -> None:
    command = [sys.executable, "-m", "ops.emulator", "--rate", "gremlin=1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert "there is no fault 'gremlin'" in ended.stderr
