"""Every Redis key that is ours, with its purpose and lifetime.

Losing any of them costs time, or for `instance` perhaps a person's look, never a message: the ledger
decides. Celery's own keys (the queues' plain list names, `_kombu.binding.*`, `celery-task-meta-*`) are not
listed; they keep the names that foreign Celery clients expect, so no global prefix is set.
"""

from __future__ import annotations

from runtime.ids import SlotId

PREFIX = "jeongsi:"


def slot_lock(slot_id: SlotId) -> str:
    """Who carries this slot now: a random token. Lives lock_ttl_s, renewed while the slot runs."""
    return f"{PREFIX}lock:slot:{slot_id}"


def kakao_refresh() -> str:
    """Who refreshes the Kakao token now: a random token. Lives 15 s, given back when the refresh is over."""
    return f"{PREFIX}lock:kakao-refresh"


def playauto_token(account: str) -> str:
    """A PlayAuto account's token, sealed. Lives 24 h, as the token does. `account`: a hash of its login."""
    return f"{PREFIX}playauto:token:{account}"


def playauto_login(account: str) -> str:
    """Who logs in to this PlayAuto account now: a random token. Lives 8 s, given back after the login."""
    return f"{PREFIX}lock:playauto-login:{account}"


def tracking_account(account: str) -> str:
    """Which upload run an account is in now: the run's number. Lives 15 s, renewed while the run runs.

    It shows and spares; what allows one run at a time is the database.
    """
    return f"{PREFIX}lock:tracking:{account}"


def tracking_progress(job: int) -> str:
    """How far an upload run is, for watchers: JSON (tasks/tracking/progress.py). Lives one hour."""
    return f"{PREFIX}tracking:progress:{job}"


def workers(queue: str) -> str:
    """Living workers of a queue: a hash, node -> JSON {at, threads, free, service_ms}, written every second.

    An entry whose `at` (epoch seconds) is older than 5 s belongs to a dead worker. The hash lives one hour.
    """
    return f"{PREFIX}workers:{queue}"


def instances() -> str:
    """How far each database has come: a hash, its id -> JSON (beat/witness.py), written every 5 s.

    It lives on. Lost together with JEONGSI_HOME/instance.json, a database that is started anew is held.
    """
    return f"{PREFIX}instance"
