"""What operators are told at the end of a run (C04, C43, C84). A notice that fails fails nothing else."""

from __future__ import annotations

from typing import Any

import psycopg

from gateways.notices import BadAddress, fingerprint, parse
from models.ledger import notice_targets, notices
from models.ledger.notice_targets import NewTarget
from models.ledger.notices import Notice, Severity
from models.queries import tracking as queries
from models.queries.tracking import ErrorGroup, Job
from models.store.accounts import webhook_of
from runtime.events import Event, emit
from runtime.sealing import Unsealable, seal
from runtime.settings import Settings, SettingsError, get_settings
from tasks.notice_words import told

Connection = psycopg.Connection[Any]
KIND = "tracking.run"
SERVICES = ("discord", "slack")
TOP = 3


def tell(db: Connection, job_id: int) -> None:
    """Post the notice of a run that has just ended, in the caller's transaction. Never raises."""
    try:
        with db.transaction():  # a savepoint: what fails here is undone alone
            job = queries.job(db, job_id)
            if job is None or job.dry_run or job.reason == "nothing_pending":
                return
            kind = f"{KIND}.{_word(job.account)}"
            _keep_targets(db, job.account, kind, get_settings())
            notices.post(db, _notice(job, queries.errors(db, job_id)[:TOP], kind, get_settings()))
    except Exception as error:
        emit(Event.NOTICE_WATCH_FAILED, error=f"the notice of upload run {job_id}: {type(error).__name__}")


def _notice(job: Job, errors: list[ErrorGroup], kind: str, settings: Settings) -> Notice:
    word = "done" if job.reason == "done" else "cancelled" if job.reason == "cancelled" else "failed"
    title, text = told(
        f"tracking.run_{word}", account=job.account, success=f"{job.success:,}", failed=f"{job.failed:,}",
        skipped=f"{job.skipped:,}", total=f"{job.total:,}", lasted=_lasted(job.duration_s or 0.0),
        job=job.id,
    )  # fmt: skip
    lines = [text, *(f"· {one.error_code}: {one.orders:,} ({one.message or one.state})" for one in errors)]
    if word == "failed" and job.error_message:
        lines.insert(1, job.error_message)
    link = (
        None if settings.console_url is None else f"{settings.console_url.rstrip('/')}/tracking/jobs/{job.id}"
    )
    severity: Severity = "info" if word == "done" else "warning" if word == "cancelled" else "error"
    return Notice(
        kind=kind, key=str(job.id), severity=severity, title=title, text="\n".join(lines), link=link,
        mark=job.completed_at,
    )  # fmt: skip


def _keep_targets(db: Connection, account: str, kind: str, settings: Settings) -> None:
    """The account's webhooks as targets of its runs' notices: kept, changed and forgotten with its row."""
    row = db.execute(
        "SELECT CASE WHEN notify_discord THEN discord_webhook END,"
        " CASE WHEN notify_slack THEN slack_webhook END"
        " FROM tracking_upload_scheduler WHERE account = %s AND deleted_at IS NULL",
        (account,),
    ).fetchone()
    for service, kept in zip(SERVICES, row or (None, None), strict=True):
        name = target_name(account, service)
        try:
            url = webhook_of(kept)
            address = parse(url, settings) if url else None
        except (Unsealable, SettingsError, BadAddress) as error:
            emit(Event.NOTICE_TARGET_OFF, target=name, reason=str(error)[:200])
            continue
        _keep(db, name, address.service if address else service, url, kind)


def _keep(db: Connection, name: str, service: str, url: str | None, kind: str) -> None:
    held = notice_targets.find(db, name)
    if held is not None:
        known = notice_targets.address_of(db, held.id)
        if url and known and known[1] == fingerprint(url):
            return  # also one that was switched off: the same address is as dead as before
        notice_targets.remove(db, name)
    if url:
        notice_targets.add(
            db,
            NewTarget(
                name=name, service=service, address=seal(url), fingerprint=fingerprint(url), kinds=[kind],
                created_by="tracking_upload_scheduler",
            ),
        )  # fmt: skip


def target_name(account: str, service: str) -> str:
    """What the target of an account's webhook is called."""
    return f"tracking-{_word(account)}-{service}"


def _word(account: str) -> str:
    """The account in a dotted kind: its own dots would make it another account's."""
    return account.replace(".", "_")


def _lasted(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
