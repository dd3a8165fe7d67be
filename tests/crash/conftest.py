"""Processes that die at failpoints, and an engine in the test process that carries on after them."""

from __future__ import annotations

import pytest

from tests.support.sending_fixtures import (  # noqa: F401 - fixtures
    emulator,
    make_sending,
    scaled_env,
    sending,
    sending_database,
)
from tests.support.upload_fixtures import up  # noqa: F401 - fixtures


@pytest.fixture
def env(scaled_env: dict[str, str]) -> dict[str, str]:  # noqa: F811
    """What every child process gets: the scaled times."""
    return scaled_env
