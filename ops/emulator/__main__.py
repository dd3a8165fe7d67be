"""`python -m ops.emulator`: the emulator as a process. Its first line of output is `{"url": …}`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from ops.emulator.bridge import Behaviour
from ops.emulator.faults import everyday_rates
from ops.emulator.server import Emulator


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. 2: the port is taken or an argument is wrong."""
    options = _parser().parse_args(argv)
    # Before the address is said: who reads it may end us on its next line.
    ended = heard_a_signal()
    try:
        rates = everyday_rates(options.fault_rate) | dict(_rate(text) for text in options.rate)
        emulator = Emulator(
            options.receipts,
            options.seed,
            host=options.host,
            port=options.port,
            rates=rates,
            behaviour=Behaviour(
                lookup_lag_s=options.lookup_lag_s,
                deliver_after_s=options.deliver_after_s,
                slow_s=options.slow_s,
                missing_rooms=set(options.missing_room),
            ),
        )
        emulator.start()
    except (ValueError, OSError) as wrong:
        print(f"The emulator cannot start: {wrong}", file=sys.stderr)
        return 2
    print(json.dumps({"url": emulator.url}), flush=True)
    ended.wait()
    emulator.close()
    return 0


def heard_a_signal() -> threading.Event:
    """From now on SIGINT and SIGTERM set the event that is returned, and end nothing. For a main thread."""
    heard = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: heard.set())
    return heard


def _rate(text: str) -> tuple[str, float]:
    name, _, rate = text.partition("=")
    return name, float(rate)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.emulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--receipts", type=Path, help="append-only JSONL file of every effect")
    parser.add_argument("--seed", type=int, default=0, help="the same seed meets the same faults")
    parser.add_argument(
        "--fault-rate", type=float, default=0.0, help="share of sends that meet a fault, 0..1"
    )
    parser.add_argument(
        "--rate", action="append", default=[], metavar="FAULT=SHARE", help="one fault's own share"
    )
    parser.add_argument("--slow-s", type=float, default=12.0, help="wait of the slow faults, seconds")
    parser.add_argument("--lookup-lag-s", type=float, default=0.0)
    parser.add_argument("--deliver-after-s", type=float, default=0.5)
    parser.add_argument("--missing-room", action="append", default=[], help="a room id answered by 404")
    return parser


if __name__ == "__main__":
    sys.exit(main())
