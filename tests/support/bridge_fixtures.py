"""The verbatim pairs of tests/fixtures/bridge: request, answer, and what the adapter makes of it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from jsonschema import Draft202012Validator

from gateways.message import ImageBytes, PartToSend, RoomAddress

ROOT = Path(__file__).parent.parent
CONTRACT: dict[str, Any] = yaml.safe_load((ROOT.parent / "docs" / "bridge.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Pair:
    """`before` names pairs whose requests come first; `emulator` says how it must be set for this answer."""

    name: str
    bridge: str
    call: dict[str, Any]
    request: dict[str, Any]
    response: dict[str, Any]
    outcome: Any
    schema: str | None = None
    before: list[str] = field(default_factory=list)
    emulator: dict[str, Any] = field(default_factory=dict)

    def part(self) -> PartToSend:
        """The part that the adapter is to send."""
        image = self.call.get("image")
        made = image and ImageBytes(base64.b64decode(image["data"]), image["mime_type"], image["filename"])
        return PartToSend(
            "image" if made else "text",
            self.call.get("text"),
            made,
            self.call["key"],
            UUID(self.call["attempt"]),
        )

    def room(self) -> RoomAddress:
        """The room of the call."""
        return RoomAddress("bridge", self.call["room"])


def pair(name: str) -> Pair:
    """One pair by its file's name."""
    text = (ROOT / "fixtures" / "bridge" / f"{name}.json").read_text(encoding="utf-8")
    return Pair(name, **json.loads(text))


PAIRS = [pair(path.stem) for path in sorted((ROOT / "fixtures" / "bridge").glob("*.json"))]


def assert_follows(schema: str, value: Any) -> None:
    """The value against a schema of docs/bridge.yaml."""
    whole = {"$ref": f"#/components/schemas/{schema}", "components": CONTRACT["components"]}
    Draft202012Validator(whole).validate(value)


def request_schema(path: str) -> str | None:
    """The schema of a request body by its path's end."""
    return {"text": "TextMessage", "images": "ImageMessage"}.get(path.rpartition("/")[2])
