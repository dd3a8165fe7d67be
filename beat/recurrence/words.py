"""Rules in words, for people."""

from __future__ import annotations

from typing import Final, Literal

from cronsim.explain import Expression

from beat.recurrence.rules import (
    WEEKDAYS,
    At,
    Cron,
    Daily,
    Once,
    Peak,
    Regular,
    Rule,
    Rules,
    Weekly,
    clock_text,
)
from beat.recurrence.zones import to_datetime, zone_of

Lang = Literal["en", "ko"]
WEEKDAYS_KO: Final = ("월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일")


def describe(rules: Rules, tz: str, lang: Lang = "en") -> str:
    """One sentence, such as "every hour at :00 and :30 (Asia/Seoul)"; Korean with `lang="ko"`."""
    zone_of(tz)
    in_words = _korean if lang == "ko" else _english
    joined = (" 그리고 " if lang == "ko" else "; and ").join(in_words(rule, tz) for rule in rules)
    return f"{joined} ({tz})"


def _english(rule: Rule, tz: str) -> str:
    match rule:
        case Once():
            return f"once on {rule.day} at {clock_text(rule.seconds, rule.ms)}"
        case Daily():
            return f"every day at {clock_text(rule.seconds)}"
        case Weekly():
            days = [WEEKDAYS[number].capitalize() for number in rule.weekdays]
            return f"every {_listed(days)} at {clock_text(rule.seconds)}"
        case Regular():
            return "every hour at :00 and :30"
        case Peak():
            return f"every 15 minutes {_listed([f'{a:02}:00-{b + 1:02}:00' for a, b in _runs(rule.hours)])}"
        case Cron():
            explained = Expression(rule.expr.upper().split()).explain()
            return f"{explained[:1].lower()}{explained[1:]} (cron {rule.expr})"
        case At():
            return f"at {_exact(rule.ms, tz)}"


def _korean(rule: Rule, tz: str) -> str:
    match rule:
        case Once():
            return f"{rule.day} {clock_text(rule.seconds, rule.ms)}에 한 번"
        case Daily():
            return f"매일 {clock_text(rule.seconds)}"
        case Weekly():
            return f"매주 {'·'.join(WEEKDAYS_KO[n] for n in rule.weekdays)} {clock_text(rule.seconds)}"
        case Regular():
            return "매시 정각과 30분"
        case Peak():
            return f"{', '.join(f'{a:02}:00~{b + 1:02}:00' for a, b in _runs(rule.hours))} 15분마다"
        case Cron():
            return f"크론식 {rule.expr}"
        case At():
            return f"{_exact(rule.ms, tz)}에 한 번"


def _runs(hours: tuple[int, ...]) -> list[tuple[int, int]]:
    """Neighbouring hours joined: (8, 9, 10, 17) gives (8, 10), (17, 17)."""
    runs: list[tuple[int, int]] = []
    for hour in hours:
        if runs and runs[-1][1] == hour - 1:
            runs[-1] = (runs[-1][0], hour)
        else:
            runs.append((hour, hour))
    return runs


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _exact(ms: int, tz: str) -> str:
    local = to_datetime(ms).astimezone(zone_of(tz))
    return local.isoformat(" ", "milliseconds" if local.microsecond else "seconds")
