"""One chunk of orders on its way: look, instruct, store the numbers, pass them on, remember.

Each request that changes something goes out only after a commit that says so (the point of no return), and
at most a moment after it. Whoever dies after that leaves orders that the next worker looks at first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from gateways.errors import PlayAutoUnavailable
from gateways.playauto.answers import to_send
from gateways.playauto.client import Client
from gateways.playauto.values import ROWS_MAX, AlreadySet, InDoubt, Order, Refused, Stored
from models.ledger import tracking_worker as ledger
from models.ledger.tracking_worker import Item, Word
from runtime import database
from runtime.clock import clock
from runtime.events import Event, emit
from runtime.failpoints import hit
from tasks.tracking import answers
from tasks.tracking.checks import faults
from tasks.tracking.parcels import as_parcels, bundles_of, halves
from tasks.tracking.rulings import (
    Act,
    counts_since,
    is_partly_set,
    rehearsed,
    row_of,
    ruling,
)
from tasks.tracking.terms import Terms


@dataclass(frozen=True, slots=True)
class Means:
    """What a chunk needs: its account's client, and whose lease it is, for how long."""

    client: Client
    owner: UUID
    lease_s: float
    callback_url: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a chunk tells the crew. ``busy``: PlayAuto asks for patience; ``stopped``: the account is shut."""

    busy: InDoubt | None = None
    stopped: Refused | None = None


class Lost(Exception):
    """The chunk was taken from us, or its run is to stop: nothing more is written for it."""


class Chunk:
    """Orders under one lease. `carry` does all of it."""

    def __init__(self, items: Sequence[Item], terms: Terms, means: Means) -> None:
        self._items = {one.id: one for one in as_parcels(items)}
        self._number = items[0].chunk
        self._terms = terms
        self._means = means
        now = clock().now()
        self._since = {one.id: counts_since(one, now) for one in self._items.values()}
        self._said: dict[int, Word] = {}
        self._seen: Mapping[str, list[Order]] = {}
        self._busy: InDoubt | None = None
        self._stopped: Refused | None = None

    def carry(self) -> Outcome:
        """Do what is missing of each order and tell the ledger. Raises psycopg.Error if that is away."""
        try:
            self._say(faults(list(self._items.values()), self._terms))
            acts = self._look()
            if acts and self._terms.dry_run:
                self._say([rehearsed(self._items[one], act) for one, act in acts.items()])
            elif acts:
                self._request(acts)
        except Lost:
            self._let_go()
        self._remember()
        return Outcome(self._busy, self._stopped)

    # -- questions ------------------------------------------------------------------------------

    def _look(self) -> dict[int, Act]:
        """What PlayAuto has of the orders, and which request each still needs."""
        left = [one for one in self._items.values() if one.id not in self._said]
        try:
            self._seen = self._means.client.orders_by_bundle({row_of(one).bundle_no for one in left})
        except PlayAutoUnavailable as error:
            self._busy, self._stopped = answers.patience(error), answers.shut(error)
            stopped = self._stopped is not None  # said of the account: the run stops, its orders wait
            self._say(
                [
                    Word(one.id, "later", "miss") if stopped else answers.unanswered(one, error, self._terms)
                    for one in left
                ]
            )
            return {}
        hit("upload.looked")
        acts: dict[int, Act] = {}
        for item in left:
            found = self._ruling(item)
            if isinstance(found, Act):
                acts[item.id] = found
            else:
                self._say([rehearsed(item, found) if self._terms.dry_run else found])
        return acts

    def _ruling(self, item: Item) -> Word | Act:
        """One order that nobody foresaw holds no other up."""
        try:
            return ruling(item, self._orders(item), self._terms, self._since[item.id])
        except Exception as error:
            emit(Event.TASK_SURPRISED, task=f"upload of order {item.order_no}", error=repr(error))
            return answers.surprised(item, error, self._terms)

    # -- requests -------------------------------------------------------------------------------

    def _request(self, acts: Mapping[int, Act]) -> None:
        new = [one for one, act in acts.items() if act is Act.INSTRUCT]
        fresh = [*(self._instruct(new) if new else ()), *(o for o, act in acts.items() if act is Act.SET)]
        stored = self._set(fresh, overwrite=False) if fresh else []
        anew = [one for one, act in acts.items() if act is Act.OVERWRITE]
        stored += self._set(anew, overwrite=True) if anew else []
        stored += [one for one, act in acts.items() if act is Act.SEND]
        if stored and self._terms.send_to_shop:
            self._send(stored)

    def _instruct(self, ids: Sequence[int], *, again: bool = True) -> list[int]:
        """Move new orders on; answers those that may get their number now. Parcels that are new no more
        (e2009) are left out once: what PlayAuto names is not ours to guess about."""
        write_by = self._pass("instruct", ids)
        hit("upload.instructing")
        outcome = self._means.client.instruct(self._bundles(ids), write_by=write_by)
        hit("upload.instructed")
        self._note(outcome)
        named = set(outcome.bundle_nos) if isinstance(outcome, Refused) else set()
        moved = [one for one in ids if row_of(self._items[one]).bundle_no in named]
        rest = [one for one in ids if row_of(self._items[one]).bundle_no not in named]
        if moved and rest and again:
            return [*moved, *self._instruct(rest, again=False)]
        if not moved and answers.is_of_some_order(outcome) and len(parts := self._parts(ids)) > 1:
            return [one for part in parts for one in self._instruct(part)]
        words = {one: answers.instructed(self._items[one], outcome, self._terms) for one in ids}
        self._say([one for one in words.values() if one is not None])
        return [one for one, word in words.items() if word is None]

    def _set(self, ids: Sequence[int], *, overwrite: bool) -> list[int]:
        """Store numbers; answers the orders that PlayAuto has stored."""
        rows = {row_of(self._items[one]).bundle_no: row_of(self._items[one]) for one in ids}
        write_by = self._pass("set", ids)
        hit("upload.setting")
        outcomes = self._means.client.set_invoices(
            list(rows.values()),
            overwrite=overwrite,
            change_complete=self._terms.change_complete,
            write_by=write_by,
        )
        hit("upload.set")
        if any(map(answers.is_of_some_order, outcomes.values())) and len(parts := self._parts(ids)) > 1:
            return [one for part in parts for one in self._set(part, overwrite=overwrite)]
        going: list[int] = []
        for one in ids:
            item = self._items[one]
            outcome = outcomes[row_of(item).bundle_no]
            if isinstance(outcome, AlreadySet) and is_partly_set(item, self._orders(item)):
                outcome = Stored()
            word = answers.set_(item, outcome, self._terms)
            if word is None:
                going.append(one)
                if overwrite:  # whatever went on to the shop until now was another number
                    self._since[one] = clock().now()
            self._say([word or answers.stored(item)])  # it is known as stored, whatever comes next
            self._note(outcome)
        return going

    def _send(self, ids: Sequence[int]) -> None:
        """Have PlayAuto pass the numbers on. Only orders that it showed can be named; the others are looked
        at again."""
        self._say([answers.stored(self._items[one]) for one in ids])
        shown = self._that_fit([one for one in ids if self._orders_of([one])])
        if shown:
            self._pass_on(shown)

    def _pass_on(self, ids: Sequence[int]) -> None:
        orders = self._orders_of(ids)
        write_by = self._pass("send", ids)
        hit("upload.sending")
        outcome = self._means.client.send_invoices(orders, self._means.callback_url, write_by=write_by)
        hit("upload.sent")
        if answers.is_of_some_order(outcome) and len(parts := self._parts(ids)) > 1:
            self._keep([Word(one, "stay", "unsent", "send") for one in ids])
            for part in parts:
                self._pass_on(part)
            return
        if outcome.kind == "jobs_started":
            works = outcome.work_nos
            database.retrying(lambda db: ledger.works_begun(db, self._number, works, ids))
        self._note(outcome)
        self._say([answers.sent(self._items[one], outcome, self._terms) for one in ids])

    def _pass(self, step: str, ids: Sequence[int]) -> float:
        """The point of no return; answers until when the request may be written."""
        asked_at = clock().monotonic()
        verdict = database.retrying(
            lambda db: ledger.pass_over(db, self._number, self._means.owner, step, ids, self._means.lease_s),
            attempts=1,  # a second run of it would count a request twice
        )
        if verdict != "go":
            raise Lost(verdict)
        return asked_at + self._means.lease_s / 2  # nobody else has the orders before the lease is over

    # -- words ----------------------------------------------------------------------------------

    def _say(self, words: Sequence[Word]) -> None:
        self._said.update((one.id, one) for one in words)

    def _note(self, outcome: object) -> None:
        self._busy = self._busy or answers.patience(outcome)
        self._stopped = self._stopped or answers.shut(outcome)

    def _keep(self, words: Sequence[Word]) -> None:
        """Tell the ledger of orders that the chunk goes on with."""
        if not database.retrying(
            lambda db: ledger.record(db, self._number, self._means.owner, words),
            attempts=1,  # a second run of it would count twice
        ):
            raise Lost("fenced")

    def _let_go(self) -> None:
        """What no word was said of goes back as it is."""
        self._say([Word(one, "later") for one in self._items if one not in self._said])

    def _remember(self) -> None:
        words = self._in_step([self._said.get(one) or Word(one, "later") for one in self._items])
        kept = database.retrying(
            lambda db: ledger.record(db, self._number, self._means.owner, words, last=True)
        )
        hit("upload.recorded")
        if not kept:
            emit(Event.UPLOAD_CHUNK_LOST, chunk=self._number)

    def _in_step(self, words: Sequence[Word]) -> list[Word]:
        """Orders of one parcel come back at one time, so that they are claimed together."""
        waits: dict[str, float] = {}
        for one in words:
            bundle = row_of(self._items[one.id]).bundle_no
            waits[bundle] = max(waits.get(bundle, 0.0), one.wait_s)
        return [replace(one, wait_s=waits[row_of(self._items[one.id]).bundle_no]) for one in words]

    def _bundles(self, ids: Sequence[int]) -> list[str]:
        return bundles_of([self._items[one] for one in ids])

    def _parts(self, ids: Sequence[int]) -> list[list[int]]:
        return halves([self._items[one] for one in ids])

    def _that_fit(self, ids: Sequence[int]) -> list[int]:
        """As many whole parcels as one request takes; a parcel may hold several orders."""
        fitting: set[str] = set()
        room = ROWS_MAX
        for bundle, one in {row_of(self._items[one]).bundle_no: one for one in ids}.items():
            room -= len(self._unsent(one))
            if room < 0:
                break
            fitting.add(bundle)
        return [one for one in ids if row_of(self._items[one]).bundle_no in fitting]

    def _orders(self, item: Item) -> Sequence[Order]:
        return self._seen.get(row_of(item).bundle_no, ())

    def _orders_of(self, ids: Sequence[int]) -> list[Order]:
        """Orders of these bundles that are to go on to their marketplace."""
        found = {row_of(self._items[one]).bundle_no: one for one in ids}
        return [order for one in found.values() for order in self._unsent(one)]

    def _unsent(self, one: int) -> list[Order]:
        return to_send(self._orders(self._items[one]), self._since[one])
