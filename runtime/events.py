"""What happens, by name. Code says `emit(Event.SEND_STARTED, message_id=…)`; subscribers log and count it.

The names are an interface: dashboards, tests and people search for them, so they never change meaning.
Each has a level and a sentence; the fields given beside those in the sentence go along as keys.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, NamedTuple

from runtime.logs import configure_logging, log_masked, masked

__all__ = ["SENTENCES", "Event", "Sentence", "captured", "configure_logging", "emit", "subscribe"]


class Event(StrEnum):
    """The stable names."""

    # The way of a message (A43-A48). Each carries message_id, the slot's public id.
    SCHEDULED = "message.scheduled"
    SEND_STARTED = "message.send_started"
    SEND_SUCCEEDED = "message.send_succeeded"
    CONFIRMED = "message.confirmed"
    RETRY = "message.retry"
    FINAL_FAILURE = "message.final_failure"
    # Its other ends.
    UNRESOLVED = "message.unresolved"
    PARTIAL = "message.partial"
    EXPIRED = "message.expired"
    SKIPPED = "message.skipped"
    CANCELLED = "message.cancelled"
    # A worker's hold on a slot.
    WAITING = "message.waiting"
    LOCKED_ELSEWHERE = "slot.locked_elsewhere"
    LOCK_DEGRADED = "slot.lock_degraded"
    LEASE_REFUSED = "slot.lease_refused"
    LEASE_LOST = "slot.lease_lost"
    # Servers that come and go.
    REDIS_GONE = "redis.gone"
    REDIS_BACK = "redis.back"
    LEDGER_GONE = "ledger.gone"
    LEDGER_BACK = "ledger.back"
    SCHEMA_DIFFERS = "ledger.schema_differs"
    JOURNAL_WRITTEN = "journal.written"
    JOURNAL_REPLAYED = "journal.replayed"
    CHANNEL_DOWN = "channel.down"
    KAKAO_TOKEN_REFRESHED = "kakao.token_refreshed"  # noqa: S105 - a name
    KAKAO_LOGIN_NEEDED = "kakao.login_needed"
    PLAYAUTO_LOGGED_IN = "playauto.logged_in"
    PLAYAUTO_LOGIN_REFUSED = "playauto.login_refused"
    # The beat.
    BEAT_STARTED = "beat.started"
    BEAT_STOPPED = "beat.stopped"
    TICK_FAILED = "beat.tick_failed"
    TICK_SLOW = "beat.tick_slow"
    PLANNED = "beat.planned"
    DISPATCHED = "beat.dispatched"
    REAPED = "beat.reaped"
    REPUBLISHED = "beat.republished"
    PREPARED_DROPPED = "beat.prepared_dropped"
    CLOCK_JUMPED = "beat.clock_jumped"
    INSTANCE_VOUCHED = "instance.vouched"
    INSTANCE_UNKNOWN = "instance.unknown"
    INSTANCE_HELD = "instance.held"
    SCHEDULE_UNREADABLE = "schedule.unreadable"
    SLOTS_MISSED = "schedule.slots_missed"
    # Workers and their queues.
    WORKER_STARTED = "worker.started"
    WORKER_STOPPING = "worker.stopping"
    WORKER_STOPPED = "worker.stopped"
    POLLING_LEDGER = "worker.polling_ledger"
    HINT_DROPPED = "queue.hint_dropped"
    HINT_UNKNOWN_VERSION = "queue.hint_unknown_version"
    TASK_SURPRISED = "task.surprised"
    # What other services ask for.
    DUPLICATE_REFUSED = "message.duplicate_refused"
    KEYS_PRUNED = "upkeep.keys_pruned"
    FINISHED_RETIRED = "upkeep.finished_retired"
    # Upkeep.
    PARTITIONS_MADE = "upkeep.partitions_made"
    PARTITIONS_DROPPED = "upkeep.partitions_dropped"
    ROWS_PRUNED = "upkeep.rows_pruned"
    # Uploads of tracking numbers.
    UPLOAD_STARTED = "upload.started"
    UPLOAD_ENDED = "upload.ended"
    UPLOAD_CHUNK_LOST = "upload.chunk_lost"
    UPLOAD_REAPED = "upload.reaped"
    UPLOAD_STOPPED = "upload.stopped"
    UPLOAD_HEARD = "upload.heard"
    # Notices to operators.
    NOTICE_POSTED = "notice.posted"
    NOTICE_SENT = "notice.sent"
    NOTICE_NOT_SENT = "notice.not_sent"
    NOTICE_TARGET_OFF = "notice.target_off"
    NOTICE_WATCH_FAILED = "notice.watch_failed"
    SCHEDULE_STOPPED = "schedule.stopped"


class Sentence(NamedTuple):
    """How an event is told: its log level and its words, with {fields}."""

    level: int
    text: str


def _info(text: str) -> Sentence:
    return Sentence(logging.INFO, text)


def _debug(text: str) -> Sentence:
    return Sentence(logging.DEBUG, text)


def _warning(text: str) -> Sentence:
    return Sentence(logging.WARNING, text)


def _error(text: str) -> Sentence:
    return Sentence(logging.ERROR, text)


SENTENCES: Mapping[Event, Sentence] = {
    Event.SCHEDULED: _info("Message {message_id} is scheduled for {at}"),
    Event.SEND_STARTED: _info("Sending message {message_id} to {room}, try {attempt}"),
    Event.SEND_SUCCEEDED: _info("Message {message_id} was accepted by {channel}"),
    Event.CONFIRMED: _info("Message {message_id} is confirmed"),
    Event.RETRY: _info("Message {message_id} is tried again in {delay_s} s: {reason}"),
    Event.FINAL_FAILURE: _info("Message {message_id} has failed for good: {reason}"),
    Event.UNRESOLVED: _warning("Message {message_id} may have arrived, nobody can tell: {reason}"),
    Event.PARTIAL: _warning("Message {message_id} arrived in part: {reason}"),
    Event.EXPIRED: _warning("Message {message_id} was not sent in time: {reason}"),
    Event.SKIPPED: _info("Message {message_id} is skipped: {reason}"),
    Event.CANCELLED: _info("Message {message_id} is cancelled: {reason}"),
    Event.WAITING: _debug("Message {message_id} waits: {reason}"),
    Event.LOCKED_ELSEWHERE: _debug("Another worker holds message {message_id}"),
    Event.LOCK_DEGRADED: _debug("No lock could be taken or given back ({error}); the ledger alone decides"),
    Event.LEASE_REFUSED: _debug("The ledger gave no lease for message {message_id}: {reason}"),
    Event.LEASE_LOST: _warning("The hold on message {message_id} was lost; nothing more is written for it"),
    Event.REDIS_GONE: _warning("Redis does not answer ({error}); the ledger alone decides until it is back"),
    Event.REDIS_BACK: _info("Redis answers again after {gone_s} s"),
    Event.LEDGER_GONE: _error("Postgres does not answer ({error}); nothing is sent until it is back"),
    Event.LEDGER_BACK: _info("Postgres answers again after {gone_s} s"),
    Event.SCHEMA_DIFFERS: _error("The ledger is not what this version expects: {reason}"),
    Event.JOURNAL_WRITTEN: _warning(
        "Evidence for message {message_id} went to the journal, Postgres is away"
    ),
    Event.JOURNAL_REPLAYED: _info("{count} journal entries are in the ledger now"),
    Event.CHANNEL_DOWN: _error("Channel {channel} is down: {reason}"),
    Event.KAKAO_TOKEN_REFRESHED: _info("The Kakao token was refreshed and is good until {until}"),
    Event.KAKAO_LOGIN_NEEDED: _error("Nothing goes out by Kakao until a person logs in: {reason}"),
    Event.PLAYAUTO_LOGGED_IN: _info("PlayAuto gave account {account} a new token"),
    Event.PLAYAUTO_LOGIN_REFUSED: _error("PlayAuto lets account {account} in no more: {reason}"),
    Event.BEAT_STARTED: _info("Beat {node} has started"),
    Event.BEAT_STOPPED: _info("Beat {node} has stopped"),
    Event.TICK_FAILED: _error("A tick failed and is repeated: {error}"),
    Event.TICK_SLOW: _warning("A tick took {took_ms} ms"),
    Event.PLANNED: _debug("{count} slots were planned"),
    Event.DISPATCHED: _debug("{count} slots were dispatched"),
    Event.REAPED: _warning("{count} slots were taken back from workers that went silent"),
    Event.REPUBLISHED: _info("{count} hints were published again"),
    Event.PREPARED_DROPPED: _warning("A prepared batch of {count} was {stale_ms} ms old and thrown away"),
    Event.CLOCK_JUMPED: _error(
        "The database's clock jumped by {jump_s} s; nothing is prepared ahead for {freeze_s} s"
    ),
    Event.INSTANCE_VOUCHED: _info("The database is the one that it was; messages may leave it"),
    Event.INSTANCE_UNKNOWN: _warning(
        "Nothing is sent until Redis answers: JEONGSI_HOME does not know this database, Redis may"
    ),
    Event.INSTANCE_HELD: _error(
        "Nothing is sent: {reason}. Look with `jeongsi instance show`, then `jeongsi instance release`"
    ),
    Event.SCHEDULE_UNREADABLE: _error("Schedule {schedule_id} cannot be read: {reason}"),
    Event.SLOTS_MISSED: _error("Schedule {schedule_id} missed {count} slots from {start} to {end}: {reason}"),
    Event.WORKER_STARTED: _info("Worker {node} has started on {queues}"),
    Event.WORKER_STOPPING: _info("Worker {node} finishes {running} running sends and stops"),
    Event.WORKER_STOPPED: _info("Worker {node} has stopped"),
    Event.POLLING_LEDGER: _warning("Worker {node} takes due slots from Postgres while Redis is away"),
    Event.HINT_DROPPED: _warning("A message in queue {queue} was no hint of ours and is dropped: {reason}"),
    Event.HINT_UNKNOWN_VERSION: _warning("A hint of version {version} is left to a newer worker"),
    Event.TASK_SURPRISED: _error("Task {task} met something nobody expected: {error}"),
    Event.DUPLICATE_REFUSED: _warning(
        "A message to {room} is refused, {message_id} says the same at the same time: {content}"
    ),
    Event.FINISHED_RETIRED: _info("{count} finished one-off messages left the lists; their record stays"),
    Event.KEYS_PRUNED: _info("{count} idempotency keys and content hashes past their time were deleted"),
    Event.PARTITIONS_MADE: _info("Partitions were made ahead: {names}"),
    Event.PARTITIONS_DROPPED: _info("Partitions past retention were dropped: {names}"),
    Event.ROWS_PRUNED: _info("{count} quota counts, incidents and orphans past retention were deleted"),
    Event.UPLOAD_STARTED: _info("Upload run {job} of account {account} has begun"),
    Event.UPLOAD_ENDED: _info(
        "Upload run {job} of account {account} is {status} ({reason}): {success} uploaded, {failed} failed,"
        " {skipped} left out of {total}"
    ),
    Event.UPLOAD_CHUNK_LOST: _warning("The hold on chunk {chunk} was lost; its orders are looked at again"),
    Event.UPLOAD_REAPED: _warning("{count} chunks of orders were taken back from workers that went silent"),
    Event.UPLOAD_STOPPED: _error("Upload run {job} cannot go on: {reason}"),
    Event.UPLOAD_HEARD: _info("PlayAuto says of its job {work}: {said}; {count} orders are looked at"),
    Event.NOTICE_POSTED: _info("Notice {notice_id} ({kind}, {severity}): {title}"),
    Event.NOTICE_SENT: _info("Notice {notice_id} was taken by {target}"),
    Event.NOTICE_NOT_SENT: _warning("Notice {notice_id} did not reach {target}: {reason}"),
    Event.NOTICE_TARGET_OFF: _error("Notices to {target} are switched off: {reason}"),
    Event.NOTICE_WATCH_FAILED: _warning("The watch could not look or tell and does so again: {error}"),
    Event.SCHEDULE_STOPPED: _error("Schedule {schedule_id} is stopped after {failures} failures in a row"),
}

Subscriber = Callable[[Event, Mapping[str, Any]], None]


def emit(event: Event, **fields: Any) -> None:
    """Tell the log and every subscriber. Never raises: telling must not stop what is told.

    Logged under the caller's module, so JEONGSI_LOG_LEVELS works on it. Secrets are masked by key name.
    """
    _log(event, fields, sys._getframe(1).f_globals.get("__name__", "jeongsi"))
    for subscriber in tuple(_subscribers):
        try:
            subscriber(event, fields)
        except Exception:
            logging.getLogger(__name__).exception("A subscriber of events failed")


def subscribe(subscriber: Subscriber) -> Callable[[], None]:
    """Hear every event of this process, on the thread that emits it. Returns what ends it."""
    _subscribers.append(subscriber)

    def unsubscribe() -> None:
        if subscriber in _subscribers:
            _subscribers.remove(subscriber)

    return unsubscribe


@contextmanager
def captured() -> Iterator[list[tuple[Event, Mapping[str, Any]]]]:
    """The events emitted in this process while the block runs, as a list that grows."""
    heard: list[tuple[Event, Mapping[str, Any]]] = []
    stop = subscribe(lambda event, fields: heard.append((event, fields)))
    try:
        yield heard
    finally:
        stop()


_subscribers: list[Subscriber] = []


class _Lenient(dict[str, Any]):
    """A sentence with a missing field is still worth logging."""

    def __missing__(self, key: str) -> str:
        return "?"


def _log(event: Event, fields: Mapping[str, Any], module: str) -> None:
    sentence = SENTENCES[event]
    logger = logging.getLogger(module)
    if not logger.isEnabledFor(sentence.level):
        return
    try:
        safe = masked(fields)
        told = sentence.text.format_map(_Lenient(safe))
        log_masked(logger, sentence.level, told, {**safe, "action": event.value})
    except Exception:
        logging.getLogger(__name__).exception("An event could not be logged: %s", event.value)
