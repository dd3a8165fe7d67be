"""Lateness: 200 slots each whole second for 20 seconds; how long after its time is each on the broker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import redis

from ops.bench.contenders import contender, known
from ops.bench.farm import Farm, stats
from ops.bench.options import Options
from ops.bench.watch import queue_of
from runtime.clock import clock

NAME = "lateness"
TITLE = "Lateness: 200 slots each second for 20 s, broker time minus due time"
PER_SECOND = 200
SECONDS = 20
_CUT_S = 15.0
_ALONE = {"JEONGSI_HINT_MAX": "1"}


def run(options: Options) -> dict[str, Any]:
    """Rows in milliseconds; ours with idle workers and with workers that send."""
    rows = [_on_the_broker(contender("ours")), _at_the_provider()]
    peers = ("celery_beat", "django_celery_beat_", "redbeat_")
    for module in known() if options.full else [peer for peer in known() if peer in peers]:
        rows.append(_on_the_broker(contender(module)))
        options.say(f"  {rows[-1]['name']}: p50 {rows[-1]['p50']} ms, p99 {rows[-1]['p99']} ms")
    return {"rows": rows}


def _dues(lead_s: float) -> list[float]:
    first = math.ceil(clock().now().timestamp() + lead_s)
    return [float(first + n // PER_SECOND) for n in range(PER_SECOND * SECONDS)]


def _on_the_broker(peer: ModuleType, lead_s: float = 14.0) -> dict[str, Any]:
    with Farm(**_ALONE) as farm, farm.broker() as client:
        dues = _dues(lead_s)
        peer.lay(farm, dues)
        peer.start(farm)
        if clock().now().timestamp() > dues[0] - 2.0:
            return _on_the_broker(peer, lead_s * 2)
        client.delete(queue_of(peer))
        late = _popped(client, peer, dues)
        return {"name": peer.NAME, "came": len(late), "wanted": len(dues)} | spread(late)


def _popped(client: redis.Redis, peer: ModuleType, dues: Sequence[float]) -> list[float]:
    """Milliseconds late of each schedule, as a consumer that takes all there is meets them.

    The instant is that of the answer's arrival: to take 200 messages apart costs this consumer another
    millisecond, which is no lateness of the broker's.
    """
    late: dict[int, float] = {}
    connection: Any = client.connection_pool.get_connection()
    try:
        while len(late) < len(dues) and clock().now().timestamp() < dues[-1] + _CUT_S:
            connection.send_command("BLMPOP", 1.0, 1, queue_of(peer), "RIGHT", "COUNT", 500)
            connection.can_read(timeout=5.0)
            now = clock().now().timestamp()
            got = connection.read_response()
            for raw in got[1] if got else []:
                for number in peer.told(raw):
                    late.setdefault(number, (now - dues[number]) * 1000)
    finally:
        client.connection_pool.release(connection)
    return sorted(late.values())


def _at_the_provider() -> dict[str, Any]:
    """With a worker that sends: when the provider has each, after its time. Everything on the same cores."""
    ours = contender("ours")
    with Farm() as farm:
        receiver = farm.receiver()
        with farm.connect() as db:
            dues = _dues(16.0)
            ours.lay(farm, dues)
            db.execute("UPDATE rooms SET channel = 'receiver'")
            ours.start(farm)
            farm.worker(name="send-1", concurrency=16)
            clock().wait(dues[-1] + 5.0 - clock().now().timestamp())
        at = stats(receiver)["at"]
        late = sorted((one - due) * 1000 for one, due in zip(sorted(at), sorted(dues), strict=False))
        return {
            "name": "Jeongsi, at the provider, one worker", "came": len(at), "wanted": len(dues),
        } | spread(late)  # fmt: skip


def spread(late: Sequence[float]) -> dict[str, float]:
    """Percentiles of sorted milliseconds."""

    def at(share: float) -> float:
        return round(late[min(len(late) - 1, int(len(late) * share))], 1)

    if not late:
        return {"min": math.nan, "p50": math.nan, "p99": math.nan, "max": math.nan}
    return {"min": round(late[0], 1), "p50": at(0.5), "p99": at(0.99), "max": round(late[-1], 1)}
