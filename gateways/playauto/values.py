"""What goes to PlayAuto and comes back, as values. Its numbers are text: leading zeros count."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, Literal

ROWS_MAX = 3000
INVOICE_MAX = 20
_BLANKS = re.compile(r"[\s\-‐-―−\u200b-\u200d\ufeff]+")


@dataclass(frozen=True, slots=True)
class Account:
    """The login of one PlayAuto account: e-mail and password, or an authentication key."""

    api_key: str = field(repr=False)
    email: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    authentication_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.api_key or not (self.authentication_key or (self.email and self.password)):
            raise ValueError(
                "a PlayAuto account needs an API key, and an e-mail address with a password or an"
                " authentication key"
            )

    @property
    def id(self) -> str:
        """What tells this login from others without saying what it is."""
        parts = (self.api_key, self.email or "", self.password or "", self.authentication_key or "")
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Choices:
    """What no source settles, chosen in this one place.

    send_by           what SEND_INVOICE's list holds: an order's `uniq`, or `bundle_no`
    read_back_days    a look-up by bundle covers orders collected so many days back
    look_up_chunk     bundles of one look-up
    """

    send_by: Literal["uniq", "bundle_no"] = "uniq"
    read_back_days: int = 180
    look_up_chunk: int = 500


@dataclass(frozen=True, slots=True)
class Carrier:
    """One of PlayAuto's carriers. `code` is what `carr_no` takes."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Order:
    """One order as /orders shows it. `raw` holds all that PlayAuto said of it, people's addresses too."""

    uniq: str
    bundle_no: str
    status: str
    carr_no: str
    invoice_no: str
    shop_cd: str
    shop_id: str
    shop_ord_no: str
    collected_at: datetime | None
    sent_at: datetime | None
    raw: Mapping[str, Any] = field(repr=False, compare=False, default_factory=dict)


@dataclass(frozen=True, slots=True)
class OrderQuery:
    """Which orders; an empty field filters nothing. Days are Korean, both included. At most one `search`
    (column, exact word). Raises ValueError if the first day is after the last."""

    first: date | None = None
    last: date | None = None
    date_type: str = "wdate"
    states: Sequence[str] = ()
    shop_cd: str = ""
    shop_id: str = ""
    search: tuple[str, str] | None = None
    bundles: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.first and self.last and self.first > self.last:
            raise ValueError(f"the first day {self.first} is after the last one {self.last}; swap them")


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    """A bundle's tracking number. `carr_no` is a code of `Client.carriers`."""

    bundle_no: str
    carr_no: str
    invoice_no: str

    def cleaned(self) -> InvoiceRow:
        """Without the hyphens and blanks that people type."""
        return InvoiceRow(self.bundle_no.strip(), self.carr_no.strip(), clean_number(self.invoice_no))


def clean_number(text: str) -> str:
    """A tracking number as it is sent and compared: without hyphens and blanks, in narrow capitals."""
    return _BLANKS.sub("", unicodedata.normalize("NFKC", text)).upper()


@dataclass(frozen=True, slots=True)
class Stored:
    """PlayAuto has the number. The marketplace does not yet: that is SEND_INVOICE."""

    kind: ClassVar[Literal["stored"]] = "stored"


@dataclass(frozen=True, slots=True)
class AlreadySet:
    """The bundle had a number before this call (e2007), perhaps from a call of ours: read back, compare."""

    message: str = ""
    kind: ClassVar[Literal["already_set"]] = "already_set"


@dataclass(frozen=True, slots=True)
class Refused:
    """Proven not done. `retryable`: the same may succeed later by itself. `message` is PlayAuto's own text;
    `errors.told(code)` is ours. `whole`: said of the whole call, so of no bundle in particular.
    `bundle_nos`: those that it names as the reason."""

    code: str
    message: str
    retryable: bool
    whole: bool = False
    bundle_nos: tuple[str, ...] = ()
    kind: ClassVar[Literal["refused"]] = "refused"


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proven: not one byte of the request left this machine."""

    reason: str
    kind: ClassVar[Literal["not_sent"]] = "not_sent"


@dataclass(frozen=True, slots=True)
class InDoubt:
    """The request may have been carried out. Read back before anything else is done."""

    reason: str
    http_status: int | None = None
    retry_after_s: float | None = None
    kind: ClassVar[Literal["in_doubt"]] = "in_doubt"


@dataclass(frozen=True, slots=True)
class Instructed:
    """The bundles are 출고대기 now."""

    kind: ClassVar[Literal["instructed"]] = "instructed"


@dataclass(frozen=True, slots=True)
class JobsStarted:
    """PlayAuto will send the numbers on; each job calls back, perhaps."""

    work_nos: tuple[str, ...]
    kind: ClassVar[Literal["jobs_started"]] = "jobs_started"


InvoiceOutcome = Stored | AlreadySet | Refused | NotSent | InDoubt
InstructOutcome = Instructed | Refused | NotSent | InDoubt
JobOutcome = JobsStarted | Refused | NotSent | InDoubt


@dataclass(frozen=True, slots=True)
class JobReport:
    """A job's callback. It is unsigned: believe it only so far as to look at /orders.

    `state` is `unclear` where PlayAuto's word is neither of the two that are known."""

    work_no: str
    state: Literal["succeeded", "failed", "unclear"]
    status: str
    job_name: str
    site_name: str
    shop_id: str
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What /orders says of a row's bundle.

    number    ours     every order of the bundle has our carrier and number
              partly   some have it, the others none
              none     none has a number
              other    at least one has another one: a person decides
              unknown  PlayAuto shows no such bundle
    sent      each order that has a number has gone on to its marketplace
    claimed   each order is cancelled, returned or exchanged; where only some are, the others alone count
    """

    number: Literal["ours", "partly", "none", "other", "unknown"]
    sent: bool
    states: tuple[str, ...] = ()
    claimed: bool = False
