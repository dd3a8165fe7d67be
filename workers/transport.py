"""kombu's Redis transport, which does not let a message that is none end the worker.

Anybody may push anything onto a list. kombu decodes what it pops in the worker's own loop, where an
exception is final: one foreign line and the worker is gone, and the next one too.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis

from runtime.events import Event, emit

#: What decoding and unpacking raise. Errors of the connection are of another kind and pass.
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)


class Channel(kombu_redis.Channel):
    """Drops and tells what cannot be read. It was popped already, so it does not come back."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except _UNREADABLE as error:
            emit(Event.HINT_DROPPED, queue=", ".join(self.active_queues), reason=repr(error)[:200])
            return True


class SentinelChannel(Channel, kombu_redis.SentinelChannel):
    """The same, connected to the master that the Sentinels name."""


class Transport(kombu_redis.Transport):
    """Stands in for `redis://` and `rediss://`."""

    Channel = Channel


class SentinelTransport(kombu_redis.SentinelTransport):
    """Stands in for `sentinel://`."""

    Channel = SentinelChannel


def use_everywhere() -> None:
    """Let kombu take this transport for Redis URLs in this process."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
    TRANSPORT_ALIASES["sentinel"] = f"{__name__}:SentinelTransport"
