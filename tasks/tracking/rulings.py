"""What is still missing of an order, decided from what the ledger knows and what PlayAuto shows. Pure.

Every order is looked at before anything is done for it. So a lost reply, a killed worker and a number that
somebody else entered are one case: what PlayAuto shows decides, and nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from gateways.playauto.answers import differing, read_back
from gateways.playauto.errors import told
from gateways.playauto.values import InvoiceRow, Order, ReadBack
from models.ledger.tracking_worker import Item, Word
from models.tracking.numbers import normalise
from tasks.tracking.terms import Terms, look_again_s

NEW = "신규주문"
SENDS_MOST = 2  # one sending, and one more if nobody ever confirmed it; then a person
ONE_CARRY_S = 60.0  # from a sending until the ledger knows what became of its chunk, at most


class Act(StrEnum):
    """A request that an order still needs."""

    INSTRUCT = "instruct"
    SET = "set"
    OVERWRITE = "overwrite"
    SEND = "send"


def row_of(item: Item) -> InvoiceRow:
    """The order as setInvoice takes it."""
    return InvoiceRow(
        (item.bundle_no or "").strip(), item.carrier_code.strip(), normalise(item.tracking_number)
    )


def ruling(item: Item, orders: Collection[Order], terms: Terms, since: datetime | None = None) -> Word | Act:
    """What becomes of an order: an end, a wait, or the next request. `since`: see `counts_since`."""
    seen = read_back(row_of(item), orders, since)
    if seen.number == "ours":
        return _stored(item, seen, terms)
    if seen.number == "other":
        return _another_number(item, orders, terms)
    if seen.number == "partly" and item.stored_s is not None:
        return _partly(item, seen, item.stored_s, terms)
    return _missing(item, seen, terms)


def counts_since(item: Item, claimed_at: datetime) -> datetime | None:
    """Since when a sending took our number along; None: whenever it was. Before an overwrite it took the
    other one. In whole seconds, as PlayAuto shows them."""
    if not item.overwrite or not item.tries:
        return None
    ago = item.stored_s or 0.0  # 0: the answer to the overwrite was lost, no sending proves anything yet
    died = item.stored_s is None and item.step in ("send", "confirm")  # after it passed our number on
    if item.sent_s is not None and (died or ago <= item.sent_s <= ago + ONE_CARRY_S):
        ago = item.sent_s  # the ledger heard of the storing only after the sending that followed it
    return (claimed_at - timedelta(seconds=ago)).replace(microsecond=0)


def is_partly_set(item: Item, orders: Collection[Order]) -> bool:
    """Whether some orders of the parcel have our number and the others none: an e2007 is said of ours."""
    return read_back(row_of(item), orders).number == "partly"


def rehearsed(item: Item, found: Word | Act) -> Word:
    """The same of a dry run, which uploads nothing: what would be done."""
    if isinstance(found, Act):
        code = "would_send" if found is Act.SEND else "would_upload"
        return Word(item.id, "skipped", code=code, message=None)
    if found.what == "succeeded":
        return Word(item.id, "skipped", code="already_uploaded")
    return found if found.what != "later" else Word(item.id, "skipped", code="would_upload")


def _stored(item: Item, seen: ReadBack, terms: Terms) -> Word | Act:
    if seen.sent or not terms.send_to_shop:
        return Word(item.id, "succeeded", "stored", "confirm")
    if seen.claimed:
        return Word(item.id, "failed", "stored", "confirm", code="e2040", message=explained("e2040"))
    if item.sends == 0:
        return Act.SEND
    if (item.sent_s or 0.0) < terms.confirm_s:
        return _look_again(item)
    if item.sends < SENDS_MOST:
        return Act.SEND
    return Word(
        item.id, "unresolved", "stored", "confirm", code="send_unconfirmed",
        message="PlayAuto has the number and was told twice to pass it on; it does not show that it did",
    )  # fmt: skip


def _partly(item: Item, seen: ReadBack, stored_s: float, terms: Terms) -> Word | Act:
    """The others may lag behind; PlayAuto may also leave them bare for good."""
    if stored_s < terms.confirm_s and (seen.sent or not terms.send_to_shop):
        return _look_again(item)
    return _stored(item, seen, terms)


def _another_number(item: Item, orders: Collection[Order], terms: Terms) -> Word | Act:
    if item.stored_s is not None and item.overwrite and item.stored_s < terms.confirm_s:
        return _look_again(item)  # it said that ours is in; what it shows lags behind
    if item.overwrite:
        return _tries_left(item, terms) or Act.OVERWRITE
    ours = row_of(item)
    theirs = differing(ours, orders)
    if theirs is None:
        raise ValueError(f"no order of {ours.bundle_no} has another number")
    evidence = {
        "ours": {"carrier": ours.carr_no, "number": ours.invoice_no},
        "theirs": {"carrier": theirs.carr_no, "number": theirs.invoice_no, "uniq": theirs.uniq},
    }
    message = f"PlayAuto has {theirs.invoice_no} (carrier {theirs.carr_no}), we have {ours.invoice_no}"
    return Word(item.id, "unresolved", code="conflict", message=message, evidence=evidence)


def _missing(item: Item, seen: ReadBack, terms: Terms) -> Word | Act:
    if item.stored_s is not None:
        if item.stored_s < terms.confirm_s:
            return _look_again(item)
        return Word(item.id, "unresolved", code="not_shown", message=explained("not_shown"))
    if (ended := _tries_left(item, terms)) is not None:
        return ended
    return Act.INSTRUCT if terms.instruct and NEW in seen.states else Act.SET


def _tries_left(item: Item, terms: Terms) -> Word | None:
    if item.tries <= terms.retry_count:
        return None
    code = item.error_code or "in_doubt"
    if code == "e2007":  # it has a number, and does not show which
        return Word(item.id, "unresolved", code="not_shown", message=explained("not_shown"))
    return Word(item.id, "failed", code=code, message=explained(code))


def _look_again(item: Item) -> Word:
    return Word(item.id, "later", "look", "confirm", look_again_s(item.looks))


def explained(code: str) -> str:
    """What a code says to a person: PlayAuto's in its words, ours in ours."""
    return OURS.get(code) or told(code)


OURS = {
    "not_shown": "PlayAuto said that it has a number, and does not show it",
    "in_doubt": "every try ended without an answer, and PlayAuto does not show the number",
    "not_sent": "PlayAuto could not be reached",
    "unreachable": "PlayAuto gave no answer",
    "surprise": "Jeongsi met something in this order that nobody expected; look at the worker's log",
    "odd_number": "the number looks wrong for its carrier, and the account holds such numbers back",
}
