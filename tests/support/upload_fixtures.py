"""A run for tests: both sides' orders, the emulated PlayAuto, and one process's crew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.emulator import Emulator
from runtime.settings import get_settings
from tasks.tracking.crew import Crew
from tests.support import databases
from tests.support.environment import clear_caches
from tests.support.uploading import SCALED, Uploading


@pytest.fixture
def up(
    scaled_env: dict[str, str], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Uploading]:
    for name, value in {**SCALED, "PLAYAUTO_API_URL": f"{emulator.url}/playauto"}.items():
        monkeypatch.setenv(name, value)
    clear_caches()
    with databases.connect(scaled_env["DATABASE_URL"]) as db:
        yield Uploading(db, emulator.playauto())


@pytest.fixture
def crew(up: Uploading) -> Iterator[Crew]:
    """The threads of one process."""
    one = Crew(get_settings())
    one.start()
    yield one
    one.stop(5)
