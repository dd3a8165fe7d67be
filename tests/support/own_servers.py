"""A Postgres and a Valkey for one test alone, which it may stop, flush and kill."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from models import migrate
from ops.local.postgres import PostgresServer
from ops.local.valkey import ValkeyServer
from tests.support.databases import vouch_for
from tests.support.run import Run, exclusive


@dataclass
class OwnServers:
    """Both run with the settings of `make up` (fsync on, AOF every second) and DEBUG allowed on Valkey."""

    postgres: PostgresServer
    valkey: ValkeyServer

    @property
    def database_url(self) -> str:
        """A migrated database."""
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        return self.valkey.url

    def close(self) -> None:
        self.postgres.kill()
        self.valkey.kill()


def start(run: Run, folder: Path) -> OwnServers:
    """Start both; Postgres on a copy of a migrated data folder that the run makes once (0.2 s, not 1 s)."""
    copy = folder / "postgres"
    subprocess.run(["cp", "-a", str(_golden(run)), str(copy)], check=True)
    (copy / "server.json").unlink()
    servers = OwnServers(PostgresServer(copy), ValkeyServer(folder / "valkey", debug=True))
    try:
        servers.postgres.start()
        servers.valkey.start()
        vouch_for(servers.database_url)
    except BaseException:
        servers.close()
        raise
    return servers


def _golden(run: Run) -> Path:
    golden = run.cached("golden-postgres")
    with exclusive(run.cached("golden.lock")):
        if not golden.exists():
            half = PostgresServer(golden.with_name("golden-half"), durable=False)
            half.start()
            migrate.upgrade(half.url)
            half.stop()
            half.folder.rename(golden)
    return golden
