"""Pointing this process at a test's servers, with nothing remembered from the test before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateways import registry
from runtime import clock, database, failpoints, redis_client
from runtime.environment import NOT_SETTINGS, variable
from runtime.settings import Settings, get_settings


def clear_caches() -> None:
    """Forget settings, adapters, connections, failpoint counts and a clock that was set."""
    registry.close_adapters()
    get_settings.cache_clear()
    database.reset_pool()
    redis_client.reset_clients()
    failpoints.reset()
    clock.set_clock(None)


def isolate(patch: pytest.MonkeyPatch) -> None:
    """Take away every variable of ours and the `.env` file: a test sees only what it sets."""
    ours = {variable(field) for field in Settings.model_fields}
    for name in list(os.environ):
        if name.removesuffix("_FILE") in ours or name in NOT_SETTINGS:
            patch.delenv(name)
    patch.setenv("JEONGSI_ENV_FILE", "")


def point_at(patch: pytest.MonkeyPatch, database_url: str, redis_url: str, home: Path) -> dict[str, str]:
    """Set the environment for one test; returns the variables, for child processes."""
    isolate(patch)
    wanted = {
        "DATABASE_URL": database_url, "REDIS_URL": redis_url, "JEONGSI_HOME": str(home),
        "ENVIRONMENT": "testing", "JEONGSI_ENV_FILE": "",
    }  # fmt: skip
    for name, value in wanted.items():
        patch.setenv(name, value)
    return wanted
