"""From PlayAuto's answer to what the ledger keeps of an order. Pure.

A proven failure is tried again after 2, 4, 8 … seconds up to the account's `retry_count`, then it is an end.
What nobody knows is never an end: it is looked at.
"""

from __future__ import annotations

from gateways.errors import PlayAutoUnavailable
from gateways.playauto.errors import BY_CODE
from gateways.playauto.values import (
    AlreadySet,
    InDoubt,
    Instructed,
    InstructOutcome,
    InvoiceOutcome,
    JobOutcome,
    JobsStarted,
    NotSent,
    Refused,
    Stored,
)
from models.ledger.tracking_worker import Item, Mark, Word
from tasks.tracking.rulings import explained, row_of
from tasks.tracking.terms import (
    BUSY_S,
    MISSES_IN_DOUBT,
    UNCONFIRMED_MOST,
    Terms,
    backoff_s,
    look_again_s,
)


def unanswered(item: Item, error: PlayAutoUnavailable, terms: Terms) -> Word:
    """A look had no answer. Before anything was sent the order fails in the end; after it, it is in doubt."""
    if error.code == "http_429":  # it costs no try; what is in doubt stays in doubt
        mark: Mark | None = "doubt" if item.exposed else None
        wait_s = error.retry_after_s or BUSY_S
        return Word(item.id, "later", mark, None, wait_s, item.error_code or error.code, str(error))
    in_doubt = _may_be_there(item)
    most = MISSES_IN_DOUBT if in_doubt else terms.retry_count
    if item.misses < most and (error.retryable or in_doubt):
        return Word(item.id, "later", "miss", None, backoff_s(item.misses + 1), error.code, str(error))
    if in_doubt:
        message = f"PlayAuto may have the number, and gives no answer: {error}"
        return Word(item.id, "unresolved", "miss", code="unreachable", message=message)
    return Word(item.id, "failed", "miss", code=error.code or "unreachable", message=str(error))


def surprised(item: Item, error: Exception, terms: Terms) -> Word:
    """Nothing could be decided of an order. It alone waits, and ends if that does not pass."""
    if item.misses < terms.retry_count:
        wait_s = backoff_s(item.misses + 1)
        return Word(item.id, "later", "miss", None, wait_s, "surprise", repr(error))
    message = f"{explained('surprise')}: {error!r}"
    return Word(
        item.id, "unresolved" if _may_be_there(item) else "failed", "miss", code="surprise", message=message
    )


def instructed(item: Item, outcome: InstructOutcome, terms: Terms) -> Word | None:
    """None: it may get its number now."""
    match outcome:
        case Instructed():
            return None
        case Refused(bundle_nos=named) if row_of(item).bundle_no in named:
            return None  # its state has moved on; setInvoice says what of it holds
        case InDoubt(reason=reason) if item.misses >= max(terms.retry_count, UNCONFIRMED_MOST):
            message = f"PlayAuto never confirmed that the order is to be shipped (출고지시): {reason}"
            return Word(item.id, "failed", code=reason, message=message)
        case InDoubt(reason=reason):  # counted like a look without an answer: it holds nothing back
            wait_s = backoff_s(item.misses + 1)
            return Word(item.id, "later", "miss", None, wait_s, "in_doubt", reason)
        case Refused(code=code, bundle_nos=named) if (named or code == "e2009") and item.misses < max(
            terms.retry_count, UNCONFIRMED_MOST
        ):  # said of another one of the chunk; the next look sorts them out
            wait_s = backoff_s(item.misses + 1)
            return Word(item.id, "later", "miss", None, wait_s, code, explained(code))
        case _:
            return _again(item, item.misses + 1, outcome, terms, mark="miss")


def set_(item: Item, outcome: InvoiceOutcome, terms: Terms) -> Word | None:
    """None: PlayAuto has stored the number."""
    tries = item.tries + 1
    match outcome:
        case Stored():
            return None
        case AlreadySet():
            message = explained("e2007")
            return Word(item.id, "later", "doubt", "set", _soon(item), "e2007", message)
        case InDoubt(reason=reason):
            return _in_doubt(item, tries, reason)
        case _:
            return _again(item, tries, outcome, terms)


def stored(item: Item) -> Word:
    """It has our number, by its own word; what it shows is looked at next."""
    return Word(item.id, "later", "stored", "confirm", look_again_s(item.looks))


def sent(item: Item, outcome: JobOutcome, terms: Terms) -> Word:
    """After the wish to pass a number on. What may have been begun is waited for, the rest wished again."""
    if isinstance(outcome, JobsStarted | InDoubt):
        reason = outcome.reason if isinstance(outcome, InDoubt) else None
        return Word(item.id, "later", "stored", "confirm", look_again_s(item.looks), message=reason)
    code, message, retryable = _told(outcome)
    if retryable and item.misses < terms.retry_count:
        return Word(item.id, "later", "unsent", "send", backoff_s(item.misses + 1), code, message)
    told = f"PlayAuto has the number and does not pass it on: {message}"
    return Word(item.id, "failed", "unsent", "send", code=code, message=told)


def patience(outcome: object) -> InDoubt | None:
    """Whether PlayAuto asks everybody to slow down."""
    if isinstance(outcome, PlayAutoUnavailable):
        busy = InDoubt(outcome.code, 429, outcome.retry_after_s)
        return busy if outcome.code == "http_429" else None
    return outcome if isinstance(outcome, InDoubt) and outcome.http_status == 429 else None


def is_of_some_order(outcome: object) -> bool:
    """Whether the whole call was refused for good because of one of its orders: the others hear it for
    nothing, so that a part of them is worth a call of its own."""
    if not isinstance(outcome, Refused) or not outcome.whole:
        return False
    known = BY_CODE.get(outcome.code)
    return known is not None and known.effect == "final" and known.code.startswith("e20")


def shut(outcome: object) -> Refused | None:
    """Whether the account as a whole may not go on: every other order would hear the same."""
    if isinstance(outcome, PlayAutoUnavailable):
        outcome = Refused(outcome.code, str(outcome), outcome.retryable, whole=True)
    if not isinstance(outcome, Refused) or not outcome.whole:
        return None
    known = BY_CODE.get(outcome.code)
    return outcome if known is not None and known.effect in ("login", "token") else None


def _may_be_there(item: Item) -> bool:
    return item.exposed or item.stored_s is not None or item.sends > 0


def _in_doubt(item: Item, tries: int, reason: str) -> Word:
    return Word(item.id, "later", "doubt", None, backoff_s(tries), "in_doubt", reason)


def _again(
    item: Item, tries: int, outcome: Refused | NotSent | object, terms: Terms, mark: Mark | None = None
) -> Word:
    code, message, retryable = _told(outcome)
    if not retryable or tries > terms.retry_count:
        return Word(item.id, "failed", code=code, message=message)
    return Word(item.id, "later", mark, None, backoff_s(tries), code, message)


def _told(outcome: object) -> tuple[str, str, bool]:
    if isinstance(outcome, Refused):
        said = explained(outcome.code)
        if outcome.message and outcome.message not in said:
            said = f"{said} ({outcome.message})"
        return outcome.code, said, outcome.retryable
    reason = outcome.reason if isinstance(outcome, NotSent) else repr(outcome)
    return "not_sent", f"{explained('not_sent')}: {reason}", True


def _soon(item: Item) -> float:
    """It is compared at once; only if that did not help before, what PlayAuto shows lags behind."""
    return backoff_s(item.tries) if item.tries else 0.05
