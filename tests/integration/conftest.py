"""What tests of the ledger share."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.ledger_time import LedgerTime
from tests.support.ledger_world import World


@pytest.fixture
def world(pg: psycopg.Connection) -> World:
    """A ledger whose time stands still until it is moved, and one worker's sentences."""
    return World(pg, LedgerTime(pg))
