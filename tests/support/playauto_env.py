"""Fixtures for tests of PlayAuto's client: the emulator, real Redis, and an account in the settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateways.playauto.accounts import client_for
from gateways.playauto.client import Client
from gateways.playauto.values import InvoiceRow
from ops.emulator import Emulator
from ops.emulator.playauto import PlayAuto
from tests.support.environment import clear_caches, point_at

NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def playauto_env(
    redis_url: str, home: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """This process has an account at the emulator; a request ends after 1 s."""
    clear_caches()
    variables = point_at(monkeypatch, NO_DATABASE, redis_url, home)
    variables |= {
        "PLAYAUTO_API_URL": f"{emulator.url}/playauto", "PLAYAUTO_API_KEY": "key",
        "PLAYAUTO_EMAIL": "me@example.com", "PLAYAUTO_PASSWORD": "hunter2", "JEONGSI_PLAYAUTO_TIMEOUT_S": "1",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield variables
    clear_caches()


@pytest.fixture
def playauto(emulator: Emulator) -> PlayAuto:
    """The account's world."""
    return emulator.playauto()


@pytest.fixture
def client(playauto_env: dict[str, str]) -> Client:
    """The client of that account."""
    return client_for()


def rows_of(playauto: PlayAuto, state: str | None = None) -> list[InvoiceRow]:
    """A number for each bundle of the world (in this state), oldest first."""
    bundles = [one["bundle_no"] for one in playauto.bundles(state)]
    return [InvoiceRow(bundle, "4", f"6{n:011}") for n, bundle in enumerate(bundles)]
