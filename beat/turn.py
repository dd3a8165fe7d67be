"""One turn of a beat: everything that is due in the ledger, each command a short transaction of its own.

Order: expire and coalesce before anything is published, then reap, dispatch, prepare ahead, republish;
planning last, because it gives way. What was prepared goes out by the publisher's own timer meanwhile.
A turn asks the ledger's agenda first, so an idle one costs two round trips.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from beat.brokers import Broker
from beat.hints import hints_of
from beat.ledger_clock import LedgerClock
from beat.planning import Planner
from beat.publishing import QUEUES, Batch, Publisher, Sight
from beat.upkeep import Upkeep
from models.ledger import beat as ledger
from models.ledger.beat import Agenda, Connection, Due
from models.states import SlotState
from runtime import channels
from runtime.clock import clock as host_clock
from runtime.events import Event, emit
from runtime.failpoints import hit
from runtime.ids import SlotId
from runtime.settings import Settings

_NAMED_MOST = 200  # hints of one push that get a title and a room; above that nobody reads them one by one
_LOOK_S = 0.05  # waiting for the broker's queue lengths
_FIRST_CLAIM = 500  # slots; about 15 ms
_QUIET_S = 2.0  # nothing slow is begun so shortly before a slot
_SPIN_S = 0.25  # before looking again at work that somebody else holds
_REFRESH_MOST = 500
_REFRESH_S = 0.1
_SILENCE_S = 5.0  # all beats silent for longer than this is an incident
_TOLD_MOST = 100_000


class Turn:
    """What a beat does again and again, on one database connection that the caller gives it."""

    def __init__(
        self, settings: Settings, publisher: Publisher, broker: Broker, node: str, started_at: datetime
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._broker = broker
        self._node = node
        self._started_at = started_at
        self._planner = Planner(settings)
        self._upkeep = Upkeep(settings)
        self.clock = LedgerClock()
        self.scheduled: deque[SlotId] = deque(maxlen=_TOLD_MOST)
        self._worked = False
        self._looked_at = float("-inf")
        self._near = True
        self._one_device = channels.one_device(settings.channels())

    def once(self, db: Connection) -> float:
        """One turn; answers the seconds until there is something to do, at most tick_max_s.

        Raises psycopg.Error if the database is gone.
        """
        self._worked = False
        agenda = self._first_look(db)
        self._close_late(db, agenda)
        self._reap(db, agenda)
        self._dispatch(db, agenda)
        self._republish(db, self._look(db) if self._worked else agenda)
        # Before planning: after a long outage the weeks must be made first.
        soon = timedelta(seconds=max(2 * self._settings.prepare_ahead_s, _QUIET_S))
        self._upkeep.once(db, idle=not _reached(agenda.dispatch_at, agenda.at + soon))
        more = self._plan(db, agenda)
        self._refresh(db, agenda)
        ledger.tick_done(db, self._node, self._started_at, _SILENCE_S)
        if more:
            return 0.0
        return self._pause(self._look(db) if self._worked else agenda)

    # -- each step -------------------------------------------------------------------------------

    def _first_look(self, db: Connection) -> Agenda:
        """The agenda, and where the database's clock stands. Far from any slot the one tells the other:

        a round trip less, and an answer that takes a millisecond is exact enough.
        """
        found: list[Agenda] = []

        def ask() -> datetime:
            found.append(self._look(db))
            return found[-1].at

        if self._near or not self.clock.known:
            self._sample(db, lambda: ledger.now(db))
            ask()
        else:
            self._sample(db, ask)
        agenda = found[-1]
        self._near = _reached(agenda.dispatch_at, agenda.at + self._ahead + timedelta(seconds=_QUIET_S))
        return agenda

    def _look(self, db: Connection) -> Agenda:
        self._looked_at = host_clock().monotonic()
        return ledger.agenda(db)

    def _sample(self, db: Connection, ask: Callable[[], datetime]) -> None:
        """Where the database's clock stands; a step of it voids what waits for a time."""
        for _ in range(1 if self.clock.known else 5):
            if not self.clock.sample(ask):
                self._publisher.drop_ahead()
        if self.clock.jumped_s is not None:
            ledger.record_jump(db, self.clock.jumped_s)
            self.clock.jumped_s = None

    def _close_late(self, db: Connection, agenda: Agenda) -> None:
        closed = 0
        if _reached(agenda.expire_at, agenda.at):
            closed = self._until_empty(lambda limit: ledger.expire(db, limit))
        if _reached(agenda.dispatch_at, agenda.at + self._ahead):
            closed += self._until_empty(
                lambda limit: ledger.coalesce(db, self._settings.prepare_ahead_s, limit)
            )
        if closed:
            self._worked = True
            hit("beat.expired")

    def _reap(self, db: Connection, agenda: Agenda) -> None:
        if not _reached(agenda.lease_until, agenda.at):
            return
        hit("beat.reaping")
        taken = ledger.reap(db, self._settings.dispatch_chunk)
        if taken:
            self._worked = True
            emit(Event.REAPED, count=len(taken))
            queued = [slot for slot, state, _ in taken if state == SlotState.QUEUED]
            due = ledger.tell_again(db, queued, self._settings.republish_s)
            if due:
                self._put(due, self._names(db, due), host_clock().monotonic(), "again")

    def _dispatch(self, db: Connection, agenda: Agenda) -> None:
        """What is due goes out; what will be due soon is queued, made ready and kept for its time."""
        if _reached(agenda.dispatch_at, agenda.at):
            self._dispatch_until(db, agenda.at)
        ahead = agenda.at + self._ahead
        if not self.clock.frozen and _reached(agenda.dispatch_at, ahead):
            self._dispatch_until(db, ahead)

    def _dispatch_until(self, db: Connection, until: datetime) -> None:
        """In growing chunks: of what is due, the first is on the broker while more is claimed."""
        known = self._settings
        limit = min(_FIRST_CLAIM, known.dispatch_chunk)
        while True:
            due = ledger.dispatch(db, until, limit, known.republish_s, known.republish_prepared_s)
            if due:
                self._worked = True
                hit("beat.dispatched")
                emit(Event.DISPATCHED, count=len(due))
                self._hand_over(db, due)
            if len(due) < limit:
                return
            limit = min(2 * limit, known.dispatch_chunk)

    def _hand_over(self, db: Connection, due: Sequence[Due]) -> None:
        """To the publisher: grouped by instant, each instant at its time."""
        now = host_clock().monotonic()
        instants: dict[datetime, list[Due]] = {}
        for found in due:
            instants.setdefault(found.not_before, []).append(found)
        names = self._names(db, due)
        prepared = False
        for at, group in sorted(instants.items()):
            push_at = self.clock.push_at(at)
            ahead = push_at > now
            self._put(group, names, push_at if ahead else now, "ahead" if ahead else "due")
            prepared = prepared or ahead
        if prepared:
            hit("beat.prepared")

    def _names(self, db: Connection, due: Sequence[Due]) -> Mapping[int, tuple[str, str]]:
        return ledger.told(db, [found.sid for found in due]) if len(due) <= _NAMED_MOST else {}

    def _put(
        self, due: Sequence[Due], names: Mapping[int, tuple[str, str]], push_at: float, kind: str
    ) -> None:
        hints = hints_of(
            sorted(due, key=lambda found: (found.priority, found.sat, found.sid)),
            self._publisher.crews, names,
            concurrency=self._settings.worker_concurrency, most=self._settings.hint_max,
            one_device=self._one_device,
        )  # fmt: skip
        content = self._broker.prepare(hints) if kind == "ahead" else hints
        self._publisher.put(Batch(push_at, content, kind))

    def _republish(self, db: Connection, agenda: Agenda) -> None:
        """Queued slots whose hint looks lost, while their queue is short. No broker: they stay due for it."""
        lost = {
            "send": agenda.send_again_at,
            "confirm": agenda.confirm_again_at,
            "tracking": agenda.tracking_again_at,
        }
        queues = [queue for queue in QUEUES if _reached(lost[queue], agenda.at)]
        if not queues:
            return
        sight = self._publisher.look(_LOOK_S)
        if sight is None:
            return
        for queue in queues:
            self._republish_queue(db, queue, _is_short(queue, sight))

    def _republish_queue(self, db: Connection, queue: str, publish: bool) -> None:
        known = self._settings
        while True:
            due = ledger.republish(db, queue, known.dispatch_chunk, known.republish_s, publish)
            if due:
                self._worked = True
                emit(Event.REPUBLISHED, count=len(due))
                self._put(due, self._names(db, due), host_clock().monotonic(), "again")
            if len(due) < known.dispatch_chunk:
                return

    def _plan(self, db: Connection, agenda: Agenda) -> bool:
        """Lay down what the horizon reached. True if the budget ended before the work."""
        if not _reached(agenda.plan_at, agenda.at + timedelta(seconds=self._settings.horizon_s)):
            return False
        report = self._planner.plan(db, agenda.at)
        if report.schedules:
            self._worked = True
            emit(Event.PLANNED, count=report.slots)
            self.scheduled.extend(report.planned)
        return report.more

    def _refresh(self, db: Connection, agenda: Agenda) -> None:
        """Counters and next times that people see; it gives way, so what is left waits for the next turn."""
        until = host_clock().monotonic() + _REFRESH_S
        while agenda.dirty and host_clock().monotonic() < until:
            if ledger.refresh(db, _REFRESH_MOST) < _REFRESH_MOST:
                return

    # -- helpers ---------------------------------------------------------------------------------

    @property
    def _ahead(self) -> timedelta:
        return timedelta(seconds=self._settings.prepare_ahead_s)

    def _until_empty(self, command: Callable[[int], int]) -> int:
        total, limit = 0, self._settings.dispatch_chunk
        while True:
            count = command(limit)
            total += count
            if count < limit:
                return total

    def _pause(self, agenda: Agenda) -> float:
        """Until the next thing to do. What is overdue and still there is somebody else's for the moment."""
        ahead = timedelta() if self.clock.frozen else self._ahead
        horizon = timedelta(seconds=self._settings.horizon_s)
        moments = [
            agenda.expire_at, agenda.lease_until, agenda.send_again_at, agenda.confirm_again_at,
            agenda.tracking_again_at,
            agenda.dispatch_at and agenda.dispatch_at - ahead, agenda.plan_at and agenda.plan_at - horizon,
        ]  # fmt: skip
        waits = [(moment - agenda.at).total_seconds() for moment in moments if moment is not None]
        if self._worked and any(wait <= 0 for wait in waits):
            return 0.0
        gone = host_clock().monotonic() - self._looked_at  # the rest of the turn must not come on top
        return min(
            [_SPIN_S if wait <= 0 else max(0.0, wait - gone) for wait in waits] + [self._settings.tick_max_s]
        )


def _reached(moment: datetime | None, at: datetime) -> bool:
    return moment is not None and moment <= at


def _is_short(queue: str, sight: Sight) -> bool:
    """Whether a queue is at or below its low-water mark: the living worker threads on it, 0 if unknown."""
    crew = sight.crews.get(queue)
    return sight.depths.get(queue, 0) <= (crew.threads if crew else 0)
