"""How PlayAuto accounts are shown: as a table, one by one, and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from models.queries.accounts import AccountRow, LastJob
from ops.cli.output import facts, iso, local, say, short, table

_LOGIN: Final = {
    "none": "none",
    "unreadable": "sealed with another key",
    "logged in": "works",
    "not tried": "not tried lately",
}
_SWITCHES: Final = ("instruct", "send_to_shop", "change_complete", "overwrite")
_STAMPS: Final = ("last_run_at", "next_run_at", "carriers_seen_at", "created_at", "updated_at")


def in_words(one: AccountRow) -> str:
    """When an account uploads, as a sentence."""
    days = "every day" if one.weekdays is None else f"every {one.weekdays.replace(',', ', ')}"
    return f"{days} at {one.schedule_time} {one.tz}"


def listed(found: list[tuple[AccountRow, str]]) -> None:
    """All accounts as a table."""
    table(
        ("account", "state", "when", "next run", "last run", "waiting", "no code", "login", "carriers"),
        [
            (one.account, "on" if one.enabled else "off", in_words(one), local(one.next_run_at, one.tz),
             _last(one), one.waiting, one.without_code or None, login_in_words(login, own=one.own_login),
             one.carriers or "none")
            for one, login in found
        ],
        empty="There is no account yet. Add one: `jeongsi tracking account add --help`.",
    )  # fmt: skip


def shown(one: AccountRow, login: str, silenced: Mapping[str, str]) -> None:
    """One account, a line per fact. ``silenced``: webhooks that are held for dead, and why."""
    seen = f", seen {local(one.carriers_seen_at, one.tz)}" if one.carriers_seen_at else ""
    job = one.last_job
    facts({
        "account": one.account, "organisation": one.organisation, "state": "on" if one.enabled else "off",
        "broken": one.error_reason, "when": in_words(one), "next run": local(one.next_run_at, one.tz),
        "last run": local(one.last_run_at, one.tz), "last result": _result(job) if job else None,
        "waiting": f"{one.waiting} orders",
        "no code": f"{one.without_code} orders with a number, but no carrier that PlayAuto knows"
        if one.without_code else None,
        "login": login_in_words(login, own=one.own_login), "carriers": f"{one.carriers}{seen}",
        "retries": one.retry_count,
        "grace": f"{one.grace_seconds} s", "orders a request": one.batch_size,
        **{name.replace("_", " "): "yes" if getattr(one, name) else "no" for name in _SWITCHES},
        "odd numbers": {"warn": "are uploaded", "hold": "are held back"}[one.number_policy],
        "discord": _hook(one.notify_discord, one.discord_webhook, silenced.get("discord")),
        "slack": _hook(one.notify_slack, one.slack_webhook, silenced.get("slack")),
        "version": one.version, "updated": local(one.updated_at, one.tz),
    })  # fmt: skip
    if login == "not tried":
        say(f"Whether its login works says `jeongsi tracking account check {one.account}`.")


def described(one: AccountRow, login: str) -> dict[str, Any]:
    """An account for programs; of secrets only whether they are there."""
    job = one.last_job
    plain = {name: value for name, value in asdict(one).items() if name != "job"}
    return plain | {
        **{name: iso(getattr(one, name), one.tz) for name in _STAMPS},
        "login": login,
        "last_job": job and asdict(job) | {
            name: iso(getattr(job, name), one.tz) for name in ("started_at", "completed_at")
        },
    }  # fmt: skip


def login_in_words(login: str, *, own: bool) -> str:
    """What is known of an account's login, and whether it is its own or the settings'."""
    return f"{'own' if own else 'settings'}, {_LOGIN[login]}" if login != "none" else "none"


def _last(one: AccountRow) -> str:
    job = one.last_job
    at = local(one.last_run_at or (job.started_at if job else None), one.tz)
    return f"{at} {job.status} {job.succeeded}/{job.total}" if job else at


def _result(job: LastJob) -> str:
    why = f": {short(job.error, 100)}" if job.error else ""
    more = f" (jeongsi tracking job {job.id})" if job.failed or job.error else ""
    return (
        f"run {job.id} {job.status}, {job.succeeded} of {job.total} uploaded, {job.failed} failed{why}{more}"
    )


def _hook(on: bool, there: bool, silenced: str | None) -> str:
    if there and on and silenced is not None:
        return f"held for dead ({silenced}); if test-notice reaches it, it is told again"
    if there:
        return "is told" if on else "off, address kept"
    return "on, but there is no webhook" if on else "off"
