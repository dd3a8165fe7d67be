"""Every other service, by Apprise. It says only yes or no, so what failed is tried again by the ladder."""

from __future__ import annotations

import logging
from typing import Any

from gateways.notices.answers import Heard
from gateways.notices.note import Note, quiet

_TYPES = {"info": "info", "warning": "warning", "error": "failure", "critical": "failure"}


def readable(url: str) -> bool:
    """Whether Apprise knows such an address."""
    return _plugin(url) is not None


def send(url: str, note: Note, deadline_s: float) -> Heard:
    """One try. Apprise's own waits are part of it; it has no total deadline, only one for each step."""
    plugin = _plugin(url)
    if plugin is None:
        return Heard("gone", "apprise_cannot_read_it")
    plugin.socket_connect_timeout = plugin.socket_read_timeout = deadline_s / 2
    try:
        # An empty body is refused by Apprise itself, so a notice without text says its title there.
        body = quiet(note.body or note.head)
        sent = plugin.notify(title=quiet(note.head), body=body, notify_type=_type(note))
    except Exception as error:  # a plugin of many hands; its message may hold the address
        return Heard("failed", f"apprise: {type(error).__name__}")
    return Heard("sent") if sent else Heard("failed", "apprise: not sent")


def _type(note: Note) -> Any:
    from apprise import NotifyType

    return NotifyType(_TYPES[note.severity])


def _plugin(url: str) -> Any:
    import apprise

    # Its log lines hold addresses; what went wrong is told by our own events.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    return apprise.Apprise.instantiate(url, suppress_exceptions=True)
