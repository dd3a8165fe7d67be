"""A Valkey with a replica and three Sentinels, for one test: kill the master, and the replica takes over."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import redis

from ops.local.binaries import valkey_program
from ops.local.ports import HOST
from ops.local.valkey import ValkeyServer
from tests.support.waiting import eventually

MASTER = "jeongsi"
_DOWN_AFTER_MS = 500


class Sentinel(ValkeyServer):
    """A Sentinel that watches one master. Its folder also keeps what it learns."""

    name: ClassVar[str] = "sentinel"

    def __init__(self, folder: Path, master: ValkeyServer, quorum: int) -> None:
        super().__init__(folder, password=master.password)
        self._master = master
        self._quorum = quorum

    def _command(self) -> list[str]:
        told = self.folder / "sentinel.conf"
        text = (
            f"bind {HOST}\nport {self.port}\ndir .\ndaemonize no\nrequirepass {self.password}\n"
            f"sentinel sentinel-pass {self.password}\n"
            f"sentinel monitor {MASTER} {HOST} {self._master.port} {self._quorum}\n"
            f"sentinel auth-pass {MASTER} {self._master.password}\n"
            f"sentinel down-after-milliseconds {MASTER} {_DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {MASTER} 3000\n"
        )
        with os.fdopen(os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        return [str(valkey_program()), told.name, "--sentinel"]


class Sentinels:
    """Master, replica and three Sentinels that agree on them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.master = ValkeyServer(folder / "first")
        self.master.start()
        self.replica = ValkeyServer(folder / "second", password=self.master.password)
        self.watchers: list[Sentinel] = []
        try:
            self._begin(folder)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """What goes into REDIS_URL."""
        hosts = ",".join(f"{HOST}:{one.port}" for one in self.watchers)
        word = self.master.password
        return f"sentinel://:{word}@{hosts}/0?master={MASTER}&sentinel_password={word}"

    def fail_over(self) -> None:
        """Kill the master, and wait until the Sentinels name the replica."""
        self.master.kill()
        eventually(lambda: self._named() == self.replica.port, timeout=40)

    def close(self) -> None:
        for one in (*self.watchers, self.replica, self.master):
            one.kill()

    def _begin(self, folder: Path) -> None:
        self.replica.start()
        with redis.Redis.from_url(self.master.url) as client:
            client.config_set("masterauth", self.master.password)
        with redis.Redis.from_url(self.replica.url) as client:
            client.config_set("masterauth", self.master.password)
            client.replicaof(HOST, str(self.master.port))
            eventually(lambda: client.info("replication")["master_link_status"] == "up", timeout=20)
        for number in range(3):
            self.watchers.append(Sentinel(folder / f"sentinel-{number}", self.master, quorum=2))
            self.watchers[-1].start()
        for one in self.watchers:
            with redis.Redis.from_url(one.url_of(0)) as client:
                eventually(lambda client=client: _sees_all(client), timeout=30)  # type: ignore[misc]

    def _named(self) -> int:
        with redis.Redis.from_url(self.watchers[0].url_of(0)) as client:
            found: Any = client.sentinel_get_master_addr_by_name(MASTER)
        return int(found[1])


def _sees_all(client: redis.Redis) -> bool:
    """The two other Sentinels and the replica."""
    known: Any = client.sentinel_master(MASTER)
    return int(known["num-other-sentinels"]) == 2 and int(known["num-slaves"]) == 1
