"""An account's credentials and webhooks are sealed, and shown to nobody."""

from __future__ import annotations

import pytest

from models.store import NotFound, Refused
from models.store.accounts import (
    Credentials,
    load_credentials,
    save_credentials,
    sealed_webhook,
    webhook_of,
)
from runtime.sealing import Unsealable
from runtime.settings import get_settings
from tests.support.environment import clear_caches
from tests.support.ledger_world import World
from tests.support.tracking import account

MINE = Credentials(api_key="key-1", email="a@b.kr", password="secret")


@pytest.fixture(autouse=True)
def _key(ledger_env: dict[str, str]) -> None:
    """The key that seals lies in the test's home."""


def test_credentials_come_back_and_stand_nowhere_in_the_clear(world: World) -> None:
    scheduler = account(world.db)
    assert load_credentials(world.db, "default") is None
    save_credentials(world.db, "default", MINE)
    assert load_credentials(world.db, "default") == MINE
    held = world.value("SELECT to_jsonb(t)::text FROM tracking_upload_scheduler t WHERE id = %s", scheduler)
    told = world.value("SELECT string_agg(row::text, '') FROM kb_schedule_history")
    assert "secret" not in held + told + repr(MINE)
    assert "key-1" not in held + told + repr(MINE)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (Credentials(api_key=" ", authentication_key="x"), "api_key"),
        (Credentials(api_key="k"), "email"),
        (Credentials(api_key="k", email="a@b.kr"), "email"),
    ],
)
def test_credentials_with_which_nobody_can_log_in_are_refused(
    world: World, given: Credentials, field: str
) -> None:
    account(world.db)
    with pytest.raises(Refused, match=field):
        save_credentials(world.db, "default", given)


def test_an_account_that_does_not_exist_has_none(world: World) -> None:
    with pytest.raises(NotFound):
        save_credentials(world.db, "brand", MINE)
    assert load_credentials(world.db, "brand") is None


def test_a_webhook_is_read_sealed_or_as_other_programs_wrote_it() -> None:
    """C12, C13."""
    url = "https://discord.com/api/webhooks/1/secret"
    kept = sealed_webhook(url)
    assert "secret" not in kept
    assert webhook_of(kept) == url
    assert webhook_of(url) == url
    assert webhook_of(None) is None


def test_another_installations_key_opens_nothing() -> None:
    kept = sealed_webhook("https://hooks.slack.com/services/x")
    (get_settings().home / "secret.key").unlink()
    clear_caches()
    with pytest.raises(Unsealable):
        webhook_of(kept)
