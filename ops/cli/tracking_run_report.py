"""How upload runs are shown: as a table, one by one, and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ops.cli.output import facts, iso, local, say, table
from ops.cli.tracking_account_report import login_in_words

if TYPE_CHECKING:
    from models.queries.tracking import Conflict, Detail, ErrorGroup, Job, Why
    from ops.doctor.finding import Finding

_REASON: Final = {
    "done": "all uploaded and confirmed",
    "some_failed": "some orders failed",
    "all_failed": "every order failed",
    "nothing_pending": "no order waited",
    "cancelled": "cancelled",
    "login_refused": "PlayAuto refused the login",
    "not_configured": "the account has no login",
    "login_unreadable": "the account's login is sealed with another key",
}
#: What a dry run says of orders that have nothing wrong.
_NO_ERROR: Final = ("would_upload", "would_send", "already_uploaded")
_HINDRANCE: Final = {
    "no_account": ("There is no such account.", "Add it: `jeongsi tracking account add`."),
    "held": ("Nothing may leave this database until a person releases it.", "See `jeongsi instance`."),
    "disabled": ("It is off: it uploads by hand only.", "`jeongsi tracking account resume {account}`"),
    "nothing_pending": ("No order waits.", "See `jeongsi tracking pending --account {account}`."),
    "active_run": ("Run {active} is under way; one at a time.", "`jeongsi tracking job {active} --follow`"),
    "slot_waits": ("Its run of {slot_at} is due and waits: {slot_reason}.", "`jeongsi slot why {slot}`"),
    "last_run_failed": ("Its last run, {last}, failed: {last_message}.", "`jeongsi tracking job {last}`"),
}


def as_plain(one: Any) -> Any:
    """A row for programs: slots by their ids, times with offset."""
    return _plain(asdict(one))


def listed(found: Sequence[Job]) -> None:
    """Runs as a table."""
    table(
        ("run", "account", "began (KST)", "by", "status", "total", "uploaded", "failed", "skipped", "%",
         "took"),
        [
            (one.id, one.account, _clock(one.started_at), _by(one), _ended(one), f"{one.total:,}",
             f"{one.success:,}", f"{one.failed:,}", f"{one.skipped:,}", f"{one.percent:.0f}", _took(one))
            for one in found
        ],
        empty="There was no run yet. Begin one: `jeongsi tracking run`.",
    )  # fmt: skip


def shown(
    one: Job, wrong: Sequence[ErrorGroup], lines: Sequence[Detail], *, wanted: bool, limit: int
) -> None:
    """One run, its errors, and its orders."""
    facts({
        "run": f"{one.id}{' (dry run: nothing was uploaded)' if one.dry_run else ''}", "account": one.account,
        "status": _status(one), "by": _by(one), "slot": one.slot_id,
        "takes up": f"run {one.redrive_of}" if one.redrive_of else None,
        "began": _clock(one.started_at), "ended": _clock(one.completed_at), "took": _took(one),
        "orders": f"{one.total:,}: {_rehearsed(one, wrong) if one.dry_run else _counts(one)}",
        "progress": None if one.completed_at else _progress(one),
        "said": one.error_message,
    })  # fmt: skip
    _groups(one, wrong)
    if wanted:
        _orders(lines, limit)


def ended(one: Job, wrong: Sequence[ErrorGroup]) -> None:
    """How a run that was watched has ended."""
    if one.reason == "nothing_pending":
        say(f"Run {one.id}: no order of account {one.account} waits.")
        return
    if one.dry_run:
        say(f"Dry run {one.id}: {_rehearsed(one, wrong)}. Nothing was uploaded.")
    else:
        say(f"Run {one.id} has {'ended' if one.status == 'completed' else 'failed'}: {_counts(one)},"
            f" in {_took(one)}.")  # fmt: skip
    if one.error_message:
        say(one.error_message)
    _groups(one, wrong)


def differing(found: Sequence[Conflict]) -> None:
    """Conflicts, both values side by side."""
    table(
        ("line", "run", "account", "order", "parcel", "ours", "PlayAuto's", "found (KST)"),
        [
            (one.detail_id, one.job_id, one.account, one.order_no, one.bundle_no,
             f"{one.our_number} ({one.our_carrier})", f"{one.their_number} ({one.their_carrier})",
             local(one.found_at))
            for one in found
        ],
        empty="No conflict waits for a decision.",
    )  # fmt: skip
    if found:
        say("Decide: `jeongsi tracking decide LINE… --keep-theirs` or `--use-ours`.")


def because(account: str, answer: Why, login: str, workers: Finding) -> None:
    """How an account stands, and what is in the way of its uploads, worst first, with what to do."""
    one, last = answer.account, answer.last
    words = {
        "account": account, "active": answer.active.id if answer.active else "", "slot": answer.slot or "",
        "slot_at": local(answer.slot.slot_at) if answer.slot else "",
        "slot_reason": answer.slot_reason or answer.slot_state or "", "last": last.id if last else "",
        "last_message": (last.error_message or _REASON.get(last.reason or "", last.status)) if last else "",
    }  # fmt: skip
    if one is not None:
        facts({
            "account": one.account, "state": "on" if one.enabled else "off",
            "waiting": f"{answer.pending:,} orders", "next run": local(one.next_run_at, one.tz) or "none",
            "last run": f"{_clock(last.started_at)}, {_status(last)}: {_counts(last)}" if last else "none",
            "login": login_in_words(login, own=one.own_login), "workers": workers.found,
            "under way": _under_way(answer), "broken": one.error_reason,
            "last error": _top(answer.top_error) if answer.top_error else None,
        })  # fmt: skip
    idle = workers.level != "ok"
    if idle:
        say(f"· {workers.found}\n  {workers.todo}")
    if not answer.hindrances and not idle:
        say("Nothing stands in the way.")
    for name in answer.hindrances:
        what, todo = _HINDRANCE.get(name, (name, "`jeongsi doctor`"))
        say(f"· {what.format(**words)}\n  {todo.format(**words)}")


def _rehearsed(one: Job, groups: Sequence[ErrorGroup]) -> str:
    """What a dry run found that a run would do, and what is wrong."""
    counts = {group.error_code: group.orders for group in groups}
    would = counts.get("would_upload", 0) + counts.get("would_send", 0)
    words = [f"{would:,} of {one.total:,} orders would be uploaded"]
    words += [f"{n:,} are there already" for n in [counts.get("already_uploaded", 0)] if n]
    words += [f"{one.failed:,} would fail"] if one.failed else []
    return ", ".join(words)


def _groups(one: Job, groups: Sequence[ErrorGroup]) -> None:
    wrong = [group for group in groups if group.error_code not in _NO_ERROR]
    if not wrong:
        return
    table(
        ("error", "state", "orders", "for example", "what it means, and what to do"),
        [
            (group.error_code, group.state, f"{group.orders:,}", "\n".join(group.examples[:3]),
             (group.message or "").removeprefix(f"{group.error_code}: "))
            for group in wrong
        ],
        empty="",
    )  # fmt: skip
    if one.completed_at is not None and not one.dry_run:
        say(f"Take them up again: `jeongsi tracking redrive {one.id}`, or one group with --error.")
        if any(group.error_code == "send_unconfirmed" for group in wrong):
            say("`send_unconfirmed` is passed on once more only if it is asked for by --error.")


def _orders(lines: Sequence[Detail], limit: int) -> None:
    table(
        ("line", "order", "parcel", "carrier", "number", "state", "step", "tries", "error", "uploaded (KST)"),
        [
            (line.id, line.order_no, line.bundle_no, line.carrier_code, line.tracking_number, line.state,
             line.step, line.retry_attempt + 1, line.error_code, local(line.uploaded_at))
            for line in lines
        ],
        empty="No such order.",
    )  # fmt: skip
    if len(lines) == limit:
        say(f"More: --after {lines[-1].id}.")


def _by(one: Job) -> str:
    return "schedule" if one.job_type == "scheduled" else one.requested_by or one.job_type


def _clock(at: datetime | None) -> str:
    """To the second, in Korea."""
    return "" if at is None else local(at.replace(microsecond=0))


def _under_way(answer: Why) -> str | None:
    if answer.active is None:
        return None
    return f"run {answer.active.id}, {_progress(answer.active)}; {answer.held_chunks} requests just now"


def _top(group: ErrorGroup) -> str:
    said = (group.message or "").removeprefix(f"{group.error_code}: ")
    return f"{group.error_code}, {group.orders:,} orders: {said}"


def _ended(one: Job) -> str:
    """A word for a table: how it ended, or that it has not."""
    if one.completed_at is None:
        return "stopping" if one.cancel_requested else one.status
    word = (one.reason or one.status).replace("_", " ")
    return f"dry run, {word}" if one.dry_run else word


def _status(one: Job) -> str:
    why = _REASON.get(one.reason or "", one.reason)
    return f"{one.status}: {why}" if why else one.status


def _counts(one: Job) -> str:
    words = [f"{one.success:,} uploaded"]
    words += [f"{one.failed:,} failed"] if one.failed else []
    words += [f"{one.skipped:,} skipped"] if one.skipped else []
    return ", ".join(words)


def _progress(one: Job) -> str:
    pace = f", {one.rate:,.0f} a second" if one.rate else ""
    left = f", {one.eta_s:.0f} s left" if one.eta_s is not None else ""
    return f"{one.percent:.0f} %{pace}{left}"


def _took(one: Job) -> str:
    if one.duration_s is None:
        return ""
    minutes, seconds = divmod(round(one.duration_s), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _plain(value: Any) -> Any:
    from runtime.ids import SlotId

    match value:
        case datetime():
            return iso(value)
        case SlotId():
            return str(value)
        case dict():
            if set(value) == {"schedule_id", "slot_at"}:
                return str(SlotId(**value))
            return {name: _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
    return value
