"""How operators are reached: Discord, Slack and plain JSON by our own transport, all else by Apprise.

Our own way where the status matters: Apprise says only yes or no, and a 429 wants its time, a 404 an end.
"""

from __future__ import annotations

from gateways.notices.address import Address, BadAddress, fingerprint, parse, split
from gateways.notices.answers import Heard
from gateways.notices.note import Note
from gateways.notices.send import send

__all__ = ["Address", "BadAddress", "Heard", "Note", "fingerprint", "parse", "send", "split"]
