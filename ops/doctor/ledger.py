"""What the database says: version, schema, clock, partitions, beats, what waits for a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import psycopg

from models import migrate
from models.ledger import instance
from ops.doctor.finding import Finding, fail, ok, warn
from runtime.clock import clock
from runtime.settings import Settings

Connection = psycopg.Connection[Any]

OLDEST: Final = 15
CLOCK_WARN_MS: Final = 250.0
CLOCK_FAIL_MS: Final = 2_000.0
BEAT_S: Final = 5.0


def findings(db: Connection, settings: Settings) -> Iterator[Finding]:
    """Everything that can be asked of a database that answers."""
    yield _version(db)
    yield _clock(db)
    try:
        migrate.check(db)
    except migrate.MigrationNeeded as needed:
        yield fail("migrations", str(needed), "run `jeongsi db upgrade`")
        return
    yield ok("migrations", "this version's tables and functions")
    yield _instance(db)
    yield _zone(db)
    yield _partitions(db)
    yield _beats(db)
    yield from _channels(db, settings)
    yield _broken_schedules(db)
    yield _unresolved(db)
    yield _notice_targets(db, settings)


def _one(db: Connection, statement: str, *values: object) -> Any:
    row = db.execute(statement.encode(), values).fetchone()
    return None if row is None else row[0]


def _version(db: Connection) -> Finding:
    found = f"PostgreSQL {_one(db, 'SHOW server_version')} at {db.info.host}:{db.info.port}/{db.info.dbname}"
    if db.info.server_version < OLDEST * 10_000:
        return fail("database", f"{found} is too old", f"use PostgreSQL {OLDEST} or newer")
    return ok("database", found)


def _clock(db: Connection) -> Finding:
    """The host's clock against the database's, by the quickest of five questions."""
    best_ms, offset_ms = float("inf"), 0.0
    for _ in range(5):
        before, start = clock().now(), clock().monotonic()
        there = _one(db, "SELECT clock_timestamp()")
        took = clock().monotonic() - start
        if took * 1000 < best_ms:
            best_ms = took * 1000
            offset_ms = (there - before - timedelta(seconds=took / 2)).total_seconds() * 1000
    side = "ahead of" if offset_ms > 0 else "behind"
    found = f"the database is {abs(offset_ms):.1f} ms {side} this host (± {best_ms / 2:.1f})"
    todo = (
        "run a time service (chrony) on both; the database's clock decides, so sending itself stays on time"
    )
    if abs(offset_ms) >= CLOCK_FAIL_MS:
        return fail("clocks", found, todo)
    return warn("clocks", found, todo) if abs(offset_ms) >= CLOCK_WARN_MS else ok("clocks", found)


def _instance(db: Connection) -> Finding:
    """Whether anything may leave this database."""
    found = instance.standing(db)
    if found is None:
        todo = "run `INSERT INTO instance DEFAULT VALUES` as the database's owner"
        return fail("instance", "its row is missing: nothing is sent", todo)
    if found.held_at is not None:
        todo = "look with `jeongsi instance show`, then `jeongsi instance release --note …`"
        return fail("instance", f"nothing is sent: {found.held_reason}", todo)
    if found.held:
        todo = "start a beat, and see that it reaches Redis or has its JEONGSI_HOME: it looks and vouches"
        return fail("instance", "no beat has looked at this database since its server started", todo)
    return ok("instance", f"vouched for, mark {found.mark}")


def _zone(db: Connection) -> Finding:
    zone = _one(db, "SHOW TimeZone")
    if zone in ("Asia/Seoul", "ROK"):
        return ok("time zone", f"the database's own is {zone}")
    todo = f"ALTER DATABASE {db.info.dbname} SET TimeZone = 'Asia/Seoul'"
    return warn("time zone", f"the database's own is {zone}, so raw SQL without offset means {zone}", todo)


def _partitions(db: Connection) -> Finding:
    ahead = _one(
        db,
        "SELECT max((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \\(''([^'']+)''\\)'))[1]"
        "::timestamptz) - ledger_now() FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'slots'::regclass",
    )
    days = -1.0 if ahead is None else ahead.total_seconds() / 86_400
    found = f"slots can be laid down {max(days, 0):.0f} days ahead"
    todo = "run `jeongsi db upgrade` now, and see that the upkeep jobs run (`jeongsi doctor`: beats)"
    if days < 2:
        return fail("partitions", found, todo)
    return warn("partitions", found, todo) if days < 8 else ok("partitions", found)


def _beats(db: Connection) -> Finding:
    rows = db.execute(
        "SELECT node, extract(epoch FROM ledger_now() - last_tick_at)::float8 FROM beat_pulse ORDER BY 2"
    ).fetchall()
    alive = [node for node, age in rows if age <= BEAT_S]
    if alive:
        found = f"{len(alive)} alive, last tick {rows[0][1]:.1f} s ago"
        return (
            ok("beats", found)
            if len(alive) > 1
            else warn("beats", found, "start a second one: any number may run")
        )
    last = f"the last tick was {rows[0][1]:.0f} s ago" if rows else "none has ever ticked"
    return fail("beats", f"none is alive; {last}", "start one: `make up`, or `celery -A workers beat`")


def _channels(db: Connection, settings: Settings) -> Iterator[Finding]:
    used = [row[0] for row in db.execute("SELECT DISTINCT channel FROM rooms ORDER BY 1").fetchall()]
    missing = [name for name in used if name not in settings.channels()]
    if missing:
        todo = "add them to KAKAO_BOT_URL here and on every worker, or `jeongsi room set ROOM --channel …`"
        yield fail("channels", f"rooms use {', '.join(missing)}, which no setting knows", todo)
    else:
        yield ok("channels", f"{len(used)} used by rooms, all known" if used else "no room yet")


def _broken_schedules(db: Connection) -> Finding:
    broken = _one(db, "SELECT count(*) FROM kb_schedule WHERE status = 'error' AND deleted_at IS NULL")
    if broken:
        return warn("schedules", f"{broken} cannot run", "see `jeongsi schedule list --status error`")
    return ok("schedules", "none is broken")


def _notice_targets(db: Connection, settings: Settings) -> Finding:
    """Targets that are off, or fail, and addresses of the settings that nobody can read."""
    from gateways.notices import BadAddress, parse
    from tasks.notice_delivery import urls

    rows = db.execute(
        "SELECT name, enabled, coalesce(disabled_reason, last_error, ''), failures FROM notice_targets"
        " ORDER BY name"
    ).fetchall()
    off = [f"{name}: off, {why}" for name, enabled, why, _ in rows if not enabled]
    off += [f"{name}: {why}, {n} failures" for name, enabled, why, n in rows if enabled and n > 0]
    for number, url in enumerate(urls(settings), 1):
        try:
            parse(url, settings)
        except BadAddress as wrong:
            off.append(f"JEONGSI_NOTICE_URLS, number {number}: {wrong}")
    if off:
        todo = "mend the address, then `jeongsi notice enable NAME`; `jeongsi notice test NAME` tries it"
        return warn("notices", "; ".join(off), todo)
    return ok("notices", f"{_counted(len(rows))}, none in trouble" if rows else "no target")


def _counted(targets: int) -> str:
    return "1 target" if targets == 1 else f"{targets} targets"


def _unresolved(db: Connection) -> Finding:
    number = _one(db, "SELECT count(*) FROM slots WHERE state = 'unresolved' AND cleared_at IS NULL")
    if number:
        return warn("unresolved", f"{number} may have arrived", "see `jeongsi slot list --unresolved`")
    return ok("unresolved", "nothing waits for a person")
