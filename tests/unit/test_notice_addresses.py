"""Addresses of targets: read or refused with a reason, and never shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateways.notices import BadAddress, fingerprint, parse, split
from gateways.notices.address import forbidden
from runtime.settings import Settings, get_settings


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("JEONGSI_ENV_FILE", "")
    get_settings.cache_clear()
    yield get_settings()
    get_settings.cache_clear()


DISCORD = "https://discord.com/api/webhooks/123/abc-DEF_9"
SLACK = "https://hooks.slack.com/services/T000/B000/XXXX"


@pytest.mark.parametrize(
    ("url", "service", "base", "path"),
    [
        (DISCORD, "discord", "https://discord.com", "/api/webhooks/123/abc-DEF_9?wait=true"),
        (f"{DISCORD}/?thread_id=99", "discord", "https://discord.com",
         "/api/webhooks/123/abc-DEF_9?wait=true&thread_id=99"),
        ("https://discordapp.com/api/v10/webhooks/1/t", "discord", "https://discordapp.com",
         "/api/v10/webhooks/1/t?wait=true"),
        ("discord://123/abc", "discord", "https://discord.com", "/api/webhooks/123/abc?wait=true"),
        ("discord://bot@123/abc?thread=5", "discord", "https://discord.com",
         "/api/webhooks/123/abc?wait=true&thread_id=5"),
        (SLACK, "slack", "https://hooks.slack.com", "/services/T000/B000/XXXX"),
        ("slack://T000/B000/XXXX", "slack", "https://hooks.slack.com", "/services/T000/B000/XXXX"),
        ("jsons://host:8443/in/tray", "json", "https://host:8443", "/in/tray"),
        ("json://host", "json", "http://host", "/"),
        ("mailto://user:pass@gmail.com", "mailto", "", ""),
        ("json://user:pass@host/path", "json", "", ""),
        ("tgram://123456789:ABCdefGhIJKlmNoPQRsTUVwxyZ123456789/123456", "tgram", "", ""),
    ],
)  # fmt: skip
def test_an_address_is_read(url: str, service: str, base: str, path: str) -> None:
    """C84, E06: Discord, Slack, and any address that Apprise knows."""
    found = parse(f" {url}\n")
    assert (found.service, found.base, found.path) == (service, base, path)
    assert url.split("//")[1] not in repr(found)


def test_a_webhook_at_the_emulator_is_read_by_the_base_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEONGSI_DISCORD_URL", "http://127.0.0.1:9/discord")
    get_settings.cache_clear()
    for url in ("http://127.0.0.1:9/discord/api/webhooks/1/t", "discord://1/t"):
        found = parse(url)
        assert (found.base, found.path) == ("http://127.0.0.1:9/discord", "/api/webhooks/1/t?wait=true")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "no scheme"),
        ("discord.com/api/webhooks/1/secret-token", "no scheme"),
        ("https://discord.com/api/webhooks/1", "no whole webhook URL"),
        ("https://hooks.slack.com/services/T/secret-token", "no whole webhook URL"),
        ("https://example.com/secret-token", "jsons://host/path"),
        ("http://discord.com/api/webhooks/1/secret-token", "Discord and Slack only"),
        ("nosuch://secret-token", "Apprise cannot read this nosuch:// address"),
        ("discord://", "Apprise cannot read this discord:// address"),
        ("json://", "needs a host"),
    ],
)
def test_a_bad_address_is_refused_with_its_reason_and_not_shown(url: str, reason: str) -> None:
    """C90: webhook URLs are validated."""
    with pytest.raises(BadAddress, match=reason) as refused:
        parse(url)
    assert "secret-token" not in str(refused.value)


def test_several_addresses_stand_in_one_setting() -> None:
    assert split(f"{DISCORD}, {SLACK}\n mailto://a:b@c.kr?to=x,y") == [
        DISCORD, SLACK, "mailto://a:b@c.kr?to=x,y",
    ]  # fmt: skip
    assert split(" ,, ") == []
    assert fingerprint(DISCORD) == fingerprint(f"{DISCORD} ")


@pytest.mark.parametrize(
    ("url", "closed"),
    [
        ("json://127.0.0.1/x", True), ("json://localhost/x", True), ("json://169.254.169.254/latest", True),
        ("json://[::1]/x", True), ("json://[::ffff:127.0.0.1]/x", True), ("json://0.0.0.0/x", True),
        ("gotify://127.0.0.1/token", True), ("json://10.0.0.5/x", False), ("json://8.8.8.8/x", False),
        ("mailto://u:p@gmail.com", False),
    ],
)  # fmt: skip
def test_in_production_no_notice_goes_to_this_machine_or_its_link(
    url: str, closed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = parse(url)
    assert forbidden(address, get_settings()) is None
    monkeypatch.setenv("ENVIRONMENT", "production")
    get_settings.cache_clear()
    assert (forbidden(address, get_settings()) is not None) == closed
