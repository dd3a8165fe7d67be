"""Which room bots there are: the text of KAKAO_BOT_URL, read into names and URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

KINDS = ("bridge", "iris")
#: Of these kinds a whole channel is one device that carries one request at a time.
ONE_DEVICE = ("iris",)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
_EXAMPLE = "iris+http://192.168.0.20:3000,busan=bridge+https://bot.example.com"


def parse(text: str) -> dict[str, str]:
    """`[name=]kind+http(s)://host`, comma-separated -> name -> URL. Nameless: `iris`, `iris-2`, `bridge`, …

    Raises ValueError naming the entry that cannot be read and what is right.
    """
    channels: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, url = _split(entry)
        kind = _kind(entry, url)
        if name is None:
            name = _free_name(kind, channels)
        if not _NAME.fullmatch(name):
            raise ValueError(f"channel name {name!r}: small letters, digits and hyphens, at most 40")
        if name in channels:
            raise ValueError(f"two room bots are called {name!r}: give each its own name, as in {_EXAMPLE}")
        channels[name] = url.rstrip("/")
    return channels


def check(text: str) -> str:
    """The text itself if `parse` can read it; else its ValueError."""
    parse(text)
    return text


def of_emulator(base: str | None) -> dict[str, str]:
    """The emulator's three bridges, one for each kind of provider, and its Iris device; none without one."""
    if base is None:
        return {}
    bridges = {f"emulator-{kind}": f"bridge+{base.rstrip('/')}/{kind}" for kind in ("key", "lookup", "none")}
    return bridges | {"emulator-iris": f"iris+{base.rstrip('/')}/iris"}


def one_device(channels: Mapping[str, str]) -> frozenset[str]:
    """The names of those channels that are one device each."""
    return frozenset(name for name, url in channels.items() if url.partition("+")[0] in ONE_DEVICE)


def of_kakao(api_url: str) -> dict[str, str]:
    """Kakao's own API: memos to the account itself, messages to its friends."""
    return {name: f"{name}+{api_url}" for name in ("kakao-memo", "kakao-friends")}


def _split(entry: str) -> tuple[str | None, str]:
    before, equals, after = entry.partition("=")
    return (before.strip(), after.strip()) if equals and "://" not in before else (None, entry)


def _kind(entry: str, url: str) -> str:
    parts = urlsplit(url)
    kind, plus, transport = parts.scheme.partition("+")
    if kind not in KINDS or not plus or transport not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{entry!r} is no room bot: {' or '.join(KINDS)}, +http or +https, as in {_EXAMPLE}")
    return kind


def _free_name(kind: str, taken: dict[str, str]) -> str:
    number = 1
    while (name := kind if number == 1 else f"{kind}-{number}") in taken:
        number += 1
    return name
