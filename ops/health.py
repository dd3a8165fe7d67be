"""Whether the process of this container does its work: `python -m ops.health beat | worker QUEUE | flower`.

Exit 0 if so, 1 with a sentence if not. Asks where the process itself leaves its sign of life, so that a
process that exists but stands still is unhealthy, too.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import urllib.request
from typing import Any

BEAT_SILENCE_S = 15
WORKER_SILENCE_S = 10.0


def check_beat(host: str) -> str | None:
    """None if a beat of this host ticked lately, else what is wrong."""
    import psycopg

    from runtime.settings import get_settings

    with psycopg.connect(get_settings().needed_database_url(), connect_timeout=3) as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM clock_timestamp() - max(last_tick_at))"
            " FROM beat_pulse WHERE strpos(node, %s) > 0",
            (host,),
        ).fetchone()
    if row is None or row[0] is None:
        return f"no beat of {host} has ever ticked"
    return None if row[0] < BEAT_SILENCE_S else f"the beat of {host} ticked last {row[0]:.0f} s ago"


def check_worker(host: str, queue: str) -> str | None:
    """None if a worker of this host showed itself on that queue lately, else what is wrong."""
    from runtime import redis_keys
    from runtime.clock import clock
    from runtime.redis_client import lock_redis

    told: Any = lock_redis().hgetall(redis_keys.workers(queue))
    seen = [json.loads(word)["at"] for node, word in told.items() if node.startswith(f"{host}:")]
    if not seen:
        return f"no worker of {host} takes from the queue {queue}"
    silence = clock().now().timestamp() - max(seen)
    return (
        None if silence < WORKER_SILENCE_S else f"the worker of {host} showed itself last {silence:.0f} s ago"
    )


def check_flower() -> str | None:
    """None if Flower answers on this host, else what is wrong."""
    url = f"http://127.0.0.1:{os.environ.get('FLOWER_PORT', '5555')}/healthcheck"
    with urllib.request.urlopen(url, timeout=3) as answer:
        return None if answer.status == 200 else f"Flower answers {answer.status}"


def main(arguments: list[str]) -> int:
    """Run the check named on the command line."""
    host = socket.gethostname()
    try:
        match arguments:
            case ["beat"]:
                wrong = check_beat(host)
            case ["worker", queue]:
                wrong = check_worker(host, queue)
            case ["flower"]:
                wrong = check_flower()
            case _:
                wrong = "usage: python -m ops.health beat | worker QUEUE | flower"
    except Exception as error:  # whatever it is, the answer is: not healthy, and why
        wrong = f"{type(error).__name__}: {error}"
    print(wrong or "healthy")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
