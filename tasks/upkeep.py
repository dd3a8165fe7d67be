"""Work that keeps the ledger healthy: partitions ahead, old weeks dropped."""

from __future__ import annotations

from celery import shared_task

from models.ledger import beat as ledger
from runtime import database
from runtime.events import Event, emit
from runtime.settings import get_settings


@shared_task(name="jeongsi.upkeep.partitions", ignore_result=True)
def partitions() -> dict[str, object]:
    """Make the weeks ahead that are missing and drop those past retention. Safe at any time, by anyone."""
    settings = get_settings()
    made = database.retrying(lambda db: ledger.ensure_partitions(db, settings.ledger_days))
    dropped = database.retrying(
        lambda db: ledger.drop_old_partitions(db, settings.ledger_days, settings.log_days)
    )
    if made:
        emit(Event.PARTITIONS_MADE, names=str(made))
    if dropped:
        emit(Event.PARTITIONS_DROPPED, names=", ".join(dropped))
    return {"made": made, "dropped": dropped}
