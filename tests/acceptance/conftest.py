"""Fixtures for tests of real worker processes with scaled times."""

from __future__ import annotations

from tests.support.sending_fixtures import emulator, scaled_env, sending_database  # noqa: F401 - fixtures
