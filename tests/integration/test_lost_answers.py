"""The ledger's answer is lost, or the ledger is away, at each command of a send."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from ops.chaos.proxy import TcpProxy
from ops.emulator import Rule
from runtime import database
from runtime.events import Event, captured
from runtime.settings import get_settings
from tasks.attempt import send_slot
from tests.support.sending import Sending
from tests.support.waiting import eventually

pytestmark = pytest.mark.crash


@pytest.fixture
def proxy(scaled_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[TcpProxy]:
    """Everything that the engine says to Postgres passes here; what the test itself says does not."""
    url = urlsplit(scaled_env["DATABASE_URL"])
    assert url.hostname is not None
    with TcpProxy((url.hostname, url.port or 5432)) as proxy:
        account = url.netloc.rpartition("@")[0]
        monkeypatch.setenv("DATABASE_URL", url._replace(netloc=f"{account}@127.0.0.1:{proxy.port}").geturl())
        get_settings.cache_clear()
        database.reset_pool()
        yield proxy
        database.reset_pool()


@pytest.mark.parametrize("kind", ["key", "lookup", "none"])
def test_a_lost_answer_to_the_point_of_no_return_means_not_written(
    proxy: TcpProxy, sending: Sending, kind: str
) -> None:
    slot = sending.promise("방", f"emulator-{kind}")
    proxy.swallow_reply_to(b"part_ponr")

    assert sending.until_ended(slot) == ["delivered"]

    assert proxy.swallowed == 1
    assert sending.attempts(slot) == ["not_sent", "accepted"]
    assert sending.rows("SELECT reason FROM attempts ORDER BY sending_at")[0]["reason"] == "commit_unclear"
    assert (sending.parts(slot)[0]["tries"], sending.used("방"), sending.receipts()) == (1, 1, 1)


@pytest.mark.parametrize("statement", [b"slot_lease", b"slot_finish", b"slot_settle"])
def test_a_lost_answer_to_any_other_command_costs_time_only(
    proxy: TcpProxy, sending: Sending, statement: bytes
) -> None:
    slots = [sending.promise(kind, f"emulator-{kind}") for kind in ("key", "lookup", "none")]
    proxy.swallow_reply_to(statement)

    assert sending.until_ended(*slots) == ["delivered"] * 3

    assert proxy.swallowed == 1
    assert [sending.attempts(slot) for slot in slots] == [["accepted"]] * 3
    assert sending.receipts() == 3


def test_a_lost_answer_to_evidence_of_a_refusal_costs_time_only(proxy: TcpProxy, sending: Sending) -> None:
    sending.emulator.faults.add(Rule("429"))
    slot = sending.promise("방", "emulator-none")
    proxy.swallow_reply_to(b"part_evidence")

    assert sending.until_ended(slot) == ["delivered"]

    assert proxy.swallowed == 1
    assert sending.attempts(slot) == ["rejected_retry", "accepted"]
    assert sending.receipts() == 1


def test_answers_that_come_while_postgres_is_away_wait_in_the_journal(
    proxy: TcpProxy, sending: Sending
) -> None:
    sending.emulator.faults.add(Rule("slow_after", delay_s=0.3, count=None))
    slots = [sending.promise(kind, f"emulator-{kind}") for kind in ("key", "lookup", "none")]
    with captured() as heard:
        sending.tick()
        eventually(lambda: sending.receipts() == 3)
        proxy.go_away()
        sending.join()
        assert Event.JOURNAL_WRITTEN in [event for event, _ in heard]
        assert [sending.attempts(slot) for slot in slots] == [[None]] * 3

        proxy.come_back()
        assert sending.until_ended(*slots) == ["delivered"] * 3

    assert Event.JOURNAL_REPLAYED in [event for event, _ in heard]
    assert [sending.attempts(slot) for slot in slots] == [["accepted"]] * 3
    assert sending.receipts() == 3


def test_while_postgres_is_away_nothing_is_written(proxy: TcpProxy, sending: Sending) -> None:
    slot = sending.promise("방")
    sending.due()
    (lease,) = sending.rt.lease([slot])
    proxy.go_away()

    assert send_slot(sending.rt, lease) is None
    sending.rt.done(slot)

    assert sending.receipts() == 0
    proxy.come_back()
    assert sending.until_ended(slot) == ["delivered"]
    assert sending.receipts() == 1
