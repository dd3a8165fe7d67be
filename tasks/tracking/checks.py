"""What is wrong with an order before anybody is asked: it costs no request and holds nobody else up."""

from __future__ import annotations

from collections.abc import Sequence

from gateways.playauto.dialect import refused_here
from models.ledger.tracking_worker import Item, Word
from models.store.carriers import load_carriers
from models.tracking.carriers import Carriers, family_of
from models.tracking.numbers import judge
from runtime import database
from tasks.tracking.rulings import explained, row_of
from tasks.tracking.terms import Terms


def faults(items: Sequence[Item], terms: Terms) -> list[Word]:
    """The orders that could only be refused, by PlayAuto's own codes, and numbers that are held back."""
    refused = refused_here([row_of(one) for one in items])
    carriers = _carriers(terms) if terms.hold_odd_numbers else None
    found = []
    for item in items:
        told = refused.get((item.bundle_no or "").strip())
        if told is not None:
            found.append(Word(item.id, "failed", code=told.code, message=told.message))
        elif carriers is not None and (warning := _odd(item, carriers)) is not None:
            message = f"{warning}; {explained('odd_number')}"
            found.append(Word(item.id, "failed", code="odd_number", message=message))
    return found


def _odd(item: Item, carriers: Carriers) -> str | None:
    number = judge(item.tracking_number, family_of(carriers.name_of(item.carrier_code)))
    return number.error or next(iter(number.warnings), None)


def _carriers(terms: Terms) -> Carriers:
    return database.retrying(lambda db: load_carriers(db, terms.account))
