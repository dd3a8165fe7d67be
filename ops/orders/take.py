"""An import: lines judged and staged, all compared with what is there, then written as a whole or not."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psycopg

from models.store.carriers import load_carriers
from models.store.orders import Clash, Kept, Merge, OrderImport
from ops.exchange.values import BadFile
from ops.orders.judge import Judge, Judged, Remark
from ops.orders.lines import Source

BATCH: Final = 5_000
_CLASHES: Final = {
    "lines": "this order stands on several lines with different {what}: name it by PlayAuto's 주문고유번호",
    "several": "several orders have this number at their shop, because they were split: name the one that is"
    " meant by PlayAuto's 주문고유번호 or 묶음번호",
    "account": "this order is one of account {what!r}",
    "shop": "this order number is one of {what!r} already: two shops may use the same, so give both"
    " PlayAuto's 주문고유번호 as order_no",
}
_KEPT: Final = (
    "it was uploaded as {kept.had!r} and stays so, the file says {kept.given!r}; --reupload takes that"
    " and uploads it anew"
)


@dataclass(slots=True)
class Found:
    """What came of a file: how many lines, what is wrong, what is worth knowing, what is to be done."""

    lines: int = 0
    problems: list[Remark] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)
    kept: int = 0
    plan: Merge = field(default_factory=lambda: Merge(0, 0, 0))

    @property
    def bad_lines(self) -> int:
        """How many lines cannot be taken."""
        return len({one.line for one in self.problems})


class Import:
    """One import into one account: `read`, then `save`."""

    def __init__(self, db: psycopg.Connection[Any], account: str, *, again: bool) -> None:
        self._orders = OrderImport(db, account, again=again)
        self._carriers = load_carriers(db, account)

    def read(self, source: Source, step: Callable[[int], None] = lambda _: None) -> Found:
        """Judge every line and compare the good ones with what is there. Nothing is written to `orders`."""
        found, judge = Found(), Judge(source.columns, self._carriers)
        judged = (judge.judge(line) for line in source.lines())
        while batch := list(islice(judged, BATCH)):
            self._orders.stage(one.order for one in _noted(found, batch))
            step(len(batch))
        found.plan = self._orders.compare()
        found.problems += [clash(one) for one in self._orders.clashes()]
        kept = self._orders.kept()
        found.kept = len(kept)
        found.warnings += [_kept(one) for one in kept]
        found.problems.sort(key=lambda one: one.line)
        found.warnings.sort(key=lambda one: one.line)
        return found

    def save(self) -> Merge:
        """Write the good lines, all or none; answers what was written. Raises a StoreError."""
        return self._orders.merge()


def _noted(found: Found, batch: Iterable[Judged]) -> Iterator[Any]:
    """The lines that can be taken; what is to be said of any of them is kept."""
    for one in batch:
        found.lines += 1
        found.problems += one.problems
        found.warnings += one.warnings
        if one.order is not None:
            yield one


def clash(one: Clash) -> Remark:
    """A clash in words."""
    return Remark(one.line, one.order_no, "order_no", _CLASHES[one.why].format(what=one.what))


def _kept(one: Kept) -> Remark:
    return Remark(one.line, one.order_no, "tracking_number", _KEPT.format(kept=one))


@contextmanager
def bad_lines(path: Path, source: Source, problems: Iterable[Remark]) -> Iterator[None]:
    """Write the lines that cannot be taken, as they stand, with what is wrong; gone again if the block fails.

    For Excel: UTF-8 with its mark. Raises BadFile if there is such a file already, or it cannot be written.
    """
    said: dict[int, str] = {}
    for one in problems:
        said[one.line] = "; ".join(filter(None, [said.get(one.line), f"{one.column}: {one.said}"]))
    try:
        _write(path, source, said)
    except FileExistsError:
        hint = "Look whether it is still needed, or name another with --bad-file."
        raise BadFile(f"{path} is there already: nothing was saved.", hint) from None
    except OSError as error:
        path.unlink(missing_ok=True)
        raise BadFile(f"{path} cannot be written: {error.strerror}. Nothing was saved.") from None
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write(path: Path, source: Source, said: Mapping[int, str]) -> None:
    """Readable by its owner alone: the file it comes from may name people."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([*source.heading, "오류"])
        for line in source.lines():
            if line.number in said:
                writer.writerow([*line.cells, said[line.number]])
