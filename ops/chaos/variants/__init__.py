"""Jeongsi with one rule taken out, so that a checker has something to find. Never outside a chaos run.

ponr_off          a worker's death after its write counts as one before it: the slot is simply sent again
absent_at_once    "the provider does not know it" is believed at once, not after settle
lock_only         workers of the old kind: Redis SET NX, send, mark as done
"""

from __future__ import annotations

from runtime.settings import SettingsError, get_settings


def refuse_production() -> None:
    """Raises SettingsError where ENVIRONMENT=production: a variant sends messages twice on purpose."""
    if get_settings().environment == "production":
        raise SettingsError("this variant sends twice on purpose; it is refused with ENVIRONMENT=production")
