"""What other services may post: each field is taken or refused with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.notices import notice_of, problems, schema

ROOT = Path(__file__).parents[2]


def test_the_page_shows_the_schema_that_the_code_uses() -> None:
    """tasks/schemas/notify.json is the truth; docs/schema/notify.json is its copy for readers."""
    shown = json.loads((ROOT / "docs" / "schema" / "notify.json").read_text(encoding="utf-8"))
    assert shown == schema()


@pytest.mark.parametrize(
    "body",
    [
        {"title": "결제 실패"},
        {"title": "🙂 각각", "text": "{braces} \u202e\n둘째 줄", "severity": "info", "kind": "pay.failed"},
        {"title": "x", "link": "https://console.example/1?a=b", "key": "12", "idempotency_key": "k"},
    ],
)  # fmt: skip
def test_a_good_body_is_taken(body: dict[str, Any]) -> None:
    assert problems(body) == []
    assert notice_of(body).kind.startswith("external")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (None, [""]),
        ([], [""]),
        ("title", [""]),
        ({}, ["title"]),
        ({"title": 7}, ["title"]),
        ({"title": "  "}, ["title"]),
        ({"title": "a\nb"}, ["title"]),
        ({"title": "a\0b"}, ["title"]),
        ({"title": "x" * 201}, ["title"]),
        ({"title": "x" * 10_000_000 + "\n", "text": "\0" * 10_000_000}, ["text", "title"]),
        ({"title": "\ud800"}, ["title"]),
        ({"title": "x", "text": "y" * (10 * 1024 * 1024)}, ["text"]),
        ({"title": "x", "text": None}, ["text"]),
        ({"title": "x", "severity": "fatal"}, ["severity"]),
        ({"title": "x", "kind": "Payment Failed"}, ["kind"]),
        ({"title": "x", "link": "javascript:alert(1)"}, ["link"]),
        ({"title": "x", "key": ""}, ["key"]),
        ({"title": "x", "idempotency_key": 5}, ["idempotency_key"]),
        ({"title": "x", "titel": "y"}, ["titel"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_body_is_refused_field_by_field(body: Any, fields: list[str]) -> None:
    found = problems(body)
    assert sorted({one["field"] for one in found}) == fields
    assert all(one["reason"] and one["right"] for one in found)
    assert len(json.dumps(found)) < 2000


def test_a_service_cannot_speak_for_the_watch() -> None:
    assert notice_of({"title": "x", "kind": "beat.silent"}).kind == "external.beat.silent"
