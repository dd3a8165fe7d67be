"""One notice to one target, once."""

from __future__ import annotations

from typing import Any

from gateways.http import Reply, Transport
from gateways.notices import answers
from gateways.notices.address import Address, forbidden
from gateways.notices.answers import Heard
from gateways.notices.note import Note, cut
from gateways.outcomes import NotSent, Unknown
from runtime.settings import get_settings

DISCORD_MOST = 2000
SLACK_MOST = 4000  # what Slack recommends; it cuts at 40,000 by itself


def send(address: Address, note: Note) -> Heard:
    """Say it, within JEONGSI_NOTICE_DEADLINE_S where the way is ours. Never raises for what a target does."""
    settings = get_settings()
    closed = forbidden(address, settings)
    if closed is not None:
        return Heard("gone", closed)
    if not address.base:
        from gateways.notices import by_apprise

        return by_apprise.send(address.url, note, settings.notice_deadline_s)
    reply = _post(address, _body(address.service, note), settings.notice_deadline_s)
    if not isinstance(reply, Reply):
        return Heard("failed", reply.reason)
    match address.service:
        case "discord":
            return answers.from_discord(reply)
        case "slack":
            return answers.from_slack(reply)
        case _:
            return answers.from_web(reply)


def _post(address: Address, body: dict[str, Any], deadline_s: float) -> Reply | NotSent | Unknown:
    transport = Transport(address.base, deadline_s=deadline_s, connect_timeout_s=min(3.0, deadline_s))
    try:
        prepared = transport.prepare()
        if isinstance(prepared, NotSent):
            return prepared
        return transport.send(prepared, "POST", address.path, {"Accept": "*/*"}, body)
    finally:
        transport.close()


def _body(service: str, note: Note) -> dict[str, Any]:
    match service:
        case "discord":
            text = cut(f"**{note.head}**\n{note.body}", DISCORD_MOST)
            # Nothing in a schedule's title may ring a bell for everyone.
            return {"content": text, "allowed_mentions": {"parse": []}}
        case "slack":
            text = cut(f"*{_slack(note.head)}*\n{_slack(note.body)}", SLACK_MOST)
            return {"text": text, "unfurl_links": False, "link_names": False}
        case _:
            # Apprise's own form, so that what listens for it understands us, and ours beside it.
            kind = {"info": "info", "warning": "warning"}.get(note.severity, "failure")
            told = {
                "version": "1.0",
                "title": note.head,
                "message": note.body,
                "attachments": [],
                "type": kind,
            }
            return told | {"id": note.id, "kind": note.kind, "severity": note.severity, "link": note.link}


def _slack(text: str) -> str:
    """Slack's three control characters, so that <!channel> is text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
