"""What the pages say exists: links, make targets, commands, settings, gates and states."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from models.states import SlotState
from runtime.environment import variable
from runtime.events import Event
from runtime.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
GUIDE = ROOT / "docs" / "operators.md"
TROUBLE = ROOT / "docs" / "troubleshooting.md"

_FENCE = re.compile(r"^```.*?^```", re.M | re.S)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.M)
_CODE = re.compile(r"^```(?:sh)?\n(.*?)^```|`([^`\n]+)`", re.M | re.S)
_ROW = re.compile(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`|–) \|", re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = [target for target in links(page) if not resolves(page, target)]
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    named = {
        found for line in code(page) for found in re.findall(r"^(?:\w+=\S+ )?make ((?:[.a-z]+ ?)*)", line)
    }
    assert {target for targets in named for target in targets.split()} <= make_targets()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_flag_that_a_page_names_exists(page: Path) -> None:
    wrong = [problem for line in commands(page) if (problem := unknown(line)) is not None]
    assert not wrong


def test_every_setting_stands_in_the_operators_guide_with_its_default() -> None:
    told = dict(_ROW.findall(GUIDE.read_text(encoding="utf-8")))
    assert told == {variable(name): default_of(name) for name in Settings.model_fields}


def test_every_setting_stands_in_the_example_environment() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^([A-Z_]+)=", example, re.M)) == {
        variable(name) for name in Settings.model_fields
    }


def test_both_readmes_name_the_same_commands() -> None:
    assert blocks(ROOT / "README.md") == blocks(ROOT / "README.ko.md")


def test_both_readmes_link_the_same_pages() -> None:
    english, korean = set(links(ROOT / "README.md")), set(links(ROOT / "README.ko.md"))
    assert english - {"README.ko.md"} == korean - {"README.md"}


def test_every_gate_of_slot_why_is_explained_in_its_order() -> None:
    from ops.why import GATES

    section = TROUBLE.read_text(encoding="utf-8").split("## The gates of slot why")[1].split("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.M)) == tuple(GATES)


def test_every_slot_state_is_in_the_glossary_or_its_live_ones_in_the_state_page() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    ends = {state for state in SlotState if state not in ("planned", "waiting", "queued", "leased")}
    assert ends <= set(re.findall(r"^\| (\w+) \|", glossary, re.M))


def test_every_event_that_the_guide_names_is_emitted_under_that_name() -> None:
    section = GUIDE.read_text(encoding="utf-8").split("## Logs and events")[1].split("\n## ")[0]
    named = set(
        re.findall(r"`((?:message|slot|beat|redis|ledger|journal|schedule|queue|worker|task)\.\w+)`", section)
    )
    assert named
    assert named <= {event.value for event in Event}


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    assert unknown("jeongsi slot explain 812") is not None
    assert unknown("jeongsi slot list --colour") is not None
    assert unknown("jeongsi slot list --unresolved") is None


# -- reading pages --------------------------------------------------------------------------------


def links(page: Path) -> list[str]:
    """The relative targets of a page's links and pictures."""
    found = _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def resolves(page: Path, target: str) -> bool:
    """Whether a link leads to a file, and to a heading of it if it names one."""
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    if not there.is_file():
        return False
    return not anchor or anchor in anchors(there)


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors that GitHub gives a page's headings."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return frozenset(slug(heading) for heading in _HEADING.findall(text))


def slug(heading: str) -> str:
    """A heading as its anchor: small letters, punctuation gone, blanks to hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def code(page: Path) -> Iterator[str]:
    """Every line of a shell block and every inline code of a page."""
    for block, inline in _CODE.findall(page.read_text(encoding="utf-8")):
        for line in (block or inline).splitlines():
            yield line.partition(" #")[0].strip()


def commands(page: Path) -> Iterator[str]:
    """Everything in a page that is typed as a `jeongsi` command."""
    for line in code(page):
        found = re.match(r"(?:\w+=\S+ )?(?:\.venv/bin/)?(jeongsi(?: .*)?)$", line)
        if found:
            yield found[1]


def blocks(page: Path) -> list[str]:
    """The commands of a page's shell blocks, without their comments."""
    found = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return [line.partition(" #")[0].strip() for block in found for line in block.splitlines()]


# -- what exists ----------------------------------------------------------------------------------


@cache
def make_targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([.a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


@cache
def command_line() -> Any:
    from ops.cli.app import app

    return typer.main.get_command(app)


def unknown(line: str) -> str | None:
    """What of a command does not exist; None if all does. Arguments are not judged, only words and flags."""
    command, words = command_line(), line.split()[1:]
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        if words[0] == "…":
            return None
        if words[0] not in command.commands:
            return f"{line}: there is no {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    flags = [word for word in words if word.startswith("--")]
    return next((f"{line}: there is no {flag}" for flag in flags if flag not in known), None)


def default_of(name: str) -> str:
    """A setting's default as the guide writes it; empty for none."""
    value = Settings.model_fields[name].default
    if value is None or value == "" or value == {}:
        return ""
    if isinstance(value, tuple):
        return ",".join(f"{one:g}" for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
