"""PlayAuto's tokens: 24 hours, one for all workers, renewed once when refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateways.errors import PlayAutoUnavailable
from gateways.http import Transport
from gateways.playauto.accounts import account_of, client_for
from gateways.playauto.client import Client
from gateways.playauto.token_store import SharedToken
from gateways.playauto.tokens import AHEAD_S, Tokens
from gateways.playauto.values import NotSent, Refused
from ops.emulator import Emulator, Rule
from ops.emulator.playauto import PlayAuto
from ops.emulator.playauto.orders import TO_SHIP
from runtime.events import Event, captured
from runtime.redis_client import lock_redis
from runtime.redis_keys import playauto_login, playauto_token
from runtime.settings import get_settings
from tests.support.environment import clear_caches
from tests.support.playauto_env import rows_of


@pytest.fixture
def worker(playauto_env: dict[str, str]) -> Iterator[Callable[[], Tokens]]:
    """Makes the token as another process would hold it."""
    settings = get_settings()
    account, made = account_of(settings), []

    def make() -> Tokens:
        made.append(Transport(settings.playauto_api_url, deadline_s=1.0))
        return Tokens(account, made[-1], SharedToken(account.id))

    yield make
    for one in made:
        one.close()


def logins(playauto: PlayAuto) -> int:
    return sum(one["path"].endswith("/auth") for one in playauto.requests)


@pytest.mark.parametrize("auth_object", [False, True])
def test_a_login_is_read_from_an_array_and_from_an_object(
    client: Client, playauto: PlayAuto, auth_object: bool
) -> None:
    playauto.rules.auth_object = auth_object
    assert {one.code for one in client.carriers()} >= {"1", "4", "5", "6", "8"}


def test_many_workers_that_start_at_once_log_in_once(
    worker: Callable[[], Tokens], playauto: PlayAuto
) -> None:
    workers = [worker() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda one: one.fresh(), workers))
    assert len(set(tokens)) == 1
    assert logins(playauto) == 1


@pytest.mark.parametrize("rules", [{}, {"errors_with_200": False}, {"numeric_codes": True}])
def test_a_token_that_ends_in_mid_run_is_renewed_and_nothing_is_done_twice(
    client: Client, playauto: PlayAuto, rules: dict[str, Any]
) -> None:
    playauto.seed(100, states={TO_SHIP: 1.0}, bundled=0.0)
    playauto.rules.change(rules)
    read = client.orders(page=30)
    first = [next(read) for _ in range(30)]
    playauto.expire_tokens()
    assert len({one.uniq for one in [*first, *read]}) == 100
    playauto.expire_tokens()
    assert {one.kind for one in client.set_invoices(rows_of(playauto)).values()} == {"stored"}
    assert logins(playauto) == 3
    assert playauto.changes.summary()["stored_again"] == 0


def test_a_worker_whose_token_another_one_renewed_takes_that_one(
    worker: Callable[[], Tokens], playauto: PlayAuto
) -> None:
    one, other = worker(), worker()
    old = one.fresh()
    assert isinstance(old, str)
    assert other.fresh() == old
    one.refuse(old)
    new = one.fresh()
    other.refuse(old)
    assert other.fresh() == new != old
    assert logins(playauto) == 2


def test_a_token_is_renewed_in_its_last_hour(worker: Callable[[], Tokens], playauto: PlayAuto) -> None:
    account = account_of(get_settings())
    SharedToken(account.id).save("worn", AHEAD_S - 10)
    assert worker().fresh() != "worn"
    SharedToken(account.id).save("still-good", AHEAD_S + 10)
    assert worker().fresh() == "still-good"
    assert logins(playauto) == 1


def test_a_worn_token_goes_on_while_nobody_can_log_in(
    worker: Callable[[], Tokens], emulator: Emulator, playauto: PlayAuto
) -> None:
    account = account_of(get_settings())
    SharedToken(account.id).save("worn", AHEAD_S - 10)
    emulator.faults.add(Rule("500_before", channel="playauto-auth", count=None))
    tokens = worker()
    assert [tokens.fresh(), tokens.fresh()] == ["worn", "worn"]
    assert logins(playauto) == 1, "a login that failed is not tried again at each call"


def test_a_worn_token_goes_on_while_another_worker_logs_in(
    worker: Callable[[], Tokens], playauto: PlayAuto
) -> None:
    account = account_of(get_settings())
    SharedToken(account.id).save("worn", AHEAD_S - 10)
    lock_redis().set(playauto_login(account.id), "another", px=5000)
    assert worker().fresh() == "worn"
    assert logins(playauto) == 0


@pytest.mark.parametrize("fault", ["500_before", "drop", "html_404"])
def test_a_login_that_cannot_be_reached_proves_that_nothing_was_sent(
    client: Client, emulator: Emulator, playauto: PlayAuto, fault: str
) -> None:
    playauto.seed(1, states={TO_SHIP: 1.0})
    emulator.faults.add(Rule(fault, channel="playauto-auth"))
    (outcome,) = client.set_invoices(rows_of(playauto)).values()
    assert isinstance(outcome, NotSent)
    assert outcome.reason.startswith("playauto_login_unreachable")
    (outcome,) = client.set_invoices(rows_of(playauto)).values()
    assert outcome.kind == "stored"


@pytest.mark.parametrize(
    ("variable", "code"), [("PLAYAUTO_PASSWORD", "e1002"), ("PLAYAUTO_API_KEY", "e1001")]
)
def test_a_wrong_login_is_said_once_and_not_hammered(
    playauto_env: dict[str, str],
    playauto: PlayAuto,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    code: str,
) -> None:
    """C92: wrong PlayAuto settings are visible, with what to do about them."""
    playauto.seed(1, states={TO_SHIP: 1.0})
    monkeypatch.setenv(variable, "wrong")
    clear_caches()
    with captured() as heard:
        outcomes = [next(iter(client_for().set_invoices(rows_of(playauto)).values())) for _ in range(3)]
    assert {(one.code, one.whole) for one in outcomes if isinstance(one, Refused)} == {(code, True)}
    assert logins(playauto) == 1
    refusals = [fields for event, fields in heard if event is Event.PLAYAUTO_LOGIN_REFUSED]
    assert len(refusals) == 1
    assert "PLAYAUTO_API_KEY" in refusals[0]["reason"]
    assert "wrong" not in str(refusals)


def test_an_account_that_was_never_approved_is_told_so(client: Client, playauto: PlayAuto) -> None:
    playauto.rules.not_approved.add("me@example.com")
    with pytest.raises(PlayAutoUnavailable, match="ask PlayAuto to approve") as caught:
        client.carriers()
    assert caught.value.retryable is False


def test_the_other_form_of_a_login_works(
    playauto_env: dict[str, str], playauto: PlayAuto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLAYAUTO_EMAIL")
    monkeypatch.delenv("PLAYAUTO_PASSWORD")
    monkeypatch.setenv("PLAYAUTO_AUTHENTICATION_KEY", "the-key")
    playauto.rules.authentication_key = "the-key"
    clear_caches()
    assert client_for().carriers()


def test_without_redis_each_process_has_its_own_token(
    worker: Callable[[], Tokens], playauto: PlayAuto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    clear_caches()
    tokens = [worker().fresh(), worker().fresh()]
    assert len(set(tokens)) == 2
    assert all(isinstance(one, str) for one in tokens)


def test_a_token_lies_sealed_in_redis_and_ends_there(
    worker: Callable[[], Tokens], playauto: PlayAuto
) -> None:
    token = worker().fresh()
    key = playauto_token(account_of(get_settings()).id)
    kept = str(lock_redis().get(key))
    assert isinstance(token, str)
    assert token not in kept
    assert 86_000 < lock_redis().ttl(key) <= 86_400
    lock_redis().set(key, "what another key sealed", keepttl=True)
    assert worker().fresh() != token
