"""What is handed to an adapter: one part of a message, and the room it goes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """One image as it leaves. Its bytes are kept out of logs."""

    data: bytes = field(repr=False)
    mime_type: str
    filename: str


@dataclass(frozen=True, slots=True)
class PartToSend:
    """One text, one image, or several images in one request: the unit of the point of no return.

    `more_images`: those after the first, where the provider takes several at once. `idempotency_key`
    is the same for every try of a part, `attempt_id` is new for each."""

    kind: Literal["text", "image"]
    text: str | None
    image: ImageBytes | None
    idempotency_key: str
    attempt_id: UUID
    more_images: tuple[ImageBytes, ...] = ()

    def __post_init__(self) -> None:
        if (self.kind == "text") != (self.text is not None) or (self.kind == "image") != (
            self.image is not None
        ):
            raise ValueError(
                f"a part of kind {self.kind!r} carries exactly one {self.kind}, and nothing else"
            )
        if self.more_images and self.image is None:
            raise ValueError("more images come after a first one")

    @property
    def images(self) -> tuple[ImageBytes, ...]:
        """All images of the part, in order."""
        return () if self.image is None else (self.image, *self.more_images)


@dataclass(frozen=True, slots=True)
class RoomAddress:
    """Where a message goes: the channel's name in the settings, the provider's own room id, and the device
    that the room is assigned to where a channel has several."""

    channel: str
    room: str
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Sought:
    """A part that was sent and may have arrived: what a look-up may need to recognise it.

    `sent_at` by the ledger's clock. `images`: how many the part carries. `before`: what `Line.before` said
    at that attempt; None where the provider is asked by our key.
    """

    part_key: str
    provider_msg_id: str | None
    sent_at: datetime
    kind: Literal["text", "image"] = "text"
    text: str | None = None
    images: int = 0
    before: dict[str, Any] | None = None
