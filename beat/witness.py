"""What stands outside the database about it: a record in JEONGSI_HOME and one in Redis, by its id.

A database that was restored cannot know what it forgot; these can. Either may be lost. Nothing here decides:
`beat/instance.py` does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis

from models.ledger.instance import Body
from runtime import redis_keys
from runtime.redis_client import lock_redis

_FILE = "instance.json"
#: Several beats write: a record that lies further is left alone, so that a slow one never sets it back.
_KEEP_FURTHEST = """
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held then
  local ok, found = pcall(cjson.decode, held)
  if ok and type(found) == 'table' and tonumber(found.mark) and tonumber(found.mark) > tonumber(ARGV[2]) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""  # noqa: E501


@dataclass(frozen=True, slots=True)
class Record:
    """A database as a beat last saw it. ``at``: the ledger's time of the mark, ISO 8601.

    ``home`` and ``inode``: the folder of whoever wrote it; a copy of it has another of both.
    """

    id: str
    mark: int
    word: str
    at: str
    system: int
    database: int
    timeline: int
    sync: bool
    home: str
    inode: int

    @property
    def body(self) -> Body:
        """Where the database lived then."""
        return Body(self.system, self.database, self.timeline)


@dataclass(frozen=True, slots=True)
class Seen:
    """All records that could be read, by place. ``silent``: Redis did not answer, so it may know more."""

    home: Sequence[Record]
    redis: Sequence[Record]
    silent: bool = False

    def of(self, id_: str) -> list[Record]:
        """What the furthest records of one database say; usually one record, in two places."""
        own = [record for record in (*self.home, *self.redis) if record.id == id_]
        furthest = max((record.mark for record in own), default=0)
        return [record for record in own if record.mark == furthest]

    def of_others(self, id_: str) -> list[Record]:
        """Those of other databases."""
        return [record for record in (*self.home, *self.redis) if record.id != id_]


class Witnesses:
    """Reads and writes the records of one home and its Redis."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._file = home / _FILE

    def read(self) -> Seen:
        """What can be read now. Never raises: what is unreadable knows nothing."""
        try:
            held: Any = lock_redis().hgetall(redis_keys.instances())
            return Seen(self._read_file(), _records(map(_loaded, held.values())))
        except redis.RedisError:
            return Seen(self._read_file(), [], silent=True)

    def write(self, record: Record) -> None:
        """Keep a record in both places. Never raises: one of them may be away, and the other will do."""
        with suppress(redis.RedisError):
            text = json.dumps(asdict(record))
            lock_redis().eval(_KEEP_FURTHEST, 1, redis_keys.instances(), record.id, str(record.mark), text)
        with suppress(OSError):
            self._write_file(record)

    def place(self) -> tuple[str, int]:
        """The folder and its number in the file system."""
        self._home.mkdir(parents=True, exist_ok=True)
        return str(self._home), self._home.stat().st_ino

    def is_copied(self, record: Record) -> bool:
        """Whether the record was written in another folder: this one is a copy of it."""
        home, inode = self.place()
        return record.home != home and record.inode != inode

    def _read_file(self) -> list[Record]:
        with suppress(OSError, ValueError):
            held = json.loads(self._file.read_text(encoding="utf-8"))
            return _records(held.values()) if isinstance(held, dict) else []
        return []

    def _write_file(self, record: Record) -> None:
        """Whole or not at all, also after a power cut."""
        held = {one.id: asdict(one) for one in self._read_file()}
        if held.get(record.id, {}).get("mark", 0) > record.mark:
            return
        held[record.id] = asdict(record)
        half = self._file.with_name(f"{_FILE}.{os.getpid()}")
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(held, file)
            file.flush()
            os.fsync(file.fileno())
        half.replace(self._file)
        folder = os.open(self._home, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _loaded(text: str) -> object:
    with suppress(ValueError):
        return json.loads(text)
    return None


def _records(values: Iterable[object]) -> list[Record]:
    """The readable ones."""
    found = []
    for value in values:
        with suppress(KeyError, TypeError, ValueError):
            if isinstance(value, Mapping):
                found.append(Record(**{**value, "mark": int(value["mark"])}))
    return found
