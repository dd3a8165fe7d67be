"""Does a bridge keep the contract? `python -m gateways.bridge.conformance URL [--room TESTROOM]`

Writes about a dozen messages into the room; without one, into a made-up `conformance-…`, which is for bots
that take any room, such as the emulator. Exit 0: every rule that applies holds; 1: one does not.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gateways.bridge.caller import Broken, Caller, Skipped
from gateways.bridge.rules import RULES, Rule
from gateways.http import Transport

TOKEN_VARIABLE = "JEONGSI_BRIDGE_TOKEN"  # noqa: S105 - a name, not a token


@dataclass(frozen=True, slots=True)
class Check:
    """What became of one rule; `why` is empty if it passed."""

    rule: str
    sentence: str
    result: Literal["pass", "fail", "skip"]
    why: str


def own_room() -> str:
    """A room id that is clearly the check's own, so that no ledger's audit takes its messages for ours."""
    return f"conformance-{secrets.token_hex(4)}"


def check_bridge(
    url: str,
    room: str | None = None,
    token: str | None = None,
    *,
    deadline_s: float = 10.0,
    tell: Callable[[Check], None] = lambda _: None,
) -> list[Check]:
    """Check every rule in order; `tell` gets each result at once. Raises ValueError on an impossible URL.

    `url` is the bridge's base URL, with or without `bridge+` in front; `room` is else `own_room()`. If the
    first rule fails, the others are skipped: without capabilities there is nothing to hold the bridge to."""
    transport = Transport(url.removeprefix("bridge+"), deadline_s=deadline_s)
    caller = Caller(transport, room or own_room(), token)
    checks: list[Check] = []
    try:
        for rule in RULES:
            if checks and checks[0].result == "fail":
                check = Check(rule.name, rule.sentence, "skip", "the capabilities are not known")
            else:
                check = _apply(rule, caller)
            checks.append(check)
            tell(check)
    finally:
        transport.close()
    return checks


def _apply(rule: Rule, caller: Caller) -> Check:
    try:
        rule.check(caller)
    except Skipped as skipped:
        return Check(rule.name, rule.sentence, "skip", str(skipped))
    except Broken as broken:
        return Check(rule.name, rule.sentence, "fail", str(broken))
    return Check(rule.name, rule.sentence, "pass", "")


def line_of(check: Check) -> str:
    """One line of the table, with the reason below it where there is one."""
    line = f"{check.result.upper():4}  {check.rule:18} {check.sentence}"
    return f"{line}\n{'':6}{'':18} → {check.why}" if check.why else line


def summary_of(checks: Sequence[Check]) -> str:
    """The last line of the table."""
    count = {result: sum(check.result == result for check in checks) for result in ("pass", "fail", "skip")}
    verdict = "This bridge breaks the contract" if count["fail"] else "This bridge keeps the contract"
    return f"{verdict}: {count['pass']} passed, {count['fail']} failed, {count['skip']} not applicable."


def main(argv: Sequence[str] | None = None) -> int:
    """The command. 0 kept, 1 broken, 2 wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m gateways.bridge.conformance", description=__doc__)
    parser.add_argument("url", help="the bridge's base URL, like http://192.168.0.20:8080")
    parser.add_argument("--room", help="id of a room that may receive test messages; else a made-up one")
    parser.add_argument("--deadline-s", type=float, default=10.0, help="for each request, seconds")
    options = parser.parse_args(argv)
    try:
        checks = check_bridge(
            options.url,
            options.room,
            os.environ.get(TOKEN_VARIABLE) or None,
            deadline_s=options.deadline_s,
            tell=lambda check: print(line_of(check), flush=True),
        )
    except ValueError as wrong:
        print(f"{options.url!r}: {wrong}", file=sys.stderr)
        return 2
    print(summary_of(checks))
    return int(any(check.result == "fail" for check in checks))


if __name__ == "__main__":
    sys.exit(main())
