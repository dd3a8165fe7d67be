"""`jeongsi up`: run the whole system here until Ctrl-C, or for a given time, and show what it does."""

from __future__ import annotations

import datetime as dt
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from rich.console import Console
from rich.live import Live

from models.ledger import beat as ledger
from ops import demo
from ops.audit import Report, audit
from ops.local.home import Home, HomeBusy, HomeUnusable
from ops.local.live import Picture, plain_line
from ops.local.server import ServerFailed
from ops.local.stack import Options, Stack, StackFailed
from runtime.clock import clock
from runtime.settings import Settings, get_settings
from workers.flower_guard import password

_LOOK_S = 0.5
_DEMO_MINUTES = 10
_REAL = (
    "kakao_access_token", "kakao_refresh_token", "kakao_rest_api_key", "kakao_bot_url", "playauto_api_key",
    "notice_urls",
)  # fmt: skip


def run_up(for_seconds: float | None = None, options: Options | None = None) -> int:
    """Run until Ctrl-C (twice: at once), or for ``for_seconds``; answers the exit code.

    With a time, a summary for people goes to standard output, and as its last line one JSON object in
    the form of `jeongsi audit --json`; the code is 0 only if that audit is clean. Else 0 after a clean
    stop, 1 if the system did not come up.
    """
    home = Home(get_settings().home)
    began = clock().monotonic()
    try:
        with home.lock(), _stop_signals() as stop:
            home.clear_run()  # a killed run's addresses would look like servers of one's own
            get_settings.cache_clear()
            return _run(home, get_settings(), options or Options(), stop, began, for_seconds)
    except (HomeBusy, HomeUnusable, ServerFailed, StackFailed) as error:
        print(f"jeongsi up: {error}", file=sys.stderr)
        return 1


def _run(
    home: Home,
    settings: Settings,
    options: Options,
    stop: threading.Event,
    began: float,
    for_seconds: float | None,
) -> int:
    console = Console()
    stack = Stack(
        home, settings, options, lambda sentence: console.print(sentence, style="dim", markup=False)
    )
    try:
        stack.start_servers()
        with stack.connect() as db:
            since = ledger.now(db)
            console.print(_make_demo(stack, settings, db), markup=False)
            stack.start_system()
            _say_ready(console, stack, settings, clock().monotonic() - began)
            _watch(console, stack, db, since, lambda: _left(began, for_seconds, stop))
            console.print("stopping …", style="dim")
            stack.stop_system()
            return 0 if for_seconds is None else _report(console, stack, db, since)
    except psycopg.OperationalError as error:
        raise StackFailed(
            f"The database went away: {error}. Its log is in {home.path / 'postgres'}"
        ) from error
    finally:
        stack.stop_system()
        stack.stop_servers()


def _make_demo(stack: Stack, settings: Settings, db: psycopg.Connection[Any]) -> str:
    """Test rooms and schedules, only where nothing real can be meant (design.md section 8)."""
    real = [name.upper() for name in _REAL if getattr(settings, name)]
    if not stack.embedded:
        return "DATABASE_URL is set: no demo rooms or schedules are made."
    if real:
        return f"Real credentials are present ({', '.join(real)}): no demo rooms or schedules are made."
    try:
        demo.seed(db)
        made = demo.demo_sends(db, minutes=_DEMO_MINUTES)
        at = demo.demo_uploads(db, stack.emulator_url) if stack.playauto_url else None
    except demo.NoDemo as reason:
        return str(reason)
    told = f"demo: {made} one-off sends in {_DEMO_MINUTES} minutes, to test rooms of the emulator only"
    return told if at is None else f"{told}\ndemo: tracking numbers go to the emulated PlayAuto at {at:%H:%M}"


def _say_ready(console: Console, stack: Stack, settings: Settings, took_s: float) -> None:
    console.print(f"up after {took_s:.1f} s", style="bold green")
    for line in _addresses(stack, settings):
        console.print(line, markup=False)


def _addresses(stack: Stack, settings: Settings) -> list[str]:
    return [
        f"Flower    {stack.flower_url}  (user {settings.flower_user}, password {password(settings)})",
        f"emulator  {stack.emulator_url}  receipts in {stack.receipts}",
        f"logs      {stack.home.path / 'log'}",
        "try       .venv/bin/jeongsi slot list   .venv/bin/jeongsi doctor   .venv/bin/jeongsi audit",
        "          .venv/bin/jeongsi tracking account list   .venv/bin/jeongsi tracking pending",
    ]


def _watch(
    console: Console, stack: Stack, db: psycopg.Connection[Any], since: dt.datetime, left: Callable[[], float]
) -> None:
    if console.is_terminal:
        _watch_table(console, stack, db, since, left)
    else:
        _watch_lines(console, stack, db, since, left)


def _watch_table(
    console: Console, stack: Stack, db: psycopg.Connection[Any], since: dt.datetime, left: Callable[[], float]
) -> None:
    footer = _addresses(stack, get_settings())
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while left() > 0:
            for sentence in stack.check():
                console.print(sentence, style="yellow", markup=False)
            rows = max(5, console.size.height - 9 - len(footer))
            live.update(Picture(db, since, rows).drawn("정시 · Jeongsi   (Ctrl-C stops)", footer))
            clock().wait(min(_LOOK_S, max(left(), 0.0)))


def _watch_lines(
    console: Console, stack: Stack, db: psycopg.Connection[Any], since: dt.datetime, left: Callable[[], float]
) -> None:
    shown: set[Any] = set()
    while left() > 0:
        for sentence in stack.check():
            console.print(sentence, markup=False, soft_wrap=True)
        for row in reversed(Picture(db, since, 200).rows):
            if row.ended_at is not None and row.id not in shown:
                shown.add(row.id)
                console.print(plain_line(row), markup=False, highlight=False, soft_wrap=True)
        clock().wait(min(_LOOK_S, max(left(), 0.0)))


def _report(console: Console, stack: Stack, db: psycopg.Connection[Any], since: dt.datetime) -> int:
    report: Report = audit(db, receipts=stack.receipts if stack.embedded else None)
    console.print(Picture(db, since, 1).summary(), markup=False, soft_wrap=True)
    for violation in report.as_json()["violations"]:
        console.print(
            f"{violation['invariant']}: {violation['detail']}", style="red", markup=False, soft_wrap=True
        )
    console.print("audit clean" if report.ok else "audit FOUND VIOLATIONS", style="bold")
    print(json.dumps(report.as_json(), ensure_ascii=False), flush=True)
    return 0 if report.ok else 1


def _left(began: float, for_seconds: float | None, stop: threading.Event) -> float:
    if stop.is_set():
        return 0.0
    return _LOOK_S if for_seconds is None else for_seconds - (clock().monotonic() - began)


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM set the event; a second one ends this process, and the kernel its children."""
    stop = threading.Event()

    def ask(number: int, _frame: object) -> None:
        if stop.is_set():
            raise SystemExit(128 + number)
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
