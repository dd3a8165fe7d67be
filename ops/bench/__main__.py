"""Benchmarks, peers in the same run.

    python -m ops.bench                      all, short (15 minutes and more)
    python -m ops.bench burst sends --full   two of them, all sizes
    python -m ops.bench --json bench.json    raw figures too, for `python -m ops.bench.page bench.json`

Each starts its own Postgres (durable), Valkey, beats and workers on loopback and removes them. Peers take
part where their packages are installed; `make bench` installs them into a place of their own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from ops.bench.contenders import PEERS, known
from ops.bench.machine import described
from ops.bench.options import Options
from ops.bench.page import tables
from runtime.clock import clock

ALL = ("burst", "idle", "lateness", "growth", "sends", "confirm", "endtoend", "iris", "tracking", "stock")


def main() -> int:
    """The program; 0 when every benchmark ran to its end."""
    parser = argparse.ArgumentParser(
        prog="python -m ops.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; none: all")
    parser.add_argument("--full", action="store_true", help="all sizes and longer windows (half an hour)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of ours in a burst; the median is told")
    parser.add_argument("--json", type=Path, help="where the raw figures go")
    chosen = parser.parse_args()
    wrong = set(chosen.names) - set(ALL)
    if wrong:
        parser.error(f"there is no {', '.join(sorted(wrong))}; there are {', '.join(ALL)}")
    if missing := set(PEERS) - set(known()):
        _say(f"without {', '.join(sorted(missing))}: not installed here; `make bench` installs the peers")
    report = _run(chosen.names or list(ALL), Options(chosen.full, _say, chosen.repeat))
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(tables(report))
    return 0 if all("error" not in one for one in report["results"].values()) else 1


def _run(names: list[str], options: Options) -> dict[str, Any]:
    report: dict[str, Any] = {"machine": described(), "full": options.full, "results": {}}
    for name in names:
        module = importlib.import_module(f"ops.bench.{name}")
        began = clock().monotonic()
        _say(f"{name}: {module.TITLE}")
        try:
            found = module.run(options)
        except Exception as error:  # one that fails must not cost the others' figures
            found = {"rows": [], "error": repr(error)}
            _say(f"  failed: {error}")
        found |= {"title": module.TITLE, "took_s": round(clock().monotonic() - began, 1)}
        report["results"][name] = found
    report["machine"]["load_after"] = described()["load_before"]
    return report


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
