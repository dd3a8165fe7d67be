"""What `jeongsi tracking` says: the lines of an import one by one, its sums, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from models.store.orders import Merge
from ops.cli.exchange_report import shown_plain
from ops.cli.output import note, print_json, say, short, table
from ops.orders.from_playauto import Read
from ops.orders.judge import Remark
from ops.orders.lines import Source
from ops.orders.take import Found
from ops.orders.waiting import Look, Waiting

MOST: Final = 50  # a file may bring one for every line; --json has them all
_WHY: Final = {
    "no_carrier": "without a carrier that PlayAuto knows",
    "cancel": "being cancelled",
    "return": "being returned",
    "exchange": "being exchanged",
}


@dataclass(slots=True)
class Report:
    """Says what an import found and did; with `as_json` as one object in the end."""

    as_json: bool
    dry_run: bool
    account: str
    _about: dict[str, Any] = field(default_factory=dict)

    def began(self, source: Source) -> None:
        """Remember what the file was taken for."""
        aside = source.left_aside
        self._about = {"format": source.kind, "account": self.account, "left_aside": aside}
        if aside and not self.as_json:
            note(
                shown_plain(
                    f"Left aside, nothing of it is kept: {', '.join(short(one, 20) for one in aside)}."
                )
            )

    def end(self, found: Found, saved: Merge | None, bad_file: Path | None) -> None:
        """The remarks, the sums, and what became of the file."""
        plan = saved or found.plan
        sums = {
            "lines": found.lines, "new": plan.new, "changed": plan.changed, "unchanged": plan.unchanged,
            "kept": found.kept, "warnings": len(found.warnings), "bad": found.bad_lines,
        }  # fmt: skip
        written = str(bad_file) if bad_file is not None and found.problems and saved else None
        if self.as_json:
            print_json(
                {**self._about, "dry_run": self.dry_run, "saved": saved is not None, **sums,
                 "bad_file": written, "problems": [_plain(one) for one in found.problems],
                 "remarks": [_plain(one) for one in found.warnings]}
            )  # fmt: skip
            return
        _tell("Bad: ", found.problems)
        _tell("Note: ", found.warnings)
        table(tuple(sums), [tuple(sums.values())], empty="")
        say(_became(found, saved, self.dry_run))
        if written:
            say(f"{found.bad_lines} bad lines are in {written}: mend them there, then import that file.")


def show_read(
    found: Read, saved: Merge | None, about: dict[str, Any], *, dry_run: bool, as_json: bool
) -> None:
    """What came of asking PlayAuto for its orders."""
    plan = saved or found.plan
    sums = {
        "orders": found.lines, "uploaded": found.uploaded, "new": plan.new, "changed": plan.changed,
        "unchanged": plan.unchanged, "kept": found.kept, "warnings": len(found.warnings),
        "bad": found.bad_lines,
    }  # fmt: skip
    if as_json:
        print_json(
            {**about, "dry_run": dry_run, "saved": saved is not None, **sums,
             "problems": [_plain(one) for one in found.problems],
             "remarks": [_plain(one) for one in found.warnings]}
        )  # fmt: skip
        return
    _tell("Not taken: ", found.problems, "order")
    _tell("Note: ", found.warnings, "order")
    table(tuple(sums), [tuple(sums.values())], empty="")
    say(_became(found, saved, dry_run))


def _became(found: Found, saved: Merge | None, dry_run: bool) -> str:
    if saved is not None:
        return f"Saved: {saved.new} new orders, {saved.changed} changed, {saved.unchanged} as they were."
    if dry_run:
        return "Nothing was written: this was a dry run."
    bad = "1 line is bad" if found.bad_lines == 1 else f"{found.bad_lines} lines are bad"
    return f"Nothing was saved, {bad}. --skip-bad takes the others and writes the bad ones to a file."


def _tell(what: str, remarks: Sequence[Remark], unit: str = "line") -> None:
    for one in remarks[:MOST]:
        of = f" ({short(one.order_no)})" if one.order_no else ""
        note(shown_plain(f"{what}{unit} {one.line}{of}: {one.column}: {one.said}"))
    if len(remarks) > MOST:
        note(f"And {len(remarks) - MOST} more; --json has them all.")


def _plain(one: Remark) -> dict[str, Any]:
    return {
        name: shown_plain(value) if isinstance(value, str) else value for name, value in asdict(one).items()
    }


def show_pending(look: Look, *, as_json: bool) -> None:
    """What waits, as tables or as one object."""
    if as_json:
        groups = [
            {**asdict(one), "odd": look.odd.get((one.account, one.carrier_code), 0)} for one in look.groups
        ]
        print_json(
            {"pending": look.count, "held_back": look.held_back, "groups": groups,
             "orders": [{**asdict(one.order), "error": one.error, "warnings": one.warnings}
                        for one in look.orders]}
        )  # fmt: skip
        return
    rows = [
        (one.account, one.carrier_code, one.carrier_name, one.orders,
         look.odd.get((one.account, one.carrier_code)) or None)
        for one in look.groups
    ]  # fmt: skip
    table(
        ("account", "code", "carrier", "orders", "odd numbers"), rows, empty="No order waits for its upload."
    )
    if look.orders:
        table(
            ("id", "order", "shop", "parcel", "carrier", "number", "note"), map(_row, look.orders), empty=""
        )
        if look.count > len(look.orders):
            note(f"{len(look.orders)} of {look.count} orders; --limit lists more.")
    for why, number in look.held_back.items():
        say(f"Held back: {number} with a number, {_WHY.get(why, why)}.")


def _row(one: Waiting) -> tuple[object, ...]:
    order = one.order
    return (
        order.id, order.order_no, order.shop_name, order.bundle_no, order.carrier_name or order.carrier_code,
        order.tracking_number, "; ".join(one.remarks),
    )  # fmt: skip
