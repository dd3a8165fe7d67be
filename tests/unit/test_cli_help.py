"""The command line teaches itself, answers quickly, and fails in words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from ops.cli.app import app
from tests.support.cli import jeongsi, jeongsi_script


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the tree with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


TREE = dict(commands(typer.main.get_command(app)))


def test_every_command_that_the_contract_names_exists() -> None:
    wanted = (
        "up doctor audit emulator db.upgrade db.current room.add room.list room.show room.set schedule.add "
        "schedule.list schedule.show schedule.next schedule.edit schedule.pause schedule.resume "
        "schedule.delete message.send slot.list slot.show slot.why slot.resend slot.resolve slot.cancel "
        "bridge.check notice.add notice.list notice.remove notice.enable notice.disable notice.test "
        "notice.log schedule.import schedule.export simulate token.set token.show token.refresh "
        "token.login-url token.exchange tracking.import tracking.pending "
        "tracking.account.add tracking.account.set tracking.account.list tracking.account.show "
        "tracking.account.pause tracking.account.resume tracking.account.delete tracking.account.check "
        "tracking.account.test-notice tracking.carriers "
        "tracking.run tracking.dry-run tracking.redrive tracking.cancel tracking.jobs tracking.job "
        "tracking.conflicts tracking.decide tracking.why"
    )
    assert {tuple(name.split(".")) for name in wanted.split()} <= set(TREE)


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_every_command_explains_itself_and_gives_an_example(path: tuple[str, ...]) -> None:
    command = TREE[path]
    assert command.help
    assert command.epilog.startswith("Example")
    assert f"jeongsi {' '.join(path)}" in command.epilog
    assert jeongsi(*path, "--help").code == 0


@pytest.mark.parametrize("path", [path for path in TREE if path[-1] == "list"], ids=" ".join)
def test_every_list_can_be_read_by_programs(path: tuple[str, ...]) -> None:
    assert "--json" in {name for one in TREE[path].params for name in one.opts}


def test_the_flags_of_a_schedule_are_the_contract_ones() -> None:
    wanted = (
        "--title --room --text --image --send-order --interval --type --date --time --weekdays --peak-hours "
        "--cron --tz --valid-from --valid-until --misfire --grace --validity --priority --accept-limit"
    )
    for command in ("add", "edit", "next"):
        flags = {name for one in TREE["schedule", command].params for name in one.opts}
        assert set(wanted.split()) <= flags


def test_every_example_uses_flags_that_exist() -> None:
    for path, command in TREE.items():
        flags = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
        used = {word for word in command.epilog.split() if word.startswith("--")}
        assert used <= flags, path


def test_help_loads_nothing_that_it_does_not_need() -> None:
    """In CPU time: a clock on the wall would tell how busy the machine is."""
    took = []
    for _ in range(3):
        before = os.times()
        assert jeongsi_script("--help", env=dict(os.environ)).code == 0
        after = os.times()
        took.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    assert min(took) < 0.5


def test_an_unknown_command_is_bad_input() -> None:
    answer = jeongsi("schedul")
    assert answer.code == 2
    assert "schedule" in answer.err


def test_an_unexpected_failure_is_told_in_words_and_traced_only_on_demand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ops.cli.run import guarded

    def broken() -> None:
        raise ZeroDivisionError("nobody expected this")

    monkeypatch.delenv("JEONGSI_DEBUG", raising=False)
    assert guarded(broken) == 1
    monkeypatch.setenv("JEONGSI_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        guarded(broken)


def test_ctrl_c_ends_with_its_own_code() -> None:
    from ops.cli.run import guarded

    def interrupted() -> None:
        raise KeyboardInterrupt

    assert guarded(interrupted) == 130
