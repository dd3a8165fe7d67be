"""REDIS_URL: one Redis, or Sentinels; for us, and as Celery writes it."""

from __future__ import annotations

import pytest

from runtime.environment import SettingsError
from runtime.redis_address import for_celery, is_sentinel, sentinels_of
from runtime.settings import get_settings
from tests.support.environment import isolate

ADDRESS = "sentinel://:p%40ss@one:1,two/3?master=jeongsi&sentinel_password=w%26rd"


def test_an_address_of_sentinels_is_read_whole() -> None:
    known = sentinels_of(ADDRESS)
    assert known.hosts == (("one", 1), ("two", 26379))
    assert (known.master, known.db, known.username) == ("jeongsi", 3, None)
    assert (known.password, known.sentinel_password) == ("p@ss", "w&rd")


def test_celery_gets_its_own_form_of_it() -> None:
    address, options = for_celery(ADDRESS)
    assert address == "sentinel://:p%40ss@one:1/3;sentinel://:p%40ss@two:26379/3"
    assert options["master_name"] == "jeongsi"
    assert options["sentinel_kwargs"]["password"] == "w&rd"


def test_a_plain_address_stays_as_it_is() -> None:
    assert not is_sentinel("redis://:p@h:6379/0")
    assert for_celery("redis://:p@h:6379/0") == ("redis://:p@h:6379/0", {})


@pytest.mark.parametrize(
    ("url", "teaches"),
    [
        ("sentinel://one:x/0", "'one:x' is no HOST:PORT of a Sentinel"),
        ("sentinel:///0", "'' is no HOST:PORT of a Sentinel"),
        ("sentinel://one/a", "the database is a number, not 'a'"),
        ("sentinel://one/0?mastre=x", "mastre is unknown; there are master, sentinel_password"),
        ("http://one", "sentinel://:password@host1:26379,host2:26379/0?master=mymaster"),
    ],
)
def test_a_wrong_address_is_refused_with_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, url: str, teaches: str
) -> None:
    isolate(monkeypatch)
    get_settings.cache_clear()
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(SettingsError) as caught:
        get_settings()
    get_settings.cache_clear()
    assert teaches in str(caught.value)
