"""What the pipeline knows of a provider: this protocol, and its capabilities as data."""

from __future__ import annotations

from typing import Any, Protocol

from gateways.capabilities import Capabilities
from gateways.message import PartToSend, RoomAddress, Sought
from gateways.outcomes import LookUp, NotSent, Outcome, RejectedFinal


class Line(Protocol):
    """An open way to the provider for one attempt. `send` uses it up; an unused one is closed, which keeps
    the connection for others.

    `before`: what the provider looked like just now, if a look-up needs that; the ledger keeps it with the
    attempt. Small JSON."""

    @property
    def before(self) -> dict[str, Any] | None:
        """See above."""
        ...

    def close(self) -> None:
        """Give it back unused. Harmless after a send and when called twice."""
        ...


class Adapter(Protocol):
    """One channel of one provider. Thread-safe. Failures of the provider are outcomes, not exceptions."""

    channel: str

    def capabilities(self) -> Capabilities:
        """What the provider can do; asked once, then kept. Raises CapabilitiesUnavailable."""
        ...

    def open(self, room: RoomAddress) -> Line | NotSent | RejectedFinal:
        """Everything slow before the point of no return: DNS, TCP, TLS, tokens. RejectedFinal: nothing can be
        sent before a person acts, and its reason says what they do."""
        ...

    def send(
        self, line: Line, room: RoomAddress, part: PartToSend, *, write_by: float | None = None
    ) -> Outcome:
        """Write the part over `line`, within the HTTP deadline. `write_by` is the instant of
        `runtime.clock.clock().monotonic()` after which the first byte must not leave any more (rule R6):
        then NotSent, reason `guard_missed`."""
        ...

    def look_up(self, room: RoomAddress, sought: Sought) -> LookUp:
        """Ask what became of a part."""
        ...

    def rooms(self) -> list[str]:
        """The room ids that the provider can reach now. Raises RoomsUnavailable."""
        ...

    def close(self) -> None:
        """Close idle connections."""
        ...
