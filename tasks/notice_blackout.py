"""While Postgres is away nothing is sent and no notice can be kept: then the targets are told directly."""

from __future__ import annotations

from gateways.notices import Address, BadAddress, Note, parse, send
from models.ledger.notice_targets import Connection, address_of, targets
from runtime.clock import clock
from runtime.events import Event, emit
from runtime.sealing import Unsealable, unseal
from runtime.settings import Settings, SettingsError
from tasks.notice_delivery import address_in_settings, urls
from tasks.notice_words import hour, told


class Blackout:
    """Remembers the addresses, to speak when the ledger cannot: once per outage, and at its end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, Address] = {}
        for number, url in enumerate(urls(settings), 1):
            try:
                self._known[f"settings {number}"] = parse(url, settings)
            except BadAddress:
                continue  # told where the targets are kept
        self._gone_since: float | None = None
        self._told = False

    def remember(self, db: Connection) -> None:
        """The ledger answers: note who would be told, and say that it is back if it was told gone."""
        known = {}
        for row in targets(db):
            if row.enabled and row.organisation_id is None:
                address = self._address(db, row.id)
                if address is not None:
                    known[row.name] = address
        self._known = known
        if self._told and self._gone_since is not None:
            gone_s = clock().monotonic() - self._gone_since
            title, _ = told("ledger.gone")
            over, _ = told("over", title=title, start="", end="")
            self._say("info", over, f"{gone_s:.0f} s, {hour(clock().now())}")
        self._gone_since, self._told = None, False

    def missed(self, *, speaks: bool) -> None:
        """The ledger did not answer. After a while the targets are told, by a process that `speaks`."""
        now = clock().monotonic()
        if self._gone_since is None:
            self._gone_since = now
        if speaks and not self._told and now - self._gone_since >= self._settings.notice_late_s:
            self._told = True
            self._say("critical", *told("ledger.gone"))

    def _say(self, severity: str, title: str, text: str) -> None:
        for name, address in self._known.items():
            heard = send(address, Note(0, "ledger.gone", severity, title, text))
            if heard.what == "sent":
                emit(Event.NOTICE_SENT, notice_id=0, target=name)
            else:
                emit(Event.NOTICE_NOT_SENT, notice_id=0, target=name, reason=heard.error)

    def _address(self, db: Connection, target_id: int) -> Address | None:
        found = address_of(db, target_id)
        if found is None:
            return None
        sealed, mark = found
        try:
            if sealed is None:
                return address_in_settings(self._settings, mark)
            return parse(unseal(sealed), self._settings)
        except (BadAddress, Unsealable, SettingsError):
            return None
