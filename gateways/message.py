"""What is handed to an adapter: one part of a message, and the room it goes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """One image as it leaves. Its bytes are kept out of logs."""

    data: bytes = field(repr=False)
    mime_type: str
    filename: str


@dataclass(frozen=True, slots=True)
class PartToSend:
    """One text or one image: the unit of the point of no return.

    `idempotency_key` is the same for every try of a part, `attempt_id` is new for each."""

    kind: Literal["text", "image"]
    text: str | None
    image: ImageBytes | None
    idempotency_key: str
    attempt_id: UUID

    def __post_init__(self) -> None:
        if (self.kind == "text") != (self.text is not None) or (self.kind == "image") != (
            self.image is not None
        ):
            raise ValueError(
                f"a part of kind {self.kind!r} carries exactly one {self.kind}, and nothing else"
            )


@dataclass(frozen=True, slots=True)
class RoomAddress:
    """Where a message goes: the channel's name in the settings, the provider's own room id, and the device
    that the room is assigned to where a channel has several."""

    channel: str
    room: str
    device: str | None = None
