"""Settings: one frozen object whose errors say which variable is wrong and what would be right."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.environment import NOT_SETTINGS, variable
from runtime.settings import Settings, SettingsError, get_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment without any of our variables, in an empty folder."""
    ours = {variable(field) for field in Settings.model_fields}
    for name in list(os.environ):
        if name.removesuffix("_FILE") in ours or name in NOT_SETTINGS:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_everything_has_a_default_that_agrees_with_the_rest() -> None:
    settings = get_settings()
    assert settings.database_url is None
    assert list(settings.retry_delays_s) == [60, 120, 300, 600]
    assert settings.home.is_absolute()


def test_settings_are_read_once_and_cannot_be_changed() -> None:
    assert get_settings() is get_settings()
    with pytest.raises(Exception, match="frozen"):
        setattr(get_settings(), "lease_s", 9.0)  # noqa: B010


@pytest.mark.parametrize(
    ("name", "value", "teaches"),
    [
        ("JEONGSI_LEASE_S", "soon", "JEONGSI_LEASE_S='soon': input should be a valid number"),
        ("JEONGSI_LEASE_S", "-1", "JEONGSI_LEASE_S='-1': input should be greater than 0"),
        (
            "DATABASE_URL",
            "mysql://u:s3cret@h/d",
            "DATABASE_URL=(hidden): a PostgreSQL address is needed, like",
        ),
        ("REDIS_URL", "http://h", "REDIS_URL=(hidden): a Redis address is needed, like redis://"),
        ("ENVIRONMENT", "prod", "'development', 'production' or 'testing'"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL='LOUD': one of DEBUG, INFO, WARNING, ERROR, CRITICAL is needed"),
        ("JEONGSI_LOG_LEVELS", "gateways:DEBUG", "as in gateways=DEBUG,beat=WARNING"),
        ("JEONGSI_RETRY_DELAYS_S", "60,two", "JEONGSI_RETRY_DELAYS_S='60,two'"),
        ("JEONGSI_RETRY_DELAYS_S", "60", "needs a delay for every try after the first"),
        ("KAKAO_API_URL", "kapi", "KAKAO_API_URL='kapi': a web address is needed"),
        (
            "KAKAO_BOT_URL",
            "http://h",
            "as in iris+http://192.168.0.20:3000,busan=bridge+https://bot.example.com",
        ),
        ("KAKAO_BOT_URL", "a=iris+http://h,a=iris+http://i", "two room bots are called 'a'"),
        ("JEONGSI_RENEW_S", "3", "JEONGSI_RENEW_S must be below JEONGSI_LOCK_TTL_S"),
        ("JEONGSI_PONR_LEASE_S", "9", "JEONGSI_PONR_LEASE_S must be at least JEONGSI_HTTP_DEADLINE_S"),
        ("JEONGSI_SETTLE_S", "10", "JEONGSI_SETTLE_S must be above JEONGSI_HTTP_DEADLINE_S"),
        ("JEONGSI_LOCK_TTLS", "3", "JEONGSI_LOCK_TTLS is no setting. Did you mean JEONGSI_LOCK_TTL_S?"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, teaches: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        get_settings()
    assert teaches in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEONGSI_LEASE_S", "x")
    monkeypatch.setenv("JEONGSI_GUARD_MS", "y")
    with pytest.raises(SettingsError, match=r"JEONGSI_LEASE_S(.|\n)*JEONGSI_GUARD_MS"):
        get_settings()


def test_a_variable_of_somebody_else_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEONGSI_API_SERVICE_HOST", "10.0.0.1")
    get_settings()


def test_a_secret_comes_from_the_file_its_variable_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    monkeypatch.setenv("KAKAO_ACCESS_TOKEN_FILE", str(tmp_path / "token"))
    token = get_settings().kakao_access_token
    assert token is not None
    assert token.get_secret_value() == "t0ken"
    assert "t0ken" not in repr(get_settings())


def test_a_secret_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAKAO_ACCESS_TOKEN", "a")
    monkeypatch.setenv("KAKAO_ACCESS_TOKEN_FILE", "/nowhere")
    with pytest.raises(SettingsError, match="both set: keep one"):
        get_settings()


def test_a_secret_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYAUTO_PASSWORD_FILE", "/nowhere/at/all")
    with pytest.raises(SettingsError, match="PLAYAUTO_PASSWORD_FILE=/nowhere/at/all: cannot be read"):
        get_settings()


def test_the_environment_is_stronger_than_the_env_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=debug\nJEONGSI_GUARD_MS=300\nKAKAO_BOT_URL=\n")
    monkeypatch.setenv("JEONGSI_GUARD_MS", "400")
    assert get_settings().log_level == "DEBUG"
    assert get_settings().guard_ms == 400


def test_addresses_of_the_running_local_stack_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    noted = {"database_url": "postgresql://local", "redis_url": "redis://local", "pids": [1]}
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "run.json").write_text(json.dumps(noted))
    monkeypatch.setenv("JEONGSI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REDIS_URL", "redis://own")
    assert get_settings().database_url == "postgresql://local"
    assert get_settings().redis_url == "redis://own"


def test_the_local_stacks_playauto_is_for_its_own_database_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Numbers of real orders must not end in an emulator, marked as uploaded."""
    noted = {"database_url": "postgresql://local/trial", "playauto_api_url": "http://127.0.0.1:9/playauto"}
    (tmp_path / "run.json").write_text(json.dumps(noted))
    monkeypatch.setenv("JEONGSI_HOME", str(tmp_path))
    assert get_settings().playauto_api_url == "http://127.0.0.1:9/playauto"
    for name, value, wanted in (
        ("DATABASE_URL", "postgresql://local/trial", "http://127.0.0.1:9/playauto"),
        ("DATABASE_URL", "postgresql://db/real", "https://openapi.playauto.io/api"),
        ("PLAYAUTO_API_URL", "https://proxy.example.com", "https://proxy.example.com"),
    ):
        monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        assert get_settings().playauto_api_url == wanted


def test_without_a_server_the_error_says_how_to_get_one() -> None:
    with pytest.raises(
        SettingsError, match=r"DATABASE_URL is not set, and no local stack runs in .* `make up`"
    ):
        get_settings().needed_database_url()


def test_a_url_for_sqlalchemy_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://u:p@h:5/d")
    assert get_settings().database_url == "postgresql://u:p@h:5/d"
    assert "u:p" not in repr(get_settings())


def test_channels_are_named_after_their_kind_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "KAKAO_BOT_URL", "iris+http://a:3000/, bridge+https://b ,iris+http://c,busan=iris+http://d"
    )
    monkeypatch.setenv("JEONGSI_EMULATOR_URL", "http://127.0.0.1:9/")
    assert get_settings().channels() == {
        "iris": "iris+http://a:3000",
        "bridge": "bridge+https://b",
        "iris-2": "iris+http://c",
        "busan": "iris+http://d",
        "emulator-key": "bridge+http://127.0.0.1:9/key",
        "emulator-lookup": "bridge+http://127.0.0.1:9/lookup",
        "emulator-none": "bridge+http://127.0.0.1:9/none",
        "emulator-iris": "iris+http://127.0.0.1:9/iris",
    }


def test_the_example_file_names_every_setting_and_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    example = ROOT / ".env.example"
    named = set(re.findall(r"^([A-Z_]+)=", example.read_text(encoding="utf-8"), re.MULTILINE))
    assert named == {variable(field) for field in Settings.model_fields}
    defaults = get_settings()
    get_settings.cache_clear()
    monkeypatch.setenv("JEONGSI_ENV_FILE", str(example))
    assert get_settings().model_copy(update={"log_levels": {}}) == defaults
