"""Outcomes, capabilities and parts as values, and the pieces of classification that need no socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from gateways.answer import ANSWER_MAX_BYTES, kept
from gateways.capabilities import Capabilities
from gateways.classify import retry_after_s
from gateways.http import Reply
from gateways.message import ImageBytes, PartToSend
from gateways.outcomes import Accepted, NotSent, Outcome, RejectedFinal, RejectedRetry, Unknown
from runtime.clock import ManualClock, set_clock

TOKEN = "t0k3n-value"


@pytest.fixture(autouse=True)
def _noon() -> Iterator[None]:
    set_clock(ManualClock(datetime(2026, 11, 21, 12, 0, tzinfo=UTC)))
    yield
    set_clock(None)


def test_each_outcome_has_its_stable_kind() -> None:
    kinds = [one("x").kind for one in (Accepted, NotSent, RejectedRetry, RejectedFinal, Unknown)]
    assert kinds == ["accepted", "not_sent", "rejected_retry", "rejected_final", "unknown"]


def test_outcomes_of_different_kinds_are_never_equal() -> None:
    outcomes: list[Outcome] = [NotSent("reset"), Unknown("reset")]
    assert outcomes[0] != outcomes[1]
    assert Unknown("reset") == Unknown("reset")


@pytest.mark.parametrize(
    ("idempotency", "lookup", "kind"),
    [(True, True, "key"), (True, False, "key"), (False, True, "lookup"), (False, False, "none")],
)
def test_the_kind_of_a_provider_follows_from_what_it_can_do(
    idempotency: bool, lookup: bool, kind: str
) -> None:
    assert Capabilities(idempotency=idempotency, lookup_by_key=lookup).kind == kind


def test_a_part_is_a_text_or_an_image_and_never_both() -> None:
    image = ImageBytes(b"secret bytes", "image/png", "a.png")
    assert "secret" not in repr(PartToSend("image", None, image, "k", UUID(int=1)))
    for kind, text, one in (
        ("text", None, image),
        ("image", "x", None),
        ("text", "x", image),
        ("text", None, None),
    ):
        with pytest.raises(ValueError, match="exactly one"):
            PartToSend(kind, text, one, "k", UUID(int=1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("0", 0.0),
        ("12", 12.0),
        ("1.5", 1.5),
        ("-3", None),
        ("1e9", None),
        ("9999999999", 86_400.0),
        ("٣", None),
        ("soon", None),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str, seconds: float | None) -> None:
    reply = Reply(429, CaseInsensitiveDict({"retry-after": header}), b"", cut=False, wrote_after_ms=None)
    assert retry_after_s(reply) == seconds


def test_an_answer_is_kept_as_json_with_its_secrets_masked() -> None:
    body = {
        "message_id": "m-1",
        "access_token": TOKEN,
        "deep": [{"Authorization": TOKEN}],
        "note": f"Bearer {TOKEN}",
    }
    answer = kept(200, json.dumps(body).encode())
    assert answer["status"] == 200
    assert answer["body"]["message_id"] == "m-1"
    assert TOKEN not in json.dumps(answer)


def test_an_answer_that_is_no_json_is_kept_as_text() -> None:
    assert kept(502, b"<h1>Bad Gateway</h1>", location="/x") == {
        "status": 502,
        "location": "/x",
        "text": "<h1>Bad Gateway</h1>",
    }
    assert kept(None, b"") == {}


@given(st.one_of(st.binary(max_size=20_000), st.text(max_size=20_000).map(str.encode)))
def test_any_body_is_kept_as_json_that_postgres_takes(body: bytes) -> None:
    assert_storable(kept(200, body))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_any_json_is_kept_as_json_that_postgres_takes(value: object) -> None:
    assert_storable(kept(200, json.dumps(value).encode()))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"\x01" * 9000,
        "가".encode() * 9000,
        json.dumps({"text": "\ud800" + "나" * 9000}).encode(),
        json.dumps({"\x00": "\x00"}).encode(),
        json.dumps([[]] * 5000).encode(),
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
    ids=["deep", "control", "long", "surrogate", "nul", "wide", "a long number"],
)
def test_a_hostile_body_is_kept_small(body: bytes) -> None:
    assert_storable(kept(200, body))


def assert_storable(answer: dict[str, object]) -> None:
    text = json.dumps(answer, ensure_ascii=False, allow_nan=False)
    assert len(text.encode()) <= ANSWER_MAX_BYTES
    assert "\\u0000" not in text
    assert "\\u0000" not in json.dumps(answer)
