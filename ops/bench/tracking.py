"""Tracking numbers: orders through an emulated PlayAuto that answers after 50 ms, until all are confirmed.

Instruct, store, send on, read back. Beside it, against the same PlayAuto, the loop that the upload document
describes: one order after the other, one request each, marked when it is stored. And what a run does to
messages: how late they are on the broker and at the provider, while it goes and before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import psycopg
import requests

from models.ledger import tracking
from models.queries import tracking as queries
from ops.bench.contenders import contender
from ops.bench.farm import Farm, stats
from ops.bench.goals import UPLOAD
from ops.bench.lateness import spread
from ops.bench.options import Options
from runtime.clock import clock

NAME = "tracking"
TITLE = "Tracking numbers: orders uploaded and confirmed, PlayAuto answering after 50 ms"
LATENCY_S = 0.05
_LIMIT_S = 900.0
_SENDS_PER_S, _SECONDS, _QUIET_S, _LEAD_S = 20, 120, 25, 8.0
_PLAYAUTO = {"PLAYAUTO_API_KEY": "key", "PLAYAUTO_EMAIL": "me@example.com", "PLAYAUTO_PASSWORD": "hunter2"}
_KEYS = {"x-api-key": "key"}


def run(options: Options) -> dict[str, Any]:
    """Rows: ours and the loop, in orders a second; then messages, in milliseconds, alone and beside a run."""
    orders = options.sizes(short=100_000, full=200_000)
    with Farm(**_PLAYAUTO) as farm, farm.connect() as db:
        receiver = farm.receiver()
        playauto = _playauto(farm, orders)
        _lay_orders(db, playauto)
        loop = _one_by_one(playauto, options.sizes(short=200, full=400))
        options.say(f"  {loop['name']}: {loop['per_s']}/s")
        farm.beat()
        farm.worker(name="send-1", concurrency=16)
        for number in (1, 2):
            farm.worker("tracking", name=f"tracking-{number}", concurrency=4)
        dues = _lay_sends(db)
        clock().wait(dues[0] + _QUIET_S - clock().now().timestamp())
        ours = _upload(farm, db, playauto)
        options.say(f"  {ours['name']}: {ours['per_s']}/s")
        ours["times"] = round(ours["per_s"] / loop["per_s"], 1)
        lateness = _lateness(receiver, dues, ours.pop("window"))
        return {"rows": [ours, loop], "sends": lateness}


# -- the world -----------------------------------------------------------------------------------


def _playauto(farm: Farm, orders: int) -> str:
    """The emulator with its orders; answers its URL."""
    url = farm.emulator([])
    asked = {"orders": orders, "states": {"출고대기": 0.5, "신규주문": 0.5}, "bundled": 0.0}
    _control(url, "seed", asked)
    _control(url, "settings", {"latency_s": LATENCY_S})
    return url


def _control(url: str, name: str, body: dict[str, Any] | None = None) -> Any:
    way = "GET" if body is None else "POST"
    answer = requests.request(way, f"{url}/_control/playauto/{name}", json=body, timeout=120)
    answer.raise_for_status()
    return answer.json()


def _lay_orders(db: psycopg.Connection[Any], url: str) -> None:
    """An account, and an order with a number for each of PlayAuto's so far."""
    db.execute("INSERT INTO tracking_upload_scheduler (account) VALUES ('default')")
    with db.cursor().copy(
        "COPY orders (order_no, playauto_uniq, bundle_no, carrier_code, tracking_number) FROM STDIN"
    ) as rows:
        for n, one in enumerate(_control(url, "bundles")["bundles"]):
            rows.write_row((one["uniq"], one["uniq"], one["bundle_no"], "4", f"6{n:011}"))
    db.execute("ANALYZE orders")


# -- the loop ------------------------------------------------------------------------------------


