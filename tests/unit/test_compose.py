"""docker-compose.yml and Dockerfile, by parser, schema and rule: no container engine runs here."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from celery.bin.celery import celery as celery_command
from typer.main import get_command

from ops import health
from ops.cli.app import app as jeongsi
from runtime.environment import PREFIX, variable
from runtime.settings import Settings
from workers.application import QUEUES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if "build" in one}
PINNED = re.compile(r"^[a-z0-9./-]+:\d+(\.\d+)+([-.][a-z0-9.]+)*$")

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=list(SERVICES))
each_of_ours = pytest.mark.parametrize("service", OURS.values(), ids=list(OURS))


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continuation lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_compose_file_keeps_to_the_specification() -> None:
    schema = json.loads((ROOT / "tests" / "fixtures" / "compose-schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(COMPOSE, schema)


def test_every_part_of_the_system_is_there_and_the_beat_twice() -> None:
    assert {"postgres", "redis", "beat", "send", "confirm", "notify", "tracking", "flower"} <= set(SERVICES)
    assert SERVICES["beat"]["deploy"]["replicas"] == 2


def test_only_senders_of_which_nothing_is_unique_are_scaled() -> None:
    """`--scale send=8` needs a service without a fixed name or a published port."""
    assert "ports" not in SERVICES["send"]
    assert "container_name" not in SERVICES["send"]


@each_service
def test_an_image_is_pinned_to_a_version(service: dict[str, Any]) -> None:
    assert PINNED.match(service["image"]), service["image"]


@each_service
def test_what_runs_on_is_watched_by_a_health_check(service: dict[str, Any]) -> None:
    runs_on = not service["restart"].startswith("on-failure")
    assert runs_on == ("test" in service["healthcheck"])


@each_service
def test_nothing_listens_outside_this_machine(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@each_service
def test_what_a_service_refers_to_exists(service: dict[str, Any]) -> None:
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"])


@each_service
def test_a_process_is_waited_for_only_where_its_end_or_health_is_known(service: dict[str, Any]) -> None:
    for name, wait in service.get("depends_on", {}).items():
        ends = "disable" in SERVICES[name]["healthcheck"]
        assert wait["condition"] == ("service_completed_successfully" if ends else "service_healthy")


def test_secrets_come_from_the_environment_and_are_asked_for_by_name() -> None:
    for found in re.findall(r"\$\{([^}]*)\}", TEXT):
        assert re.match(r"^([A-Z_]+):\?put \1 into \.env$", found), found
    for line in TEXT.splitlines():
        if re.search(r"_PASSWORD:", line):
            assert "${" in line or "$$" in line, line


def test_the_broker_keeps_its_messages_and_evicts_none() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    for setting in ("appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction", "requirepass"):
        assert setting in command
    assert "exec redis-server" in command


def test_the_database_is_korean_and_sorts_as_the_local_one() -> None:
    assert "timezone=Asia/Seoul" in SERVICES["postgres"]["command"]
    made_with = SERVICES["postgres"]["environment"]["POSTGRES_INITDB_ARGS"]
    assert made_with == "--encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8"


@each_of_ours
def test_a_variable_of_ours_is_a_setting(service: dict[str, Any]) -> None:
    known = {variable(field) for field in Settings.model_fields}
    ours = {name for name in service["environment"] if name.startswith(PREFIX)}
    assert ours <= known
    assert {"DATABASE_URL", "REDIS_URL"} <= set(service["environment"])


@each_of_ours
def test_a_command_is_one_that_exists_with_options_it_knows(service: dict[str, Any]) -> None:
    program, *words = service["command"]
    root: Any = celery_command if program == "celery" else get_command(jeongsi)
    if program == "celery":
        assert words[:2] == ["-A", "workers"]
        words = words[2:]
    while words and words[0] in getattr(root, "commands", {}):
        root = root.commands[words.pop(0)]
    assert not getattr(root, "commands", None), f"{service['command']} names no command"
    if root.name != "flower":  # Flower reads its options itself
        root.make_context(root.name, list(words), resilient_parsing=True)


def test_every_queue_is_taken_from_by_one_kind_of_worker() -> None:
    taken = [
        queue
        for one in OURS.values()
        if "-Q" in one["command"]
        for queue in one["command"][one["command"].index("-Q") + 1].split(",")
    ]
    assert sorted(taken) == sorted(QUEUES)


@each_of_ours
def test_a_health_check_asks_for_what_the_service_does(service: dict[str, Any]) -> None:
    test = service["healthcheck"].get("test")
    if test is None:
        return
    assert test[:4] == ["CMD", "python", "-m", "ops.health"]
    command = service["command"]
    if "-Q" in command:
        assert test[4:] == ["worker", command[command.index("-Q") + 1].split(",")[0]]
    else:
        assert test[4:] == [command[3]]


def test_an_unknown_health_check_is_unhealthy_and_says_what_there_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert health.main(["gateway"]) == 1
    assert "beat | worker QUEUE | flower" in capsys.readouterr().out


def test_the_image_is_built_from_the_locked_requirements_on_the_python_we_support() -> None:
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert set(bases) == {f"python:{wanted.removeprefix('>=')}-slim-bookworm"}
    assert any("pip install --require-hashes -r requirements.txt" in rest for _, rest in instructions())


def test_the_image_runs_as_an_ordinary_user_and_takes_signals_itself() -> None:
    last = [word for word, _ in instructions()][::-1]
    final = instructions()[len(last) - 1 - last.index("FROM") :]
    assert ("USER", "jeongsi") in final
    assert json.loads(dict(final)["CMD"])[0] == "celery"


def test_everything_the_image_copies_exists_and_passes_the_ignore_file() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    sources = {source for line in copied for source in line}
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)


def test_the_image_holds_every_room_of_the_project() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    rooms = {name.rstrip("*") for name in config["tool"]["setuptools"]["packages"]["find"]["include"]}
    copied = {rest.split()[0] for word, rest in instructions() if word == "COPY"}
    assert rooms <= copied
