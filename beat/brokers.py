"""The two ways to a broker: straight into Redis' lists, or by kombu for any other.

`prepare` touches no network and may be called by any thread; `push` and `depths` are the publisher
thread's and may block for seconds on a dead server.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import redis
from celery import Celery

from beat.envelope import Hint, envelopes
from runtime.redis_address import for_celery, is_sentinel
from runtime.redis_client import client_of
from runtime.settings import get_settings

_AT_ONCE = 500  # values of one LPUSH: 2 µs each, against 79 µs for one by one


@dataclass(frozen=True, slots=True)
class Parcel:
    """Messages made ready for a broker. ``count``: how many; ``content`` is that broker's own business."""

    count: int
    content: Sequence[Any]

    def __len__(self) -> int:
        return self.count


class Broker(Protocol):
    """What the publisher needs of a broker."""

    def prepare(self, hints: Sequence[Hint]) -> Parcel:
        """One message per hint, made ready so that `push` has little left to do."""
        ...

    def push(self, parcels: Sequence[Parcel]) -> None:
        """Publish in order. Raises on failure; some may have arrived then."""
        ...

    def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """Messages waiting in each queue; 0 where the broker cannot tell."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


def broker_of(app: Celery) -> Broker:
    """The straight way where the app's broker is a plain Redis, else kombu's."""
    url = str(app.conf.broker_write_url or app.conf.broker_url or "")
    options = app.conf.broker_transport_options or {}
    if options.get("global_keyprefix") or app.conf.task_queue_max_priority:
        return KombuBroker(app)
    if url.startswith(("redis://", "rediss://")) and ";" not in url:
        return RedisBroker(url)
    ours = get_settings().redis_url
    if ours is not None and is_sentinel(ours) and url == for_celery(ours)[0]:
        return RedisBroker(ours)  # the same lists, on whichever server is the master
    return KombuBroker(app)


class RedisBroker:
    """Envelopes by template, LPUSHed in bulk on a connection of its own, with timeouts and no retries.

    A parcel holds the commands as they go over the wire: at the instant 10,000 messages cost 5 ms of CPU
    and not 20, and the server takes one command while the next is written.
    """

    def __init__(self, url: str) -> None:
        self._client = client_of(url, socket_timeout=3.0, connect_timeout=2.0)
        self._origin = f"beat{os.getpid()}@{socket.gethostname()}"
        unconnected: Any = redis.Connection
        self._pack: Callable[..., list[bytes]] = unconnected().pack_command

    def prepare(self, hints: Sequence[Hint]) -> Parcel:
        queues: dict[str, list[Hint]] = {}
        for hint in hints:
            queues.setdefault(hint.queue, []).append(hint)
        return Parcel(len(hints), [raw for queue, some in queues.items() for raw in self._wire(queue, some)])

    def _wire(self, queue: str, hints: Sequence[Hint]) -> Iterator[bytes]:
        for place in range(0, len(hints), _AT_ONCE):
            messages = envelopes(hints[place : place + _AT_ONCE], self._origin)
            yield b"".join(self._pack("LPUSH", queue, *messages))

    def push(self, parcels: Sequence[Parcel]) -> None:
        commands = [raw for parcel in parcels for raw in parcel.content]
        connection: Any = self._client.connection_pool.get_connection()
        try:
            connection.send_packed_command(commands)
            for _ in commands:
                connection.read_response()
        except BaseException:
            connection.disconnect()  # answers may still be on their way: nobody may read them as his
            raise
        finally:
            self._client.connection_pool.release(connection)

    def depths(self, queues: Sequence[str]) -> dict[str, int]:
        pipe = self._client.pipeline(transaction=False)
        for queue in queues:
            pipe.llen(queue)
        return dict(zip(queues, map(int, pipe.execute()), strict=True))

    def close(self) -> None:
        self._client.close()


class KombuBroker:
    """`send_task` one by one (about 0.4 ms each): for RabbitMQ, SQS and whatever kombu knows."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Any = None

    def prepare(self, hints: Sequence[Hint]) -> Parcel:
        return Parcel(len(hints), hints)

    def push(self, parcels: Sequence[Parcel]) -> None:
        try:
            with self._open().channel() as channel:
                producer = self._app.amqp.Producer(channel, auto_declare=False)
                for hint in (hint for parcel in parcels for hint in parcel.content):
                    self._app.send_task(
                        hint.task, [hint.body()], {}, queue=hint.queue, argsrepr=hint.told,
                        ignore_result=True, retry=False, producer=producer,
                    )  # fmt: skip
        except BaseException:
            self.close()
            raise

    def depths(self, queues: Sequence[str]) -> dict[str, int]:
        return {queue: self._depth(queue) for queue in queues}

    def _depth(self, name: str) -> int:
        queue: Any = self._app.amqp.queues[name]
        with self._open().channel() as channel:
            try:
                return int(queue.bind(channel).queue_declare(passive=True).message_count)
            except self._connection.channel_errors:  # not declared yet: no worker was ever there
                return 0

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def _open(self) -> Any:
        if self._connection is None:
            made = self._app.connection_for_write(connect_timeout=2.0)
            made.ensure_connection(max_retries=1, interval_start=0, timeout=2)
            self._connection = made
        return self._connection