def _one_by_one(url: str, count: int) -> dict[str, Any]:
    """As the document describes it, on PlayAuto's real call, for orders that need no instruction."""
    _control(f"{url}", "seed", {"orders": count, "states": {"출고대기": 1.0}, "bundled": 0.0})
    bundles = [one["bundle_no"] for one in _control(url, "bundles?state=출고대기")["bundles"][-count:]]
    with requests.Session() as session:
        told = session.post(f"{url}/playauto/auth", json={"authentication_key": "k"}, headers=_KEYS).json()
        headers = _KEYS | {"Authorization": f"Token {told[0]['token']}"}
        began = clock().monotonic()
        for n, bundle in enumerate(bundles):
            row = {"bundle_no": bundle, "carr_no": "4", "invoice_no": f"7{n:011}"}
            answer = session.put(
                f"{url}/playauto/order/setInvoice",
                json={"orders": [row], "overwrite": False, "change_complete": False}, headers=headers,
            )  # fmt: skip
            assert answer.json()[0]["result"] == "성공", answer.text
        took = clock().monotonic() - began
    return {"name": "one by one, stored only", "orders": count, "per_s": round(count / took, 1),
            "took_s": round(took, 1), "calls": count}  # fmt: skip


# -- ours ----------------------------------------------------------------------------------------


def _upload(farm: Farm, db: psycopg.Connection[Any], url: str) -> dict[str, Any]:
    """One manual run, taken up by the worker processes that are there; answers its figures."""
    workers = ("tracking-1", "tracking-2")
    before, calls, began_at = (
        farm.cpu_s(),
        len(_control(url, "requests")["requests"]),
        clock().now().timestamp(),
    )
    started = tracking.start(db)
    assert started.job is not None, started.verdict
    rss = 0.0
    end = clock().monotonic() + _LIMIT_S
    while (one := queries.job(db, started.job)) is not None and one.completed_at is None:
        if clock().monotonic() > end:
            raise RuntimeError(f"the run did not end within {_LIMIT_S:g} s: {one}")
        rss = max(rss, *(farm.rss_mb(name) for name in workers))
        clock().wait(0.5)
    assert one is not None
    after, seen = farm.cpu_s(), _control(url, "summary")
    took = one.duration_s or 0.0
    return {
        "name": UPLOAD, "orders": one.total,
        "per_s": round(one.success / took, 1), "took_s": round(took, 1), "failed": one.failed,
        "calls": len(_control(url, "requests")["requests"]) - calls, "rss_mb": round(rss, 1),
        "stored_again": seen["stored_again"], "overwritten": seen["overwritten"],
        "cpu_us_per_order": {
            name: round((after[name] - before.get(name, 0.0)) / max(one.total, 1) * 1e6)
            for name in sorted(after)
        },
        "window": (began_at, clock().now().timestamp()),
    }  # fmt: skip


# -- messages meanwhile --------------------------------------------------------------------------


def _lay_sends(db: psycopg.Connection[Any]) -> list[float]:
    """Messages due at every second, each to a room of its own; answers when, as Unix seconds."""
    first = math.ceil(clock().now().timestamp() + _LEAD_S)
    dues = [float(first + n // _SENDS_PER_S) for n in range(_SENDS_PER_S * _SECONDS)]
    ours = contender("ours")
    ours.lay_at(db, dues)
    db.execute("UPDATE rooms SET channel = 'receiver'")
    return dues


def _lateness(receiver: str, dues: Sequence[float], window: tuple[float, float]) -> list[dict[str, Any]]:
    """How late messages were at the provider: those due before the run, and those due while it went."""
    at = sorted(stats(receiver)["at"])
    pairs = list(zip(at, sorted(dues), strict=False))
    alone = sorted((one - due) * 1000 for one, due in pairs if due < window[0] - 1.0)
    beside = sorted((one - due) * 1000 for one, due in pairs if window[0] <= due < window[1])
    return [
        {"name": name, "came": len(late)} | spread(late)
        for name, late in (("messages alone", alone), ("beside the run", beside))
    ]
