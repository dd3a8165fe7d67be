"""The gates before a slot is laid down: is this instant promised, and was anybody there to plan it?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from beat.recurrence import Rules, between, describe, next_after
from ops.why.facts import Facts, Version
from ops.why.gate import Gate, ahead, passed, stopped, timed

_BACK = (dt.timedelta(days=1), dt.timedelta(days=8), dt.timedelta(days=400))
_SILENCE = dt.timedelta(seconds=5)


def promise_gates(facts: Facts) -> Iterator[Gate]:
    """From "the schedule exists" to "laid down"."""
    if facts.version is None:
        yield stopped("schedule", f"there is no schedule {facts.asked.schedule_id}")
        names = "deleted readable enabled created rule validity edit scheduler laid_down".split()
        yield from (ahead(name) for name in names)
        return
    version = facts.version
    resent = facts.detail is not None and facts.detail.slot.origin == "resend"
    yield passed(
        "schedule",
        f"schedule {facts.asked.schedule_id} “{version.title}”, version {version.version} in force",
    )
    yield _deleted(facts, version)
    yield _readable(facts, version)
    yield _enabled(facts, version)
    yield _created(facts)
    if resent and facts.detail is not None:
        yield passed("rule", f"a person's resend of slot {facts.detail.slot.resend_of}, beside the rule")
        yield passed("validity", "a resend does not ask for it")
        yield passed("edit", "a resend carries the content of the slot that it repeats")
    else:
        yield _rule(facts, version)
        yield _validity(facts, version)
        yield _edit(facts, version)
    yield _scheduler(facts)
    yield _laid_down(facts)


def _since(facts: Facts, version: Version) -> str:
    return f"since {facts.clock(version.since)}, by {version.who}"


def _off_from(facts: Facts, version: Version) -> Version:
    """The version that began the stretch in which the schedule was off."""
    place = facts.versions.index(version)
    while place and not facts.versions[place - 1].enabled:
        place -= 1
    return facts.versions[place]


def _deleted(facts: Facts, version: Version) -> Gate:
    if version.deleted:
        first = next(found for found in facts.versions if found.deleted)
        return stopped("deleted", f"the schedule is deleted, {_since(facts, first)}")
    return passed("deleted", "the schedule was not deleted")


def _readable(facts: Facts, version: Version) -> Gate:
    if version.status == "error" and not version.deleted:
        return stopped(
            "readable", f"the schedule could not be read: {version.error_reason} ({_since(facts, version)})"
        )
    if version.enabled and version.rules is None:
        return stopped("readable", f"no rule could be read ({_since(facts, version)})")
    return passed("readable", "rule and content could be read")


def _enabled(facts: Facts, version: Version) -> Gate:
    if version.enabled or version.deleted or version.status == "error":
        return passed("enabled", f"the schedule was {version.status}")
    off = _off_from(facts, version)
    word = "completed" if off.status == "completed" else "paused"
    return stopped("enabled", f"the schedule was {word}, {_since(facts, off)}")


def _created(facts: Facts) -> Gate:
    first = facts.versions[0]
    born = first.since
    if first.once:
        born -= dt.timedelta(seconds=first.clock["grace_s"])
    if facts.asked.slot_at < born and facts.detail is None:
        return stopped("created", f"the schedule was saved at {facts.clock(first.since)}, after this instant")
    told = f"the schedule was saved at {facts.clock(first.since)}, by {first.who}"
    late_ms = (first.since - facts.asked.slot_at).total_seconds() * 1000
    if late_ms <= 0:
        return passed("created", told)
    return timed("created", f"{told}, {late_ms:.0f} ms after this instant, within its grace", late_ms)


def _has(version: Version, at: dt.datetime) -> bool:
    rules = version.rules
    return rules is not None and next_after(rules, version.clock["tz"], at, inclusive=True) == at


def _rule(facts: Facts, version: Version) -> Gate:
    at, rules = facts.asked.slot_at, version.rules
    if rules is None:
        return ahead("rule")
    if _has(version, at):
        return passed("rule", f"the rule has this instant: {describe(rules, version.clock['tz'])}")
    if _before_edit(facts) is not None:
        return passed("rule", "an earlier version of the rule had this instant")
    nearest = _nearest(facts, rules, version)
    later = next((v for v in facts.versions[(facts.force or 0) + 1 :] if _has(v, at)), None)
    hint = "" if later is None else (
        f"; the rule of version {later.version} has it, but began at {facts.clock(later.since)}, and"
        " an edit never touches an instant at or before its own time"
    )  # fmt: skip
    text = describe(rules, version.clock["tz"])
    return stopped("rule", f"the rule does not have {facts.clock(at)}: {text}; {nearest}{hint}")


def _nearest(facts: Facts, rules: Rules, version: Version) -> str:
    at, tz = facts.asked.slot_at, version.clock["tz"]
    after = next_after(rules, tz, at)
    before = None
    for back in _BACK:
        before = max(between(rules, tz, at - back, at), default=None)
        if before is not None:
            break
    told = [
        f"{word} {facts.clock(moment)}"
        for word, moment in (("before it", before), ("after it", after))
        if moment is not None
    ]
    return "the nearest are " + " and ".join(told) if told else "it has no instant near it"


def _validity(facts: Facts, version: Version) -> Gate:
    at, window = facts.asked.slot_at, version.window
    if window.valid_from is not None and at < window.valid_from:
        return stopped("validity", f"before valid_from {facts.clock(window.valid_from)}")
    if window.valid_until is not None and at > window.valid_until:
        return stopped("validity", f"after valid_until {facts.clock(window.valid_until)}")
    return passed("validity", "within valid_from and valid_until")


def _before_edit(facts: Facts) -> Version | None:
    """The version whose promise of this instant the version in force took back."""
    if facts.force is None:
        return None
    earlier = facts.versions[: facts.force]
    return next((v for v in reversed(earlier) if v.enabled and _has(v, facts.asked.slot_at)), None)


def _edit(facts: Facts, version: Version) -> Gate:
    at = facts.asked.slot_at
    before = _before_edit(facts)
    if before is not None and not _has(version, at):
        taken = next((move for move in reversed(facts.gone) if move.new == "deleted"), None)
        laid = (
            ""
            if taken is None
            else f"; its slot, laid down already, was taken back at {facts.clock(taken.at)}"
        )
        return stopped(
            "edit", f"edited at {facts.clock(version.since)} by {version.who}: the rule since then does not"
            f" have this instant{laid}", version.since,
        )  # fmt: skip
    later = [v for v in facts.versions[(facts.force or 0) + 1 :] if v.since > at]
    if later:
        return passed("edit", f"the next edit came only at {facts.clock(later[0].since)}, by {later[0].who}")
    return passed("edit", "no later edit took it back")


def _scheduler(facts: Facts) -> Gate:
    at = facts.asked.slot_at
    down = [i for i in facts.incidents if i.kind == "scheduler_down" and i.range_from and i.range_to]
    silent = next((i for i in down if i.range_from <= at <= i.range_to), None)  # type: ignore[operator]
    if silent is not None and silent.range_from and silent.range_to:
        told = f"no scheduler was alive {facts.clock(silent.range_from)}–{facts.clock(silent.range_to)}"
        if facts.ended("scheduler_down") or facts.detail is None:
            return stopped("scheduler", told, silent.range_from)
        first = next((move.at for move in facts.log() if move.new == "queued"), None)
        if first is not None and first < silent.range_to:
            return passed("scheduler", "a scheduler was alive at its time")
        return timed("scheduler", told, (silent.range_to - at).total_seconds() * 1000, silent.range_to)
    if facts.ended("scheduler_down"):
        return stopped("scheduler", f"no scheduler was alive from {facts.clock(at)} until its start_by")
    if at > facts.now:
        return passed("scheduler", _ticking(facts)) if _alive(facts) else ahead("scheduler", _ticking(facts))
    if facts.detail is None and not _alive(facts) and (facts.last_tick is None or facts.last_tick < at):
        return stopped("scheduler", _ticking(facts), facts.last_tick)
    return passed("scheduler", "a scheduler was alive at its time")


def _alive(facts: Facts) -> bool:
    return facts.last_tick is not None and facts.last_tick >= facts.now - _SILENCE


def _ticking(facts: Facts) -> str:
    if facts.last_tick is None:
        return (
            "no scheduler has ever completed a tick: start one with `jeongsi up` or `celery -A workers beat`"
        )
    if _alive(facts):
        return f"a scheduler is alive, its last tick was at {facts.clock(facts.last_tick)}"
    return f"no scheduler has been alive since {facts.clock(facts.last_tick)}"


def _laid_down(facts: Facts) -> Gate:
    at = facts.asked.slot_at
    if facts.detail is not None:
        slot = facts.detail.slot
        return passed("laid_down", f"laid down by version {slot.content_version}, start_by"
                      f" {facts.clock(slot.start_by)}, finish_by {facts.clock(slot.finish_by)}")  # fmt: skip
    gap = next(
        (i for i in facts.incidents if i.kind == "slots_not_laid_down" and i.range_from and i.range_to), None
    )
    if gap is not None and gap.range_from and gap.range_to:
        why = gap.detail.get("why", "too many or too old")
        span = f"{facts.clock(gap.range_from)}–{facts.clock(gap.range_to)}"
        return stopped("laid_down", f"not laid down: {span} stand as one range ({why})")
    horizon = dt.timedelta(seconds=facts.settings.horizon_s)
    if at > facts.now + horizon:
        return ahead(
            "laid_down", f"its row is laid down ahead of its time, at about {facts.clock(at - horizon)}"
        )
    if facts.is_held:
        return ahead("laid_down", facts.held_told)
    if at > facts.now or facts.last_tick is None or facts.last_tick < at:
        return ahead("laid_down", "its row is laid down at the next tick")
    if at < facts.now - dt.timedelta(days=facts.settings.ledger_days):
        return stopped("laid_down", f"the ledger keeps {facts.settings.ledger_days} days; this one is gone")
    return stopped("laid_down", "promised, but it has no row: `jeongsi audit` names it under I3")
