"""Schedules come in and go out as files: every bad row is named, nothing is half taken or doubled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from beat.schedule_form import ScheduleForm
from ops.exchange import csv_format
from ops.exchange.take import Import, Options
from ops.exchange.values import BadFile
from tests.support.cli import Answer, jeongsi
from tests.support.ledger_world import World

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "import"
ROOMS = ("강남", "서초", "hq-alerts", "gangnam-notice")
HEAD = "title,target_room_id,schedule_type,schedule_time,message_text"


@pytest.fixture(autouse=True)
def _rooms(world: World, ledger_env: dict[str, str]) -> None:
    for room in ROOMS:
        world.room(room)


def take(file: Path, *flags: object, code: int = 0) -> Answer:
    answer = jeongsi("schedule", "import", file, *flags)
    assert answer.code == code, answer.said
    return answer


def written(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def count(world: World) -> int:
    return int(world.value("SELECT count(*) FROM kb_schedule WHERE deleted_at IS NULL"))


def column(world: World, name: str) -> list[Any]:
    return [one[name] for one in world.rows("SELECT * FROM kb_schedule ORDER BY id")]


def picture(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8), "yellow").save(folder / name)
    return folder / name


def rows(world: World) -> list[dict[str, Any]]:
    """What a round trip must keep, images by their content."""
    found = world.rows(
        "SELECT title, description, created_by_type, created_by_id, created_by_mb_id, target_room_id,"
        " target_room_type, message_text, send_order, send_interval_seconds, schedule_type, schedule_date,"
        " schedule_time, schedule_weekdays, peak_hours, cron_expr, rules, tz, valid_from, valid_until,"
        " misfire, grace_seconds, validity_seconds, priority, accept_limit, status,"
        " (SELECT jsonb_agg(i.sha256)"
        " FROM jsonb_array_elements(CASE jsonb_typeof(message_images) WHEN 'array' THEN message_images END) m"
        " JOIN images i ON i.id = (m->>'id')::bigint) AS images"
        " FROM kb_schedule WHERE deleted_at IS NULL ORDER BY id"
    )
    return [dict(one) for one in found]


ODD = "=1+1\r\n\"따옴표\" '작은' \\역슬래시, 쉼표; 세미콜론\t탭\n007 😀 {time}  "


def every_kind(folder: Path) -> None:
    """A schedule of each kind, with all that a file might lose."""
    image = picture(folder, "행사.png")
    for flags in (
        ("--type", "daily", "--time", "09:00", "--text", ODD, "--priority", 0, "--misfire", "latest"),
        ("--type", "weekly", "--time", "18:30:15", "--weekdays", "sunday,monday", "--text", "-"),
        ("--type", "regular", "--text", "+82", "--validity", 60, "--grace", 0),
        ("--type", "peak", "--peak-hours", "0,23", "--text", "@all"),
        ("--type", "cron", "--cron", "*/15 8-19 * * 1-5", "--text", "007", "--tz", "UTC"),
        ("--type", "regular", "--type", "peak", "--peak-hours", "9", "--text", "둘", "--accept-limit"),
        ("--type", "once", "--date", "2990-01-02", "--time", "03:04:05.678", "--text", "한 번"),
        ("--type", "daily", "--time", "01:00", "--image", image, "--valid-from", "2026-01-01T00:00:00+00:00",
         "--valid-until", "2990-01-01T00:00:00+09:00", "--interval", 3),
    ):  # fmt: skip
        said = jeongsi("schedule", "add", "--title", "=0😀", "--room", "강남", "--accept-limit", *flags)
        assert said.code == 0, said.said
    assert jeongsi("schedule", "pause", "1").code == 0


@pytest.mark.parametrize("name", ["all.json", "all.csv"])
def test_what_is_exported_comes_back_equal(world: World, tmp_path: Path, name: str) -> None:
    """B19 to B36: titles, texts, rules, windows, images and status survive the way out and in."""
    every_kind(tmp_path)
    before = rows(world)
    assert jeongsi("schedule", "export", tmp_path / name).code == 0
    world.db.execute("DELETE FROM kb_schedule")
    take(tmp_path / name)
    assert rows(world) == before


def test_images_travel_inside_a_json_file(world: World, tmp_path: Path) -> None:
    """B27, B63 to B70."""
    every_kind(tmp_path)
    assert jeongsi("schedule", "export", tmp_path / "all.json", "--with-images").code == 0
    before = world.value("SELECT data FROM images")
    world.db.execute("DELETE FROM kb_schedule")
    world.db.execute("DELETE FROM images")
    take(tmp_path / "all.json")
    assert world.value("SELECT data FROM images") == before


def test_an_image_that_is_not_here_is_refused_with_what_to_do(world: World, tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", f"{HEAD},이미지\n공지,강남,daily,09:00,안녕,gone_20250714_001.jpg\n")
    said = take(file, code=1).err
    assert "message_images: 'gone_20250714_001.jpg' is not stored here" in said
    assert "--images-dir" in said


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_every_bad_row_is_named_and_none_is_taken(
    world: World, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    file = written(
        tmp_path, "a.csv",
        f"{HEAD}\n좋음,강남,daily,09:00,안녕\n늦음,강남,daily,25:00,안녕\n\n"
        '"두\n줄",없는방,daily,09:00,안녕\n모자람,강남,daily\n요일,강남,weekly,09:00,안녕\n',
    )  # fmt: skip
    answer = take(file, *flags, code=1)
    assert "line 3 '늦음' is refused" in answer.err
    assert "schedule_time: '25:00' is not a time of day" in answer.err
    assert "line 5 '두 줄' is refused" in answer.err
    assert "target_room_id: there is no room '없는방'" in answer.err
    assert "jeongsi room add '없는방'" in answer.err
    assert "the row has 3 cells, the heading 5" in answer.err
    assert "line 8 '요일' is refused" in answer.err
    assert "1 row good, 4 bad" in answer.out
    assert count(world) == 0


def test_with_partial_the_good_rows_are_taken(world: World, tmp_path: Path) -> None:
    file = written(
        tmp_path, "a.csv", f"{HEAD}\n하나,강남,daily,09:00,1\n둘,강남,daily,9시,2\n셋,강남,daily,11:00,3\n"
    )
    answer = take(file, "--partial", "--json", code=1).json
    assert (answer["good"], answer["bad"], answer["saved"]) == (2, 1, 2)
    assert [row["line"] for row in answer["rows"]] == [3]
    assert column(world, "title") == ["하나", "셋"]
    assert world.value("SELECT count(*) FROM schedule_clock WHERE enabled") == 2


def test_a_dry_run_says_the_next_slots_and_writes_nothing(world: World, tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", f"{HEAD}\n공지,강남,daily,09:00,안녕\n")
    row = take(file, "--dry-run", "--count", 2, "--json").json["rows"][0]
    assert [at[10:] for at in row["next"]] == ["T09:00:00+09:00"] * 2
    assert row["next"][0] in take(file, "--dry-run").out
    assert count(world) == 0


def test_the_same_file_twice_doubles_nothing(world: World, tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", f"{HEAD}\n공지,강남,daily,09:00,안녕\n")
    take(file)
    assert "already there as schedule 1" in take(file, code=1).err
    assert take(file, "--skip-existing", "--json").json["skipped"] == 1
    assert count(world) == 1
    take(file, "--allow-duplicates")
    assert count(world) == 2


def test_a_row_that_stands_twice_in_one_file_is_named(world: World, tmp_path: Path) -> None:
    row = "공지,강남,daily,09:00,안녕\n"
    assert (
        "already there as line 2 of this file"
        in take(written(tmp_path, "a.csv", f"{HEAD}\n{row}{row}"), code=1).err
    )


def test_the_same_content_in_another_window_is_no_double(world: World, tmp_path: Path) -> None:
    head = f"{HEAD},valid_from,valid_until"
    row = "공지,강남,daily,09:00,안녕"
    take(
        written(
            tmp_path, "a.csv",
            f"{head}\n{row},2990-07-01T00:00:00+09:00,2990-07-31T00:00:00+09:00\n"
            f"{row},2990-12-01T00:00:00+09:00,2990-12-31T00:00:00+09:00\n",
        )
    )  # fmt: skip
    assert count(world) == 2


def test_rows_of_one_file_share_the_rooms_quota(world: World, tmp_path: Path) -> None:
    """B129, ruling 8: the fifty-first send of a day is refused, though each row alone would fit."""
    lines = [f"공지 {n},강남,daily,{n // 4:02}:{n % 4 * 15:02},안녕 {n}" for n in range(51)]
    answer = take(written(tmp_path, "a.csv", "\n".join([HEAD, *lines])), "--json", code=1).json
    assert [row["line"] for row in answer["rows"] if "problems" in row] == [52]
    assert "limit 50" in answer["rows"][-1]["problems"][0]["reason"]
    take(tmp_path / "a.csv", "--accept-limit")
    assert count(world) == 51


def test_a_schedule_that_is_there_already_is_not_in_its_own_way(world: World, tmp_path: Path) -> None:
    """B129: taking thirty daily schedules anew is no sixty of them."""
    lines = [f"공지 {n},강남,daily,{n // 4:02}:{n % 4 * 15:02},안녕 {n}" for n in range(30)]
    file = written(tmp_path, "a.csv", "\n".join([HEAD, *lines]))
    take(file)
    answer = take(file, "--skip-existing", "--json").json
    assert (answer["skipped"], answer["bad"]) == (30, 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_the_encoding_is_found(world: World, tmp_path: Path, encoding: str) -> None:
    take(written(tmp_path, "a.csv", f"{HEAD}\n공지,강남,daily,9:00,안녕\n", encoding))
    assert world.value("SELECT title FROM kb_schedule") == "공지"


def test_excel_in_korea_gets_cp949_on_demand(world: World, tmp_path: Path) -> None:
    add = ("schedule", "add", "--title", "공지", "--room", "강남", "--type", "regular", "--text")
    assert jeongsi(*add, "안녕").code == 0
    assert jeongsi("schedule", "export", tmp_path / "a.csv", "--encoding", "cp949").code == 0
    assert "공지" in (tmp_path / "a.csv").read_bytes().decode("cp949")
    assert jeongsi("schedule", "export", tmp_path / "u.csv").code == 0
    assert (tmp_path / "u.csv").read_bytes().startswith(b"\xef\xbb\xbf")


def test_a_character_that_the_encoding_lacks_leaves_the_old_file_as_it_was(
    world: World, tmp_path: Path
) -> None:
    add = ("schedule", "add", "--title", "공지", "--room", "강남", "--type", "regular", "--text", "안녕 😀")
    assert jeongsi(*add).code == 0
    file = written(tmp_path, "a.csv", "old")
    answer = jeongsi("schedule", "export", file, "--encoding", "cp949")
    assert answer.code == 1
    assert "Schedule 1: cp949 has no character 😀 (U+1F600)" in answer.err
    assert file.read_text() == "old"
    assert list(tmp_path.glob(".*")) == []


def test_an_export_can_be_narrowed_down(world: World, tmp_path: Path) -> None:
    every_kind(tmp_path)
    assert jeongsi("schedule", "export", tmp_path / "a.json", "--status", "inactive").code == 0
    assert [one["id"] for one in json.loads((tmp_path / "a.json").read_text())] == [1]
    assert jeongsi("schedule", "export", tmp_path / "b.json", "--room", "서초").code == 0
    assert json.loads((tmp_path / "b.json").read_text()) == []
    assert jeongsi("schedule", "export", tmp_path / "c.json", "--room", "없음").code == 2


def test_what_somebody_saves_between_check_and_save_is_not_doubled(world: World, tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", f"{HEAD}\n둘,강남,daily,10:00,둘\n공지,강남,daily,09:00,안녕\n")
    taking = Import(Options(base=ScheduleForm(title="", room="")))
    with file.open(encoding="utf-8") as lines:
        assert all(one.good for one in taking.judge(csv_format.read(lines)))
    add = ("schedule", "add", "--title", "x", "--room", "강남", "--type", "daily", "--time", "09:00")
    assert jeongsi(*add, "--text", "안녕").code == 0
    with pytest.raises(BadFile, match="line 3: schedule 1 was saved meanwhile"):
        taking.save("김지점")
    taking.close()
    assert count(world) == 1


def test_only_one_import_saves_at_a_time(world: World, tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", f"{HEAD}\n공지,강남,daily,09:00,안녕\n")
    with world.db.transaction():
        world.db.execute("SELECT pg_advisory_xact_lock(hashtext('jeongsi.import'))")
        assert "nother import is being saved" in take(file, code=1).err
    assert count(world) == 0
    take(file, "--as", "김지점")
    assert world.value("SELECT who FROM kb_schedule_history") == "김지점"


def test_one_picture_in_many_rows_is_kept_once(world: World, tmp_path: Path) -> None:
    picture(tmp_path / "images", "a.png")
    lines = [f"공지 {n},강남,daily,{n + 10}:00,안녕,a.png" for n in range(5)]
    file = written(tmp_path, "a.csv", "\n".join([f"{HEAD},이미지", *lines]))
    take(file, "--images-dir", tmp_path / "images")
    assert world.value("SELECT count(*) FROM images") == 1
    assert {one[0]["id"] for one in column(world, "message_images")} == {world.value("SELECT id FROM images")}


def test_an_export_goes_only_where_a_file_can_be(world: World, tmp_path: Path) -> None:
    for target, sentence in (
        (tmp_path, "not a file"),
        ("/dev/null", "not a file"),
        (tmp_path / "no" / "a", "No"),
    ):
        answer = jeongsi("schedule", "export", target)
        assert answer.code == 1
        assert sentence in answer.err


@pytest.mark.parametrize("name", ["schedules.csv", "schedules.json"])
def test_the_guides_files_can_be_taken(world: World, name: str) -> None:
    answer = take(EXAMPLES / name, "--json").json
    assert answer["saved"] == answer["good"] == count(world)
    assert answer["bad"] == 0


def test_the_customers_dump_can_be_taken(world: World, tmp_path: Path) -> None:
    """B18 to B36, B63 to B70: a MySQL table becomes ours, its own bookkeeping stays behind."""
    picture(tmp_path / "bot_images", "promotion_20250714_001.png")
    said = take(EXAMPLES / "kb_schedule.sql", code=1).err
    assert "promotion_20250714_001.png: a dump holds no images" in said
    assert count(world) == 0
    answer = take(EXAMPLES / "kb_schedule.sql", "--images-dir", tmp_path / "bot_images", "--json").json
    assert (answer["saved"], answer["skipped"]) == (2, 1)
    assert answer["other_tables"] == {"kb_schedule_logs": 1}
    first, second = rows(world)
    assert first["message_text"] == "오늘도 '안전' 운행\n부탁드립니다; 감사합니다."
    assert first["send_order"] == "text_only"
    assert first["valid_from"].isoformat() == "2025-07-14T00:00:00+09:00"
    assert (second["status"], second["created_by_id"], len(second["images"])) == ("inactive", "br_12", 1)
    assert second["schedule_weekdays"] == "monday,wednesday,friday"
    assert world.value("SELECT original_name FROM images") == "7월 프로모션.png"
    assert world.value("SELECT send_count FROM kb_schedule WHERE id = 1") == 0


def test_crontab_lines_can_be_taken(world: World) -> None:
    file = EXAMPLES / "messages.crontab"
    assert "--room" in take(file, code=2).err
    take(file, "--room", "hq-alerts")
    assert column(world, "cron_expr") == [
        "0 9 * * 1-5", "*/30 11-13 * * *", "0 0 * * *",
    ]  # fmt: skip
    assert world.value("SELECT message_text FROM kb_schedule WHERE id = 2") == "점심 피크입니다. 할인 50%"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"PK\x03\x04junk", "an Excel workbook"),
        ("a.csv", "제목".encode("utf-16"), "UTF-16"),
        ("a.csv", b"\x81", "neither UTF-8 (wrong at byte 0) nor cp949 (wrong at byte 0)"),
        ("a.csv", b"title,titel\n", "there is no column 'titel'"),
        ("a.csv", b"title,text\n", "lacks the column target_room_id, schedule_type"),
        ("a.csv", "title,제목,room,type\n".encode(), "names title twice"),
        ("a.csv", b"1,2,3\n", "does not name the columns"),
        ("a.json", b'[{"title": NaN}]', "NaN is no JSON"),
        ("a.json", b'[{"title": "a", "title": "b"}]', "'title' stands twice"),
        ("a.json", b'[{"title": "a"},]', "stands behind a comma"),
        ("a.json", b'[{"title": "a"}', "the end of the file"),
        ("a.json", b'[{"title": "a}]', "cannot be read"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.json", b"[] []", "follows the end"),
        ("a.json", b"7", "is not a list"),
        ("a.sql", b"INSERT INTO other VALUES (1);", "no INSERT INTO `kb_schedule`"),
        ("a.sql", b"INSERT INTO kb_schedule VALUES (1);", "names no columns"),
        ("a.sql", b"INSERT INTO kb_schedule (title) VALUES ('a", "never closed"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_a_sentence(
    world: World, tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert sentence in take(path, code=2).err
    assert count(world) == 0


def test_a_folder_a_missing_file_and_a_wrong_encoding_are_told(world: World, tmp_path: Path) -> None:
    assert "is not a file" in take(tmp_path, code=2).err
    assert "No such file" in take(tmp_path / "gone.csv", code=2).err
    said = take(written(tmp_path, "a.csv", "제목,톡방\n", "cp949"), "--encoding", "utf-8", code=2).err
    assert "is not utf-8: wrong at byte 0" in said
    assert "--encoding cp949" in said


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", f'{HEAD}\n"공지,강남,daily,09:00,안녕\n', "a quote is opened here and never closed"),
        ("a.csv", f"{HEAD}\n공지,강남,daily,09:00,안\0녕\n", "cannot be stored"),
        ("a.csv", f"{HEAD}\n공지,강남,daily,09:00,{'가' * 3_500_000}\n", "the text has 3,500,000 characters"),
        ("a.csv", f"{HEAD},요일\n공지,강남,weekly,09:00,안녕,mondya\n", "'mondya' is not a weekday"),
        ("a.csv", f"{HEAD},한도 초과 동의\n공지,강남,daily,09:00,안녕,maybe\n", "neither yes nor no"),
        ("a.csv", f"{HEAD},상태\n공지,강남,daily,09:00,안녕,on\n", "'on' is unknown"),
        ("a.json", r'[{"title": "\ud800", "room": "강남", "type": "regular", "text": "b"}]', "be stored"),
        ("a.json", '[{"title": 7, "room": "강남", "type": "regular", "text": "b"}]', "7 is not a text"),
        ("a.json", '[{"titel": "a", "room": "강남", "type": "regular", "text": "b"}]', "did you mean title"),
        ("a.json", "[7]", "it is no object"),
        ("a.json", '[{"title": "a", "room": "강남", "type": "union", "rules": {}, "text": "b"}]', "a list"),
        ("a.json", '[{"title": "a", "room": "강남", "type": [{}], "text": "b", "요일": [[]]}]', "no type"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_right_is_told_in_a_sentence(
    world: World, tmp_path: Path, name: str, content: str, sentence: str
) -> None:
    answer = take(written(tmp_path, name, content), code=1)
    assert sentence in answer.err
    assert count(world) == 0


def test_a_crontab_line_without_a_time_of_its_own_is_refused(world: World, tmp_path: Path) -> None:
    file = written(tmp_path, "a.crontab", "@reboot hello\n0 9 * * *\n0 9 * * 9 안녕\n")
    said = take(file, "--room", "강남", code=1).err
    assert "@reboot names no time" in said
    assert "no command behind its time" in said
    assert "the day of week field '9'" in said


def test_standard_input_is_read_like_a_file(world: World, ledger_env: dict[str, str], tmp_path: Path) -> None:
    import os
    import subprocess

    from tests.support.cli import SCRIPT

    content = f"{HEAD}\n공지,강남,daily,09:00,안녕\n".encode("cp949")
    done = subprocess.run(
        [SCRIPT, "schedule", "import", "-"], env={**os.environ, **ledger_env}, input=content,
        capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert count(world) == 1
