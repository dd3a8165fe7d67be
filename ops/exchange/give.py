"""An export: people's schedules by the table's column names, written whole or not at all."""

from __future__ import annotations

import base64
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from models.store import each_schedule, image_bytes, reading
from models.tables import Schedule
from ops.exchange import csv_format, json_format
from ops.exchange.columns import WRITABLE
from ops.exchange.values import BadFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is exported, and how."""

    format: str
    encoding: str = "utf-8"
    room: str | None = None
    status: str | None = None
    with_images: bool = False


def export(target: str, wanted: Wanted, progress: Callable[[int], None] = lambda _: None) -> int:
    """Write the schedules to a file, or to standard output for `-`; answers how many.

    Nothing is half written: the file appears, or is replaced, when all of it is there. Raises BadFile
    for a character that the encoding lacks.
    """
    if target == "-":
        with tempfile.TemporaryFile() as kept:
            number = _written(kept, wanted, progress)
            kept.seek(0)
            sys.stdout.flush()
            shutil.copyfileobj(kept, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return number
    path = Path(target).resolve()  # a link stays a link
    if path.exists() and not path.is_file():
        raise BadFile(f"{target} is not a file.", "Name a file, or - for standard output.")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise BadFile(
            f"{target} cannot be written: {error.strerror}.", "Name a folder that exists."
        ) from None
    try:
        with os.fdopen(handle, "w+b") as kept:
            number = _written(kept, wanted, progress)
        Path(name).chmod(_mode(path))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return number


def _mode(path: Path) -> int:
    """Who may read the file: as before, or as the user's umask says for a new one."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def _written(kept: IO[bytes], wanted: Wanted, progress: Callable[[int], None]) -> int:
    marked = wanted.format == "csv" and wanted.encoding == "utf-8"
    if marked:
        kept.write(b"\xef\xbb\xbf")  # the mark by which Excel knows UTF-8
    out = _Encoded(kept, wanted.encoding)
    write = csv_format.write if wanted.format == "csv" else json_format.write
    number = 0
    for _ in write(_rows(wanted, out), out):
        number += 1
        progress(1)
    return number


class _Encoded:
    """A text file that names the row and the character it cannot write."""

    def __init__(self, kept: IO[bytes], encoding: str) -> None:
        self._kept, self._encoding, self.row = kept, encoding, 0

    def write(self, text: str) -> int:
        try:
            self._kept.write(text.encode(self._encoding))
        except UnicodeEncodeError as error:
            sign = text[error.start]
            raise BadFile(
                f"Schedule {self.row}: {self._encoding} has no character {sign} (U+{ord(sign):04X}).",
                "Nothing was written. Export with --encoding utf-8.",
            ) from None
        return len(text)


def _rows(wanted: Wanted, out: _Encoded) -> Iterator[dict[str, Any]]:
    with reading() as session:
        for one in each_schedule(session, room=wanted.room, status=wanted.status):
            out.row = one.id
            row = columns_out(one)
            if wanted.with_images and row["message_images"]:
                for image in row["message_images"]:
                    data = image_bytes(session, image["id"]) if "id" in image else None
                    if data is not None:
                        image["data"] = base64.b64encode(data).decode()
            yield row


def columns_out(schedule: Schedule) -> dict[str, Any]:
    """A schedule as a file has it: plain values, instants with the offset of the schedule's zone."""
    found: dict[str, Any] = {"id": schedule.id} | {name: getattr(schedule, name) for name in WRITABLE}
    found["message_images"] = _images(schedule)
    if not found["message_images"] and schedule.send_order in ("text_first", "images_first"):
        found["send_order"] = "text_only"  # which is what is sent
    found["validity_seconds"] = "auto" if schedule.validity_seconds is None else schedule.validity_seconds
    for name in ("valid_from", "valid_until"):
        found[name] = _moment(found[name], schedule.tz)
    if schedule.schedule_date is not None:
        found["schedule_date"] = schedule.schedule_date.isoformat()
    if schedule.schedule_time is not None:
        at = schedule.schedule_time
        found["schedule_time"] = at.isoformat("milliseconds" if at.microsecond else "seconds")
    return found


def _images(schedule: Schedule) -> list[dict[str, Any]] | None:
    listed: Any = schedule.message_images
    held = listed.get("images") if isinstance(listed, dict) else listed
    return [dict(one) for one in held or () if isinstance(one, dict)] or None


def _moment(at: Any, tz: str) -> str:
    from ops.cli.output import iso

    return str(iso(at, tz))
