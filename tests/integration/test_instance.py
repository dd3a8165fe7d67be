"""A database that no beat has vouched for lets nothing out, whoever asks; a person's release does."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from beat.instance import Keeper
from beat.witness import Witnesses
from models.ledger import beat, instance
from models.ledger.worker import poll
from models.states import AttemptOutcome, Phase, SlotState
from ops.audit import audit
from ops.local.account import unprivileged
from ops.local.binaries import postgres_programs
from ops.why import why
from runtime import redis_keys
from runtime.events import Event, captured
from runtime.ids import SlotId
from runtime.settings import get_settings
from tests.support import databases
from tests.support.cli import jeongsi
from tests.support.run import Run
from tests.support.waiting import eventually
from tests.support.world import World

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def world(pg: psycopg.Connection[Any], env: dict[str, str]) -> World:
    """Time stands at nine, and a beat has marked the database; one room, no gap."""
    world = World(pg)
    world.room("방1", gap_ms=0)
    beat_once(world)
    return world


@pytest.fixture
def keeper(env: dict[str, str]) -> Iterator[Keeper]:
    one = Keeper(get_settings())
    yield one
    one.close(5)


def beat_once(world: World) -> None:
    """A beat marks the database now."""
    assert instance.advance(world.db) is not None


def held(db: psycopg.Connection[Any]) -> bool:
    row = db.execute("SELECT ledger_held()").fetchone()
    assert row is not None
    return bool(row[0])


def look(heard: Event) -> None:
    """A beat starts, looks once and says this."""
    with captured() as told:
        one = Keeper(get_settings())
        try:
            eventually(lambda: told, timeout=20)
        finally:
            one.close(5)
    assert told[0][0] is heard, told


def restored(run: Run, url: str, folder: Path) -> str:
    """A dump of a database taken by `pg_dump`, restored into a new one."""
    name = urlsplit(url).path.strip("/")
    dump = folder / "dump.sql"
    _run("pg_dump", url, "--file", str(dump))
    copy = f"{name}_restored"
    with databases.connect(run.database_url) as admin:
        admin.execute(f'CREATE DATABASE "{copy}" TEMPLATE template0'.encode())
    made = databases.with_database(url, copy)
    _run("psql", made, "--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(dump))
    return made


def _run(program: str, url: str, *arguments: str) -> None:
    bin_ = postgres_programs(unprivileged())
    done = subprocess.run(
        [str(bin_ / program), *arguments, url], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_held_database_gives_no_lease_no_point_of_no_return_and_no_hint(world: World) -> None:
    queued, running, waits = world.once(in_s=60), world.once(in_s=61), world.once(in_s=80)
    world.advance(70)
    assert set(world.dispatch()) == {queued, running}
    world.advance(20)
    taken = world.take(running)

    assert instance.hold(world.db, "a drill")

    assert [one.verdict for one in world.lease(queued, waits)] == ["held", "held"]
    assert [one.verdict for one in world.ponr(world.ask(taken))] == ["held"]
    assert poll(world.db, Phase.SEND, 10) == []
    assert world.dispatch() == []
    assert beat.republish(world.db, "send", 10, 5, publish=True) == []
    assert world.state(waits)[0] == SlotState.PLANNED


def test_while_held_nothing_is_called_expired_skipped_or_due(world: World) -> None:
    slot = world.once(in_s=60)
    schedule = world.daily(at="12:00")
    instance.hold(world.db, "a drill")
    world.advance(4 * 3600)

    assert beat.expire(world.db, 10) == 0
    assert beat.coalesce(world.db, 1, 10) == 0
    assert beat.reap(world.db, 10) == []
    assert world.lay_down() == []
    agenda = beat.agenda(world.db)
    assert (agenda.dispatch_at, agenda.expire_at, agenda.plan_at) == (None, None, None)
    assert world.state(slot) == ("planned", None)
    assert world.rows("SELECT 1 FROM slots WHERE schedule_id = %s", schedule) == []


def test_what_is_on_its_way_when_it_is_held_is_still_finished(world: World) -> None:
    slot = world.once(in_s=60)
    world.go_to(slot)
    world.dispatch()
    passed = world.go(world.take(slot))
    instance.hold(world.db, "a drill")
    assert world.say(passed, AttemptOutcome.ACCEPTED) == "ok"
    assert world.settle(passed, SlotState.DELIVERED, "accepted")
    assert world.state(slot)[0] == "delivered"


def test_a_release_leaves_the_past_to_a_person_and_lets_the_future_go_out(world: World) -> None:
    past, soon = world.once(in_s=60), world.once(in_s=4 * 3600)
    noon = SlotId(world.daily(at="10:00"), world.now.replace(hour=10))
    instance.hold(world.db, "a drill")
    world.advance(2 * 3600)

    assert instance.release(world.db, "unresolved", "the original is off", "kim") == 1

    assert world.state(past) == ("unresolved", "restored")
    world.lay_down()
    assert world.state(noon) == ("unresolved", "restored")
    world.advance(2 * 3600)
    world.lay_down()
    assert world.state(soon) == ("planned", None)
    beat.expire(world.db, 10)
    assert world.dispatch() == [soon]
    (kept,) = world.rows("SELECT detail FROM incidents WHERE kind = 'instance_released'")
    assert kept["detail"]["who"] == "kim"
    assert kept["detail"]["why"] == "the original is off"


def test_what_was_over_an_hour_before_the_last_mark_is_not_in_doubt(world: World) -> None:
    noon = SlotId(world.daily(at="12:00"), world.now.replace(hour=12))
    world.go_to(world.now.replace(hour=14))
    beat_once(world)
    instance.hold(world.db, "a drill")
    instance.release(world.db, "unresolved", "", "kim")
    world.lay_down()
    assert world.state(noon) == ("expired", "scheduler_down")


def test_a_schedule_that_was_made_after_the_release_is_not_in_doubt(world: World) -> None:
    instance.hold(world.db, "a drill")
    instance.release(world.db, "unresolved", "", "kim")
    world.advance(30)
    slot = world.once(in_s=-60)
    assert slot.slot_at < world.now - MINUTE / 2
    assert world.state(slot) == ("planned", None)


@pytest.mark.parametrize(("past", "ends"), [("send", ("queued", None)), ("expire", ("expired", "restored"))])
def test_a_person_may_say_otherwise(world: World, past: instance.Past, ends: tuple[str, str | None]) -> None:
    slot = world.once(in_s=60)
    instance.hold(world.db, "a drill")
    world.advance(90)
    instance.release(world.db, past, "", "kim")
    beat.expire(world.db, 10)
    world.dispatch()
    assert world.state(slot) == ends


def test_what_was_all_on_its_way_is_looked_up_and_not_left_to_a_person(world: World) -> None:
    slot = world.once(in_s=60)
    world.go_to(slot)
    world.dispatch()
    world.go(world.take(slot))
    beat_once(world)
    instance.hold(world.db, "a drill")
    world.advance(120)
    assert instance.release(world.db, "unresolved", "", "kim") == 0
    beat.reap(world.db, 10)
    assert world.rows("SELECT state, phase FROM slots") == [{"state": "waiting", "phase": "confirm"}]


def test_a_restored_slot_that_is_sent_again_is_marked_as_perhaps_the_second(world: World) -> None:
    slot = world.once(in_s=60)
    instance.hold(world.db, "a drill")
    world.advance(90)
    instance.release(world.db, "unresolved", "", "kim")
    answer = jeongsi("slot", "resolve", slot, "--resend", "--note", "방에 없음")
    assert answer.code == 0, answer.said
    assert world.rows("SELECT dup_risk FROM slots WHERE origin = 'resend'") == [{"dup_risk": True}]


def test_the_audit_of_a_released_database_is_clean(world: World) -> None:
    world.once(in_s=60)
    instance.hold(world.db, "a drill")
    world.advance(400)
    assert audit(world.db).ok
    instance.release(world.db, "unresolved", "", "kim")
    world.tick()
    report = audit(world.db)
    assert report.ok, report.as_json()


def test_a_dump_that_is_restored_is_held_until_a_beat_looked_and_then_by_a_reason(
    world: World, env: dict[str, str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.once(in_s=60)
    look(Event.INSTANCE_VOUCHED)
    made = restored(run, env["DATABASE_URL"], tmp_path)
    try:
        with databases.connect(made) as copy:
            assert held(copy)
            monkeypatch.setenv("DATABASE_URL", made)
            _forget()
            look(Event.INSTANCE_HELD)
            standing = instance.standing(copy)
            assert standing is not None
            assert "restored or copied" in str(standing.held_reason)
            row = copy.execute("SELECT state FROM slots").fetchone()
            assert row == ("planned",)
        assert not held(world.db)
    finally:
        _forget()
        with databases.connect(run.database_url) as admin:
            admin.execute(f'DROP DATABASE "{urlsplit(made).path.strip("/")}" WITH (FORCE)'.encode())


def _forget() -> None:
    from tests.support.environment import clear_caches

    clear_caches()


def test_the_same_database_set_back_in_time_is_held_before_anybody_looks(
    world: World, env: dict[str, str], tmp_path: Path
) -> None:
    look(Event.INSTANCE_VOUCHED)
    dump = tmp_path / "dump.sql"
    url = env["DATABASE_URL"]
    _run("pg_dump", url, "--file", str(dump))
    look(Event.INSTANCE_VOUCHED)
    world.once(in_s=60)
    world.db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    _run("psql", url, "--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(dump))

    assert held(world.db)
    world.once(in_s=60)  # in the time after the dump it, too, had a past
    look(Event.INSTANCE_HELD)
    assert "set back" in jeongsi("instance", "show").out


def test_a_clone_by_template_is_held_before_anybody_looks(
    world: World, env: dict[str, str], run: Run
) -> None:
    look(Event.INSTANCE_VOUCHED)
    name = urlsplit(env["DATABASE_URL"]).path.strip("/")
    world.db.close()
    _forget()
    with databases.connect(run.database_url) as admin:
        admin.execute(f'CREATE DATABASE "{name}_clone" TEMPLATE "{name}" STRATEGY FILE_COPY'.encode())
        try:
            with databases.connect(databases.with_database(run.database_url, f"{name}_clone")) as clone:
                assert held(clone)
            with databases.connect(env["DATABASE_URL"]) as original:
                assert not held(original)
        finally:
            admin.execute(f'DROP DATABASE "{name}_clone" WITH (FORCE)'.encode())


@pytest.mark.parametrize("lost", ["redis", "home"])
def test_one_lost_record_is_written_anew(world: World, home: Path, env: dict[str, str], lost: str) -> None:
    world.once(in_s=60)
    look(Event.INSTANCE_VOUCHED)
    client = redis.Redis.from_url(env["REDIS_URL"])
    if lost == "redis":
        client.delete(redis_keys.instances())
    else:
        (home / "instance.json").unlink()
    break_the_seal(world)
    look(Event.INSTANCE_VOUCHED)
    seen = Witnesses(home).read()
    assert [len(seen.home), len(seen.redis)] == [1, 1]
    client.close()


def break_the_seal(world: World) -> None:
    """As after a start of the server."""
    world.db.execute("UPDATE instance SET seal_start = NULL")
    assert held(world.db)


def test_both_records_lost_hold_a_database_whose_server_has_started_anew(
    world: World, home: Path, env: dict[str, str]
) -> None:
    world.once(in_s=60)
    look(Event.INSTANCE_VOUCHED)
    redis.Redis.from_url(env["REDIS_URL"]).delete(redis_keys.instances())
    (home / "instance.json").unlink()
    look(Event.INSTANCE_VOUCHED)  # the seal is whole
    redis.Redis.from_url(env["REDIS_URL"]).delete(redis_keys.instances())
    (home / "instance.json").unlink()
    break_the_seal(world)
    look(Event.INSTANCE_HELD)
    assert not (home / "instance.json").exists()  # a held database writes no record


def test_a_beat_that_runs_remembers_by_itself(
    world: World, home: Path, keeper: Keeper, env: dict[str, str]
) -> None:
    world.once(in_s=60)
    eventually(lambda: (home / "instance.json").exists(), timeout=20)
    redis.Redis.from_url(env["REDIS_URL"]).delete(redis_keys.instances())
    (home / "instance.json").unlink()
    world.db.execute("UPDATE instance SET seal_start = NULL")
    eventually(lambda: not held(world.db) and (home / "instance.json").exists(), timeout=20)


def test_show_doctor_and_why_name_the_hold_and_the_command_that_ends_it(world: World) -> None:
    slot = world.once(in_s=60)
    assert jeongsi("instance", "show", "--json").json["held"] is False
    assert jeongsi("instance", "hold", "--note", "복원 준비", "--as", "kim").code == 0
    world.advance(60)

    shown = jeongsi("instance", "show").out
    assert "kim: 복원 준비" in shown
    assert "jeongsi instance release" in shown
    (finding,) = [one for one in jeongsi("doctor", "--json").json["checks"] if one["check"] == "instance"]
    assert finding["level"] == "fail"
    assert "jeongsi instance release" in finding["todo"]
    (gate,) = [one for one in why(world.db, slot) if one.decisive]
    assert (gate.name, gate.verdict) == ("dispatched", "not reached")
    assert "jeongsi instance release" in gate.evidence

    assert jeongsi("instance", "release", "--note", "끝").code == 2  # nobody was asked
    assert jeongsi("instance", "release", "--note", "끝", "--past", "nothing", "--yes").code == 2
    answer = jeongsi("instance", "release", "--note", "끝", "--as", "kim", "--yes")
    assert answer.code == 0, answer.said
    assert "1 slots of the past were closed" in answer.out
    assert jeongsi("instance", "release", "--note", "끝", "--yes").code == 1
    assert "kim: 끝" in jeongsi("instance", "show").out
    (gate,) = [one for one in why(world.db, slot) if one.decisive]
    assert "had forgotten whether it was sent" in gate.evidence
