"""What came of a send and of a look-up, as values. A provider's failure is never an exception.

    Accepted        the provider took the message (any 2xx of its own, even with the body cut off)
    NotSent         proven: not one byte of the request left this machine
    RejectedRetry   the provider says "not accepted, come again" (429, 503 with Retry-After)
    RejectedFinal   the provider itself says no (4xx in its own error schema)
    Unknown         anything else once the first byte may have left: it may or may not have arrived

The first and the middle three are proof; Unknown is never sent again without one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

OutcomeKind = Literal["accepted", "not_sent", "rejected_retry", "rejected_final", "unknown"]


@dataclass(frozen=True, slots=True)
class _Evidence:
    """`reason` is a short stable code; `answer` is what the provider said, fit for a JSON column
    (at most 8 KiB, secrets masked); `wrote_after_ms` is the time from the call of send() to the first
    byte handed to the socket, None if none was."""

    reason: str
    http_status: int | None = None
    provider_msg_id: str | None = None
    retry_after_s: float | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    wrote_after_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Accepted(_Evidence):
    """The provider has the message.

    `candidates`: where it was recognised by its content, the messages that it may be, best first, each by
    the ids of all its rows; the ledger says which of them is nobody else's."""

    candidates: tuple[tuple[str, ...], ...] = ()
    kind: ClassVar[OutcomeKind] = "accepted"


@dataclass(frozen=True, slots=True)
class NotSent(_Evidence):
    """Nothing left this machine; sending again cannot double anything."""

    kind: ClassVar[OutcomeKind] = "not_sent"


@dataclass(frozen=True, slots=True)
class RejectedRetry(_Evidence):
    """Refused for now; `retry_after_s` is the provider's own wish, where it gave one."""

    kind: ClassVar[OutcomeKind] = "rejected_retry"


@dataclass(frozen=True, slots=True)
class RejectedFinal(_Evidence):
    """Refused for good; the same request would be refused again."""

    kind: ClassVar[OutcomeKind] = "rejected_final"


@dataclass(frozen=True, slots=True)
class Unknown(_Evidence):
    """It may have arrived. Only a key, a look-up or a person may clear this."""

    kind: ClassVar[OutcomeKind] = "unknown"


Outcome = Accepted | NotSent | RejectedRetry | RejectedFinal | Unknown


@dataclass(frozen=True, slots=True)
class Found:
    """The provider knows the message by our key, or by its content; `candidates` as in Accepted."""

    state: Literal["accepted", "delivered", "failed"]
    provider_msg_id: str | None
    answer: dict[str, Any] = field(default_factory=dict)
    candidates: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Absent:
    """The provider says it does not know our message. Believed only after `settle` (exactly-once rule R8).

    `doubt`: why this absence proves nothing, however late it is said. `others`: messages that were not
    recognised but could be ours; unless they are known to be somebody else's, nothing is proven either."""

    answer: dict[str, Any] = field(default_factory=dict)
    doubt: str | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LookUpUnavailable:
    """Nobody could be asked, or the answer was not the provider's. Never to be read as absence."""

    reason: str
    answer: dict[str, Any] = field(default_factory=dict)


LookUp = Found | Absent | LookUpUnavailable
