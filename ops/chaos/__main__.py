"""python -m ops.chaos: every fault at once, on a system of its own, and a checker over what came of it."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ops.chaos.controls import CONTROLS, SIZE
from ops.chaos.plan import FAULTS, SIZES
from ops.chaos.report import verdict
from ops.chaos.run import Options, Run

_EPILOG = "faults, for --only:\n" + "\n".join(f"  {name:<20} {what}" for name, what in FAULTS.items())
_DESCRIPTION = """\
Runs the whole system on servers of its own (Postgres with fsync, Valkey, celery workers and beats, an
emulated provider), breaks it in every way it knows, lets it end, and judges ledger and receipts by the
invariants I1 to I18. Exit status 0: the checker is clean. The seed decides load, faults and edits (not how
processes interleave): give the printed one to --seed to have the same storm again.

  python -m ops.chaos                         about five minutes on two idle cores
  python -m ops.chaos --short --seed 7        two minutes at most
  python -m ops.chaos --long --json FILE      20,000 sends and more, 100 kills and more
  python -m ops.chaos --only failpoints,kill  nothing but dying processes
  python -m ops.chaos --control ponr-off      a broken system, which the checker must find out
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print: progress on stderr, the table and one JSON object on stdout."""
    options = _parser().parse_args(argv)
    if os.environ.get("ENVIRONMENT") == "production":
        print("A chaos run has servers of its own, but not beside ENVIRONMENT=production.", file=sys.stderr)
        return 2
    if options.control:
        return _control(options)
    only = frozenset(FAULTS if options.only is None else options.only.split(","))
    if unknown := only - FAULTS.keys():
        print(f"There is no fault {', '.join(sorted(unknown))}; --help lists them.", file=sys.stderr)
        return 2
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    with _home(options.home) as home:
        outcome = Run(Options(SIZES[options.size], seed, home, only, _say)).whole()
    told = outcome.as_json()
    print(outcome.markdown() if options.markdown else outcome.table())
    print(verdict(outcome))
    if options.json:
        options.json.write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")
    print(json.dumps(told, ensure_ascii=False))
    return 0 if outcome.ok else 1


def _control(options: argparse.Namespace) -> int:
    """0 only if the broken system was found out."""
    control = CONTROLS[options.control]
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    with _home(options.home) as home:
        outcome = Run(Options(SIZE, seed, home, control.only, _say, control)).whole()
    found = sum(n["unflagged"] for n in outcome.duplicates.values())
    said = [v for v in outcome.violations if v.invariant == "I2"]
    print(outcome.table())
    print(
        f"Control {control.name} ({control.what}): {found} duplicates, {len(said)} violations of I2 reported."
    )
    told = outcome.as_json() | {"control": control.name, "found": bool(found and said)}
    print("The checker found it out." if told["found"] else "NOT FOUND: this checker proves nothing.")
    if options.json:
        options.json.write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")
    print(json.dumps(told, ensure_ascii=False))
    return 0 if told["found"] else 1


@contextlib.contextmanager
def _home(given: Path | None) -> Iterator[Path]:
    """The folder asked for, which stays; else one of its own, which goes."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        if any(given.iterdir()):
            raise SystemExit(f"{given} is not empty: a chaos run needs a folder of its own")
        yield given
        return
    home = Path(tempfile.mkdtemp(prefix="jeongsi-chaos-", dir="/var/tmp"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ops.chaos", description=_DESCRIPTION, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", dest="size", action="store_const", const="short", help="for CI")
    size.add_argument("--long", dest="size", action="store_const", const="long", help="the proof")
    parser.set_defaults(size="default")
    parser.add_argument("--seed", type=int, help="draws load, faults and edits; a random one is printed")
    parser.add_argument(
        "--control", choices=CONTROLS, help="one rule taken out; exit status 0 only if duplicates were found"
    )
    parser.add_argument("--only", metavar="FAULT,...", help="these faults and no others; see below")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON object there, too")
    parser.add_argument(
        "--markdown", action="store_true", help="print the table as docs/reliability.md has it"
    )
    parser.add_argument("--home", type=Path, metavar="DIR", help="an empty folder to work in; it is kept")
    return parser


if __name__ == "__main__":
    sys.exit(main())
