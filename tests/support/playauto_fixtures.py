"""PlayAuto's answers as its pages and working clients give them, with what differs each time left open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests

from ops.emulator import Emulator

FOLDER = Path(__file__).parents[1] / "fixtures" / "playauto"
PAIRS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))
}
KEY = {"x-api-key": "emulator"}


def filled(value: Any, row: dict[str, Any]) -> Any:
    """`<bundle>` and `<uniq>` replaced by an order's."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.replace("<bundle>", row["bundle_no"]).replace("<uniq>", row["uniq"]))


def matches(expected: Any, actual: Any) -> bool:
    """Equal, where `<text>` and `<number>` stand for any of their kind, `<carriers>` for a list of them."""
    match expected:
        case "<text>":
            return isinstance(actual, str) and actual != ""
        case "<number>":
            return isinstance(actual, int)
        case "<carriers>":
            return {"carrier_code": "4", "carrier_name": "CJ대한통운"} in actual
        case dict():
            return set(expected) == set(actual) and all(matches(expected[one], actual[one]) for one in actual)
        case list():
            return len(expected) == len(actual) and all(map(matches, expected, actual))
        case _:
            return bool(expected == actual)


def log_in(emulator: Emulator, name: str = "playauto") -> dict[str, str]:
    """The headers of one who is logged in."""
    answer = requests.post(
        f"{emulator.url}/{name}/auth",
        json={"email": "a@example.com", "password": "p"},
        headers=KEY,
        timeout=5,
    ).json()
    granted = answer[0] if isinstance(answer, list) else answer
    return KEY | {"Authorization": f"Token {granted.get('token', 'none')}"}
