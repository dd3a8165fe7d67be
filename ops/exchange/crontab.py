"""Crontab lines as schedules: the five fields are the rule, the command's words are title and message.

`CRON_TZ=` (and `TZ=`) set the zone of the lines below. A plain % stays as it is, `\\%` is a percent sign.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any, Final

from beat.schedule_form import Problem
from ops.exchange.values import Place, Record

_NAMED: Final = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_SETTING: Final = re.compile(r"\s*(\w+)\s*=\s*(.*?)\s*$")


def read(text: IO[str], message: str | None = None) -> Iterator[Record]:
    """Every line that is a job; `message` replaces the text that the line would give."""
    tz: str | None = None
    for number, raw in enumerate(text, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        setting = _SETTING.match(line) if not line.startswith("@") else None
        if setting and not re.match(r"[\d*]", line):
            if setting[1] in ("CRON_TZ", "TZ"):
                tz = setting[2].strip("'\"") or None
            continue
        yield _job(Place(number), line, tz, message)


def _job(place: Place, line: str, tz: str | None, message: str | None) -> Record:
    parts = line.split(None, 1 if line.startswith("@") else 5)
    wanted = 2 if line.startswith("@") else 6
    expr = " ".join(parts[: wanted - 1])
    if line.startswith("@"):
        name = parts[0].lower()
        if name == "@reboot":
            return _refused(place, "@reboot names no time: a message has a time of its own", "five fields")
        if name not in _NAMED:
            return _refused(place, f"there is no {parts[0]}", f"one of {', '.join(_NAMED)}")
        expr = _NAMED[name]
    if len(parts) < wanted:
        return _refused(place, "the line has no command behind its time", "0 9 * * 1-5 the message")
    words = parts[-1].strip().replace("\\%", "%")
    values: dict[str, Any] = {
        "title": words[:255], "schedule_type": "cron", "cron_expr": expr, "tz": tz,
        "message_text": message if message is not None else words,
    }  # fmt: skip
    return Record(place, values)


def _refused(place: Place, reason: str, hint: str) -> Record:
    return Record(place, {}, [Problem("cron_expr", reason, hint)])
