"""A target's address: which service it is, and what of it must never be shown (all of it)."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import socket
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from runtime.settings import Settings, get_settings

_DISCORD_HOSTS = frozenset({"discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"})
_DISCORD_PATH = re.compile(r"/api(?:/v\d+)?/webhooks/(\d+)/([\w-]+)/?", re.ASCII)
_SLACK_PATH = re.compile(r"/services/([\w-]+)/([\w-]+)/([\w-]+)/?", re.ASCII)
_THREAD = re.compile(r"\d{1,25}", re.ASCII)
_EXAMPLES = "https://discord.com/api/webhooks/…, https://hooks.slack.com/services/…, mailtos://…"


class BadAddress(ValueError):
    """No notice can be sent there; the message says why and shows nothing of the address."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where one target is reached. `base` and `path` for our own transport, else the Apprise `url`."""

    service: str
    url: str = field(repr=False)
    base: str = field(default="", repr=False)
    path: str = field(default="", repr=False)


def split(text: str) -> list[str]:
    """The addresses of JEONGSI_NOTICE_URLS: separated by blanks, or by commas before a new scheme."""
    spaced = re.sub(r",\s*(?=[a-zA-Z][\w+.-]*://)", " ", text)
    return [one.strip(",") for one in spaced.split() if one.strip(",")]


def fingerprint(url: str) -> str:
    """The same address is known again by this; nothing of it can be read from it."""
    return hashlib.sha256(url.strip().encode()).hexdigest()


def parse(url: str, settings: Settings | None = None) -> Address:
    """Read an address. Raises BadAddress for what no service can be."""
    known, url = settings or get_settings(), url.strip()
    parts = urlsplit(url)
    match parts.scheme:
        case "":
            raise BadAddress(f"it has no scheme; an address looks like {_EXAMPLES}")
        case "http" | "https":
            return _webhook(url, known)
        case "discord":
            return _short_discord(url, known) or _by_apprise(url)
        case "slack":
            return _short_slack(url, known) or _by_apprise(url)
        case "json" | "jsons":
            return _json(url) or _by_apprise(url)
        case _:
            return _by_apprise(url)


def forbidden(address: Address, settings: Settings) -> str | None:
    """Why nothing may be sent there, or None.

    In production this machine itself and link-local hosts are closed, so that no notice reaches a cloud's
    metadata service. A name is looked up only where it is surely one: in Apprise's it may be a token.
    """
    if settings.environment != "production":
        return None
    host = urlsplit(address.base or address.url).hostname or ""
    hosts = [host]
    if address.base:
        try:
            hosts = [str(found[4][0]) for found in socket.getaddrinfo(host, None)]
        except OSError:
            return None  # connecting will say so
    return "in production no notice goes to this machine or its link" if any(map(_closed, hosts)) else None


def _closed(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast


def _webhook(url: str, settings: Settings) -> Address:
    """A URL as the services hand it out, or the same at the settings' base address."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    for ours, service in ((settings.discord_url, "discord"), (settings.slack_url, "slack")):
        if url.startswith(f"{ours}/"):
            found = _at(service, ours, url[len(ours) :])
            if found is not None:
                return found
    if parts.scheme == "https" and parts.hostname in _DISCORD_HOSTS:
        found = _at("discord", origin, url[len(origin) :])
    elif parts.scheme == "https" and parts.hostname == "hooks.slack.com":
        found = _at("slack", origin, url[len(origin) :])
    else:
        raise BadAddress(
            "a plain web address is taken for Discord and Slack only; for others use their Apprise"
            " address, or jsons://host/path for a JSON request"
        )
    if found is None:
        raise BadAddress("it is no whole webhook URL; copy it again from the service's own page")
    return found


def _at(service: str, base: str, rest: str) -> Address | None:
    path, _, query = rest.partition("?")
    pattern = _DISCORD_PATH if service == "discord" else _SLACK_PATH
    if not pattern.fullmatch(path):
        return None
    path = path.rstrip("/")
    if service == "discord":
        path += "?wait=true" + _thread(query, "thread_id")
    return Address(service, base + rest, base, path)


def _thread(query: str, name: str) -> str:
    thread = parse_qs(query).get(name, [""])[0]
    return f"&thread_id={thread}" if _THREAD.fullmatch(thread) else ""


def _short_discord(url: str, settings: Settings) -> Address | None:
    """Apprise's discord://id/token."""
    parts = urlsplit(url)
    path = f"/api/webhooks/{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
    if not _DISCORD_PATH.fullmatch(path):
        return None
    return Address("discord", url, settings.discord_url, f"{path}?wait=true{_thread(parts.query, 'thread')}")


def _short_slack(url: str, settings: Settings) -> Address | None:
    """Apprise's slack://A/B/C; with channels or a bot's token it stays Apprise's."""
    parts = urlsplit(url)
    path = f"/services/{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
    if parts.fragment or not _SLACK_PATH.fullmatch(path):
        return None
    return Address("slack", url, settings.slack_url, path)


def _json(url: str) -> Address | None:
    parts = urlsplit(url)
    if not parts.hostname:
        raise BadAddress("json:// needs a host, as in jsons://host/path")
    if parts.query or parts.username or parts.fragment:
        return None
    scheme = "https" if parts.scheme == "jsons" else "http"
    return Address("json", url, f"{scheme}://{parts.netloc}", parts.path or "/")


def _by_apprise(url: str) -> Address:
    from gateways.notices.by_apprise import readable

    scheme = urlsplit(url).scheme
    if not readable(url):
        raise BadAddress(f"Apprise cannot read this {scheme}:// address; its form stands at appriseit.com")
    return Address(scheme, url)
