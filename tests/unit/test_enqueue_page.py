"""docs/enqueue.md shows the examples that the tests run, and the schemas that the code uses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tasks import schemas

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "enqueue.md").read_text(encoding="utf-8")
NAMES = ("message.schedule", "message.cancel", "notify", "tracking.upload")
_SHOWN = re.compile(r"^<!-- (\S+) -->\n```\w+\n(.*?)^```", re.M | re.S)


def test_the_page_shows_every_example_as_it_is() -> None:
    shown = dict(_SHOWN.findall(PAGE))
    suffixes = (".py", ".js", ".sql", ".php", ".go")
    files = {path for path in (DOCS / "examples").rglob("*") if path.suffix in suffixes}
    files = {path for path in files if not {"node_modules", "import"} & set(path.parts)}
    files = {path for path in files if path.parent.name != "examples"} | {DOCS / "examples/envelope.json"}
    assert shown == {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in files}


@pytest.mark.parametrize("name", NAMES)
def test_the_published_schema_is_the_one_in_use(name: str) -> None:
    published = json.loads((DOCS / "schema" / f"{name.replace('.', '-')}.json").read_text(encoding="utf-8"))
    assert published == schemas.schema(name)
    Draft202012Validator.check_schema(published)
    assert all(field["description"] for field in published["properties"].values())


def test_the_page_names_every_field() -> None:
    section = PAGE.split("## The request")[1].split("\n## ")[0]
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.M) for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(schemas.schema("message.schedule")["properties"])


def test_the_locked_packages_of_the_node_example_name_no_registry() -> None:
    lock = json.loads((DOCS / "examples" / "node" / "package-lock.json").read_text(encoding="utf-8"))
    assert len(lock["packages"]) > 1
    assert not any("resolved" in package for package in lock["packages"].values())


@pytest.mark.parametrize(
    ("name", "request_", "wrong"),
    [
        ("notify", {"title": "t", "text": "x", "severity": "error"}, []),
        ("notify", {"title": "", "severity": "fatal", "x": 1}, ["severity", "title", "x"]),
        ("message.schedule", {"room": "r", "text": None, "priority": "high", "grace": 5.0}, []),
        ("message.schedule", {"priority": "urgent", "a": 1, "b": 2}, ["a", "b", "priority", "room"]),
        ("message.cancel", {"id": "1-1", "idempotency_key": "k"}, ["request"]),
        ("message.cancel", {"id": "1-1"}, []),
        ("tracking.upload", {}, []),
        ("tracking.upload", {"account": "", "dry_run": 1, "redrive": 0}, ["account", "dry_run", "redrive"]),
    ],
)
def test_a_request_is_judged_whole(name: str, request_: dict[str, Any], wrong: list[str]) -> None:
    found = schemas.problems(name, request_)
    assert sorted(error.field for error in found) == wrong
    assert all(error.reason and error.right for error in found)
