"""The chaos proxy knows a prepared statement by its text when it is run by its name."""

from __future__ import annotations

import struct

from ops.chaos.proxy import PostgresSpeech

SSL = struct.pack("!II", 8, 80877103)
STARTUP = struct.pack("!II", 17, 196608) + b"user\0me\0\0"


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


PARSE = message(b"P", b"_pg3_0\0SELECT * FROM slot_lease($1)\0\0\0")
BIND = message(b"B", b"\0_pg3_0\0\0\0\0\0")


def started() -> PostgresSpeech:
    speech = PostgresSpeech()
    assert speech.heard(SSL) == b""
    assert speech.heard(STARTUP) == b""
    return speech


def test_a_plain_query_is_heard() -> None:
    assert b"ponr" in started().heard(message(b"Q", b"SELECT part_ponr()\0"))


def test_a_prepared_statement_is_heard_each_time_it_runs_and_not_when_it_is_made() -> None:
    speech = started()
    assert b"slot_lease" not in speech.heard(PARSE)
    assert b"slot_lease" in speech.heard(BIND)
    assert b"slot_lease" in speech.heard(BIND + message(b"S", b""))


def test_messages_that_come_in_pieces_are_put_together() -> None:
    speech = started()
    speech.heard(PARSE[:9])
    speech.heard(PARSE[9:] + BIND[:3])
    assert b"slot_lease" in speech.heard(BIND[3:])


def test_a_reply_is_whole_when_the_server_is_ready_again() -> None:
    speech = started()
    assert not speech.answered(message(b"D", b"row"))
    assert speech.answered(message(b"D", b"row") + message(b"Z", b"I"))
