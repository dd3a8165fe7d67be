"""From a channel's name in the settings to its adapter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateways.errors import UnknownChannel, UnusableChannel
from gateways.registry import adapter_for, close_adapters
from runtime.channels import one_device
from runtime.settings import get_settings


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.delenv("JEONGSI_EMULATOR_URL", raising=False)
    monkeypatch.delenv("KAKAO_BOT_URL", raising=False)
    get_settings.cache_clear()
    yield monkeypatch
    close_adapters()
    get_settings.cache_clear()


def use(settings: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        settings.setenv(name, value)
    get_settings.cache_clear()


def test_a_channel_has_one_adapter_per_process(settings: pytest.MonkeyPatch) -> None:
    use(settings, JEONGSI_EMULATOR_URL="http://127.0.0.1:9", KAKAO_BOT_URL="bridge+https://bot.example.com")
    assert adapter_for("bridge").channel == "bridge"
    assert adapter_for("emulator-key") is adapter_for("emulator-key")
    assert adapter_for("emulator-key") is not adapter_for("emulator-none")


def test_a_changed_address_gives_a_new_adapter(settings: pytest.MonkeyPatch) -> None:
    use(settings, KAKAO_BOT_URL="bridge+http://one.example.com")
    first = adapter_for("bridge")
    use(settings, KAKAO_BOT_URL="bridge+http://two.example.com")
    assert adapter_for("bridge") is not first


def test_an_unknown_channel_is_an_error_that_names_those_there_are(settings: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownChannel, match="none; set KAKAO_BOT_URL or JEONGSI_EMULATOR_URL"):
        adapter_for("bridge")
    use(settings, JEONGSI_EMULATOR_URL="http://127.0.0.1:9")
    with pytest.raises(UnknownChannel, match="'bridge'; the settings have: emulator-iris, emulator-key"):
        adapter_for("bridge")


def test_an_iris_channel_is_one_device_and_asks_nobody_what_it_can_do(settings: pytest.MonkeyPatch) -> None:
    use(settings, KAKAO_BOT_URL="iris+http://192.0.2.1:3000,busan=iris+http://192.0.2.2:3000")
    can = adapter_for("busan").capabilities()
    assert (can.exclusive, can.kind, can.resend_on_absent) == (True, "lookup", ("text",))
    assert one_device(get_settings().channels()) == {"iris", "busan"}


def test_an_address_with_a_password_is_refused_without_showing_it(settings: pytest.MonkeyPatch) -> None:
    use(settings, KAKAO_BOT_URL="bridge+http://me:s3cret@bot.example.com")
    with pytest.raises(UnusableChannel, match="no user or password") as refused:
        adapter_for("bridge")
    assert "s3cret" not in str(refused.value)
