"""Orders that travel together: PlayAuto keeps one number for a parcel, and takes it as one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.ledger.tracking_worker import Item
from tasks.tracking.rulings import row_of


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
            misses=max(other.misses for other in parcel),
            looks=max(other.looks for other in parcel),
            overwrite=any(other.overwrite for other in parcel),
            error_code=next((other.error_code for other in parcel if other.error_code), None),
            exposed=any(other.exposed for other in parcel),
            sends=max(other.sends for other in parcel),
            sent_s=min(sent) if sent else None,
            stored_s=max(kept) if kept else None,
        )
        for one in parcel
    ]


def bundles_of(items: Sequence[Item]) -> list[str]:
    """Their parcels' numbers, each once."""
    return list(dict.fromkeys(row_of(one).bundle_no for one in items))


def halves(items: Sequence[Item]) -> list[list[int]]:
    """The orders' ids in two parts that share no parcel; one part if there is one parcel."""
    bundles = bundles_of(items)
    first = set(bundles[: len(bundles) // 2])
    parts: tuple[list[int], list[int]] = ([], [])
    for one in items:
        parts[row_of(one).bundle_no not in first].append(one.id)
    return [one for one in parts if one]
