"""Takes notices from the ledger to their targets, a thread for each that is being written to.

One target that hangs holds one thread and nobody else. A notice is sent at least once: whoever dies between
the answer and the mark leaves a lease, and after it the notice is sent once more.
"""

from __future__ import annotations

import threading
import uuid

from gateways.notices import Address, BadAddress, Heard, Note, fingerprint, parse, send, split
from models.ledger import notice_targets, notices
from models.ledger.notice_targets import NewTarget
from models.ledger.notices import Delivery, Notice
from runtime import database
from runtime.events import Event, emit
from runtime.failpoints import hit
from runtime.sealing import Unsealable, unseal
from runtime.settings import Settings, SettingsError
from tasks.notice_words import extra, told

AT_ONCE = 4
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 900.0
_told_unreadable: set[str] = set()  # once per process is enough
OFF_AFTER = 20  # failures in a row, some four hours, where the service cannot say that it is gone


class NotNamed(BadAddress):
    """A target of the settings whose address this process does not have."""


class Deliveries:
    """The deliveries of one process. `woken` is set when a thread is free again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._owner = uuid.uuid4()
        self._busy: dict[int, threading.Thread] = {}
        self._guard = threading.Lock()
        self.woken = threading.Event()

    def once(self) -> int:
        """Start what may be sent now; answers how many. Raises psycopg.Error if the ledger is away."""
        with self._guard:
            busy = list(self._busy)
        if len(busy) >= AT_ONCE:
            return 0
        taken = database.retrying(
            lambda db: notices.take(db, self._owner, self._lease_s, busy, AT_ONCE - len(busy))
        )
        for one in taken:
            thread = threading.Thread(target=self._carry, args=(one,), name="notice", daemon=True)
            with self._guard:
                self._busy[one.target_id] = thread
            thread.start()
        return len(taken)

    def wait(self, timeout_s: float) -> None:
        """Until what is being sent has ended, but no longer: a target that hangs is left behind."""
        with self._guard:
            running = list(self._busy.values())
        for thread in running:
            thread.join(timeout_s)

    @property
    def _lease_s(self) -> float:
        return 3 * self._settings.notice_deadline_s + 2

    def _carry(self, one: Delivery) -> None:
        """Never raises: a notice that fails touches nothing but its own row."""
        try:
            hit("notice.taken")
            heard = self._say(one)
            hit("notice.answered")
            self._mark(one, heard)
        except Exception as error:
            emit(Event.NOTICE_WATCH_FAILED, error=type(error).__name__)
        finally:
            with self._guard:
                self._busy.pop(one.target_id, None)
            self.woken.set()

    def _say(self, one: Delivery) -> Heard:
        try:
            return send(self._address(one), note_of(one))
        except NotNamed as error:  # another worker's settings may name it
            return Heard("failed", str(error))
        except (BadAddress, Unsealable, SettingsError) as error:
            return Heard("gone", str(error)[:300])
        except Exception as error:  # whose message may hold the address
            return Heard("failed", type(error).__name__)

    def _address(self, one: Delivery) -> Address:
        if one.address is not None:
            return parse(unseal(one.address), self._settings)
        return address_in_settings(self._settings, one.fingerprint)

    def _mark(self, one: Delivery, heard: Heard) -> None:
        wait_s = heard.wait_s or min(FIRST_WAIT_S * 2 ** min(one.tries - 1, 10), LONGEST_WAIT_S)
        sure = one.service in ("discord", "slack")  # these say themselves when they are gone
        off = database.retrying(
            lambda db: notices.done(
                db, one, self._owner, heard.what, wait_s=wait_s, error=heard.error, answer=heard.answer,
                message_id=heard.message_id, off_after=0 if sure else OFF_AFTER,
            )
        )  # fmt: skip
        if heard.what == "sent":
            emit(Event.NOTICE_SENT, notice_id=one.notice_id, target=one.target)
        else:
            emit(Event.NOTICE_NOT_SENT, notice_id=one.notice_id, target=one.target, reason=heard.error)
        if off:
            self._tell_the_others(one, heard)

    def _tell_the_others(self, one: Delivery, heard: Heard) -> None:
        emit(Event.NOTICE_TARGET_OFF, target=one.target, reason=heard.error)
        title, text = told("notice.target_off", target=one.target, reason=heard.error)
        notice = Notice(kind="notice.target_off", key=one.target, severity="critical", title=title, text=text)
        database.retrying(lambda db: notices.post(db, notice))


def note_of(one: Delivery) -> Note:
    """A delivery as it is said."""
    text = "\n".join(filter(None, (one.body, *extra(one))))
    return Note(one.notice_id, one.kind, one.severity, one.title, text, one.link)


def address_in_settings(settings: Settings, wanted: str) -> Address:
    """The address of JEONGSI_NOTICE_URLS with this fingerprint. Raises NotNamed if it is not there."""
    for url in urls(settings):
        if fingerprint(url) == wanted:
            return parse(url, settings)
    raise NotNamed("JEONGSI_NOTICE_URLS of this process does not name it")


def urls(settings: Settings) -> list[str]:
    """The addresses that the settings name."""
    return split(settings.notice_urls.get_secret_value()) if settings.notice_urls is not None else []


def keep_settings_targets(db: notices.Connection, settings: Settings) -> None:
    """Bring the table in step with the settings' targets; an unreadable address is told and left out."""
    named = []
    for number, url in enumerate(urls(settings), 1):
        try:
            service = parse(url, settings).service
        except BadAddress as wrong:
            if fingerprint(url) not in _told_unreadable:
                _told_unreadable.add(fingerprint(url))
                target = f"JEONGSI_NOTICE_URLS, number {number}"
                emit(Event.NOTICE_TARGET_OFF, target=target, reason=str(wrong))
            continue
        mark = fingerprint(url)
        named.append(
            NewTarget(
                name=f"{service}-{mark[:6]}", service=service, address=None, fingerprint=mark,
                per_hour=settings.notice_per_hour, burst=settings.notice_burst, created_by="settings",
            )
        )  # fmt: skip
    notice_targets.of_settings(db, named)
