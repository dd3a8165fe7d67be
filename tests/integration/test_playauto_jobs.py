"""The third step over real HTTP: jobs that send numbers on, what they call back, and what the orders say."""

from __future__ import annotations

import json

import pytest

from gateways.playauto.accounts import client_for
from gateways.playauto.answers import parse_callback, read_back
from gateways.playauto.client import Client
from ops.emulator.playauto import PlayAuto
from ops.emulator.playauto.orders import TO_SHIP
from tests.support.environment import clear_caches
from tests.support.playauto_env import rows_of
from tests.support.raw_server import RawServer, answering, response
from tests.support.waiting import eventually


def test_a_number_goes_on_to_the_marketplace_and_the_job_calls_back(
    client: Client, playauto: PlayAuto
) -> None:
    """The third step: stored is not sent; `sent_at` is what proves it."""
    playauto.seed(20, states={TO_SHIP: 1.0}, shops=3)
    rows = rows_of(playauto)
    client.set_invoices(rows)
    bundles = [one.bundle_no for one in rows]
    orders = [one for found in client.orders_by_bundle(bundles).values() for one in found]
    assert not any(one.sent_at for one in orders)
    with RawServer(answering(response("200 OK", b"{}"))) as server:
        started = client.send_invoices(orders, f"http://127.0.0.1:{server.port}/callback")
        assert started.kind == "jobs_started"
        eventually(lambda: len(server.requests) == len(started.work_nos))
        reports = [parse_callback(body_of(one)) for one in server.requests]
    assert {one.work_no for one in reports if one} == set(started.work_nos)
    assert {one.state for one in reports if one} == {"succeeded"}
    found = client.orders_by_bundle(bundles)
    assert all(read_back(one, found[one.bundle_no]).sent for one in rows)
    assert playauto.changes.summary()["sent_again"] == 0


@pytest.mark.parametrize(
    ("switch", "heard", "sent"),
    [
        ("callback_lost", 0, True),
        ("callback_doubled", 2, True),
        ("job_fails", 1, False),
        ("job_lost", 0, False),
    ],
)
def test_callbacks_come_never_twice_or_with_a_failure_and_the_orders_tell_the_truth(
    client: Client,
    playauto: PlayAuto,
    switch: str,
    heard: int,
    sent: bool,
) -> None:
    playauto.seed(1, states={TO_SHIP: 1.0})
    playauto.rules.change({switch: 1.0, "job_delay_s": 0.05})
    row = rows_of(playauto)[0]
    client.set_invoices([row])
    with RawServer(answering(response("200 OK", b"{}"))) as server:
        orders = client.orders_by_bundle([row.bundle_no])[row.bundle_no]
        client.send_invoices(orders, f"http://127.0.0.1:{server.port}/")
        job = playauto.jobs.all[0]
        eventually(lambda: job.state != "waiting" and len(server.requests) == heard)
        reports = [parse_callback(body_of(one)) for one in server.requests]
    assert {one.state for one in reports if one} <= {"failed" if switch == "job_fails" else "succeeded"}
    orders = client.orders_by_bundle([row.bundle_no])[row.bundle_no]
    assert read_back(row, orders).sent is sent


@pytest.mark.parametrize("takes", ["uniq", "bundle_no"])
def test_what_the_sending_list_takes_is_a_setting(
    client: Client,
    playauto: PlayAuto,
    monkeypatch: pytest.MonkeyPatch,
    takes: str,
) -> None:
    playauto.seed(2, states={TO_SHIP: 1.0}, bundled=0.0)
    playauto.rules.list_takes = takes
    orders = list(client.orders())
    wrong = "bundle_no" if takes == "uniq" else "uniq"
    for chosen, kind in ((takes, "jobs_started"), (wrong, "refused")):
        monkeypatch.setenv("JEONGSI_PLAYAUTO_SEND_BY", chosen)
        clear_caches()
        assert client_for().send_invoices(orders).kind == kind


def body_of(request: bytes) -> object:
    return json.loads(request.partition(b"\r\n\r\n")[2])
