"""Files of other systems are read as their own programs read them: whatever was written comes out again."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beat.schedule_form import Checked, RoomFacts, ScheduleForm, check
from ops.exchange import crontab, csv_format, json_format
from ops.exchange.columns import WRITABLE, column_of
from ops.exchange.fields import row_of
from ops.exchange.mysql_dump import Dump
from ops.exchange.mysql_tokens import statements, tokens
from ops.exchange.source import format_of, opened
from ops.exchange.values import BadFile, Place, Record, Row

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
CELL = st.none() | TEXT
NOW = datetime(2026, 11, 26, tzinfo=UTC)
SPECIAL = {"\0": "\\0", "'": "\\'", '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\x1a": "\\Z"}


def quoted(value: str | None, doubled: bool) -> str:
    """A MySQL literal, with backslashes as mysqldump or with doubled quotes as phpMyAdmin writes it."""
    if value is None:
        return "NULL"
    if doubled:
        return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    return "'" + "".join(SPECIAL.get(sign, sign) for sign in value) + "'"


def records(dump: str) -> list[Record]:
    return list(Dump(io.StringIO(dump)).read())


def row(**values: Any) -> Row:
    return row_of(Record(Place(1), values), ScheduleForm(title="", room=""))


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(CELL, CELL, st.integers(0, 9)), min_size=1, max_size=5),
    doubled=st.booleans(), prefix=st.sampled_from(["", "_utf8mb4 ", "_binary "]),
    noise=st.sampled_from(["", "-- it's a; '\n", "/* it's; */", "INSERT INTO `other` VALUES (1,';');\n"]),
    together=st.booleans(),
)  # fmt: skip
def test_every_value_of_a_dump_comes_out_as_it_was(
    rows: list[tuple[str | None, str | None, int]], doubled: bool, prefix: str, noise: str, together: bool
) -> None:
    literals = [
        f"({prefix if title is not None else ''}{quoted(title, doubled)},{quoted(text, doubled)},{number})"
        for title, text, number in rows
    ]
    head = "INSERT INTO `kb_schedule` (`title`, `message_text`, `priority`) VALUES "
    lines = [head + ",\n".join(literals)] if together else [head + one for one in literals]
    dump = noise + "".join(f"{line};\n{noise}" for line in lines)
    found = [
        (one.values.get("title"), one.values.get("message_text"), int(one.values["priority"]))
        for one in records(dump)
    ]
    assert found == [(title, text, number) for title, text, number in rows]


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(TEXT, min_size=1, max_size=6), size=st.integers(1, 7))
def test_a_statement_is_found_however_the_file_is_cut(parts: list[str], size: int) -> None:
    dump = "".join(f"SELECT {quoted(part, False)};\n" for part in parts)

    class Dripping(io.StringIO):
        def read(self, wanted: int | None = -1) -> str:
            return super().read(size)

    found = [list(tokens(statement, line))[1] for line, statement in statements(Dripping(dump, newline=""))]
    assert [token.text for token in found] == parts
    assert [token.line for token in found] == list(range(1, len(parts) + 1))


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5), delimiter=st.sampled_from(",;\t"))
def test_every_cell_of_a_csv_comes_out_as_it_was(rows: list[tuple[str, str]], delimiter: str) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerow(["message_text", "제목", "톡방", "타입"])
    writer.writerows([text, title, "강남", "매일"] for text, title in rows)
    file.seek(0)
    found = [(one.values["message_text"], one.values["title"]) for one in csv_format.read(file)]
    assert found == rows


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), max_size=5), pretty=st.booleans())
def test_every_value_of_a_json_file_comes_out_as_it_was(rows: list[tuple[str, str]], pretty: bool) -> None:
    file = json.dumps([{"title": one, "text": two} for one, two in rows], indent=2 if pretty else None)
    found = [(one.values["title"], one.values["message_text"]) for one in json_format.read(io.StringIO(file))]
    assert found == rows


def test_a_long_json_file_is_read_object_by_object_with_its_lines() -> None:
    file = "[\n" + ",\n".join(json.dumps({"title": "가" * 50_000}) for _ in range(20)) + "\n]"
    found = list(json_format.read(io.StringIO(file)))
    assert [one.place.line for one in found] == list(range(2, 22))
    assert {len(one.values["title"]) for one in found} == {50_000}


def test_json_may_name_the_list_or_hold_an_object_a_line() -> None:
    for file in ('{"schedules": [{"title": "a"}, {"title": "b"}]}', '{"title": "a"}\n{"title": "b"}\n'):
        assert [one.values["title"] for one in json_format.read(io.StringIO(file))] == ["a", "b"]


def test_a_dump_says_line_and_tuple_of_each_row() -> None:
    dump = "\n-- x\nINSERT INTO kb_schedule (title) VALUES ('a\nb'),\n('c');\n"
    assert [str(one.place) for one in records(dump)] == ["line 3, tuple 1", "line 5, tuple 2"]


@pytest.mark.parametrize(
    ("literal", "meant"),
    [("0xEC9588", "안"), ("x'EC9588'", "안"), ("'a\\%b'", "a\\%b"), ("'it''s'", "it's"), ('"q""q"', 'q"q'),
     ("-12", "-12"), ("1.5", "1.5"), ("TRUE", "true"), ("DEFAULT", None)],
)  # fmt: skip
def test_a_literal_means_what_mysql_means(literal: str, meant: str | None) -> None:
    (found,) = records(f"INSERT INTO kb_schedule (title) VALUES ({literal});")
    assert found.values.get("title") == meant


def test_an_expression_in_a_dump_is_refused_and_the_next_row_still_read() -> None:
    first, second = records("INSERT IGNORE INTO db.kb_schedule (title) VALUES (CONCAT('a','b')),('c');")
    assert "expression" in first.problems[0].reason or "(" in first.problems[0].reason
    assert second.values == {"title": "c"}


def test_mysqls_ways_are_put_right_and_told() -> None:
    columns = "schedule_type,schedule_date,schedule_weekdays,valid_from,valid_until,send_order"
    (found,) = records(
        f"INSERT INTO kb_schedule ({columns}) VALUES"
        " ('weekly','2025-01-01','1,7','2025-07-14 00:00:00','9999-12-31 00:00:00','text_first');"
    )
    assert found.values == {
        "schedule_type": "weekly", "schedule_weekdays": "monday,sunday",
        "valid_from": "2025-07-14T00:00:00+09:00",
    }  # fmt: skip
    assert len(found.notes) == 3


@pytest.mark.parametrize(
    ("days", "read"),
    [("월,수", ("monday", "wednesday")), ("월수금", ("monday", "wednesday", "friday")),
     ("Mon; SUN", ("monday", "sunday")), ("일요일", ("sunday",)), (["화", "friday"], ("tuesday", "friday")),
     ("월,x", ("monday", "x"))],
)  # fmt: skip
def test_weekdays_are_read_in_both_languages(days: object, read: tuple[str, ...]) -> None:
    assert row(schedule_weekdays=days).form.weekdays == read


@pytest.mark.parametrize(
    ("kind", "read"),
    [("매일", ("daily",)), ("매일 반복", ("daily",)), ("1회성", ("once",)),
     ("정시+피크", ("regular", "peak")),
     ("regular, peak", ("regular", "peak")), (["regular", "peak"], ("regular", "peak"))],
)  # fmt: skip
def test_types_are_read_in_both_languages(kind: object, read: tuple[str, ...]) -> None:
    assert row(schedule_type=kind).form.types == read


def test_words_and_numbers_are_put_right_and_texts_are_not_touched() -> None:
    found = row(
        title=" =1 ", message_text=" 007\n", schedule_time="9:05", peak_hours="8-10, 12", status="비활성",
        target_room_type=" 운영 ", priority="3", grace_seconds="1.5", accept_limit="예",
    )  # fmt: skip
    assert (found.form.title, found.form.text) == (" =1 ", " 007\n")
    assert (found.form.time, found.form.room_type, found.form.priority) == ("09:05", "live", 3)
    assert found.form.peak_hours == (8, 9, 10, 12)
    assert repr(found.form.grace) == "'1.5'"  # left for the check to refuse
    assert (found.form.accept_limit, found.status) == (True, "inactive")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["daily", "weekly", "union", "09:00", "월", "2990-01-01", "[{}]", "{", "Asia/Seoul"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
LIKELY = {"title": "공지", "message_text": "안녕", "schedule_type": "daily", "schedule_time": "09:00"}


@settings(max_examples=300, deadline=None)
@given(values=st.dictionaries(st.sampled_from(WRITABLE), ANY, max_size=5))
def test_whatever_stands_in_a_cell_is_judged_and_never_breaks_the_import(values: dict[str, Any]) -> None:
    found = row(**LIKELY | values)
    result = check(found.form, now=NOW, room=RoomFacts("강남"))
    assert found.problems or isinstance(result, list | Checked)


def test_a_row_in_error_comes_in_paused_and_a_finished_one_stays_out() -> None:
    assert row(status="error").status == "inactive"
    assert row(status="완료").skip


@pytest.mark.parametrize(
    "name", ["제목", " Title ", "message text", "schedule-time", "유효기간 시작", "room"]
)
def test_headings_are_known_by_many_names(name: str) -> None:
    assert column_of(name) in WRITABLE
    assert column_of(f"{name}x") is None


def test_a_zone_line_of_a_crontab_rules_the_lines_below() -> None:
    file = "A=1\n0 9 * * * one\nCRON_TZ=America/New_York\n@hourly two 50\\% 100%\n"
    first, second = crontab.read(io.StringIO(file))
    assert (first.values["tz"], second.values["tz"]) == (None, "America/New_York")
    assert (second.values["cron_expr"], second.values["title"]) == ("0 * * * *", "two 50% 100%")
    assert next(crontab.read(io.StringIO(file), "message")).values["message_text"] == "message"


@pytest.mark.parametrize(
    ("content", "kind"),
    [('\n [{"a": 1}]', "json"), ("-- MySQL dump\nINSERT", "mysql"), ("INSERT INTO `a` VALUES", "mysql"),
     ("# c\n0 9 * * 1-5 hi", "crontab"), ("@daily hi", "crontab"), ("TZ=UTC\n", "crontab"),
     ("title,room\n", "csv"), ("제목;톡방\n", "csv")],
)  # fmt: skip
def test_the_format_is_known_by_how_a_file_begins(content: str, kind: str) -> None:
    assert format_of("-", io.StringIO(content)) == kind


@settings(max_examples=60, deadline=None)
@given(before=st.text("가나다abc", max_size=20), encoding=st.sampled_from(["utf-8", "cp949"]))
def test_the_first_wrong_byte_is_named(
    tmp_path_factory: pytest.TempPathFactory, before: str, encoding: str
) -> None:
    path: Path = tmp_path_factory.mktemp("wrong") / "a.csv"
    good = before.encode(encoding)
    path.write_bytes(good + b"\xff\n")
    with pytest.raises(BadFile, match=f"wrong at byte {len(good)}\\."), opened(str(path), encoding):
        pass
