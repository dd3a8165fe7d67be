"""What is still missing of an order, decided from what the ledger knows and what PlayAuto shows. Pure.

Every order is looked at before anything is done for it. So a lost reply, a killed worker and a number that
somebody else entered are one case: what PlayAuto shows decides, and nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from enum import StrEnum

from gateways.playauto.answers import read_back
from gateways.playauto.errors import told
from gateways.playauto.values import InvoiceRow, Order, ReadBack
from models.ledger.tracking_worker import Item, Word
from models.tracking.numbers import normalise
from tasks.tracking.terms import Terms, look_again_s

NEW = "신규주문"
SENDS_MOST = 2  # one sending, and one more if nobody ever confirmed it; then a person


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


def as_parcels(items: Sequence[Item]) -> list[Item]:
    """Orders of one parcel know together what was done to it: what was sent for one was sent for all."""
    parcels: dict[str, list[Item]] = {}
    for one in items:
        parcels.setdefault(row_of(one).bundle_no or f"order {one.id}", []).append(one)
    return [told for parcel in parcels.values() for told in _agreed(parcel)]


def _agreed(parcel: Sequence[Item]) -> Sequence[Item]:
    if len(parcel) == 1:
        return parcel
    sent = [one.sent_s for one in parcel if one.sent_s is not None]
    kept = [one.stored_s for one in parcel if one.stored_s is not None]
    return [
        replace(
            one,
            tries=max(other.tries for other in parcel),
            exposed=any(other.exposed for other in parcel),
            sends=max(other.sends for other in parcel),
            sent_s=min(sent) if sent else None,
            stored_s=max(kept) if kept else None,
        )
        for one in parcel
    ]


def ruling(item: Item, orders: Collection[Order], terms: Terms) -> Word | Act:
    """What becomes of an order: an end, a wait, or the next request."""
    seen = read_back(row_of(item), orders)
    if seen.number == "ours":
        return _stored(item, seen, terms)
    if seen.number == "other":
        return _another_number(item, orders, terms)
    return _missing(item, seen, terms)


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


def _another_number(item: Item, orders: Collection[Order], terms: Terms) -> Word | Act:
    if item.stored_s is not None and item.overwrite and item.stored_s < terms.confirm_s:
        return _look_again(item)  # it said that ours is in; what it shows lags behind
    if item.overwrite:
        return _tries_left(item, terms) or Act.OVERWRITE
    ours = row_of(item)
    theirs = next(
        one
        for one in orders
        if one.invoice_no and (one.carr_no, normalise(one.invoice_no)) != (ours.carr_no, ours.invoice_no)
    )
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
    "odd_number": "the number looks wrong for its carrier, and the account holds such numbers back",
}
