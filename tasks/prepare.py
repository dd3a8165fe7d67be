"""Turn a leased slot into the parts to send: all that is slow happens before the point of no return."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from beat.recurrence import RuleError
from gateways.capabilities import Capabilities
from gateways.message import ImageBytes
from models.ledger import worker as ledger
from models.ledger.worker import Lease
from models.states import PartState
from runtime import database, ids
from tasks.rendering import render
from tasks.splitting import split

DONE = (PartState.ACCEPTED, PartState.DELIVERED)


class BadContent(Exception):
    """The content can never be sent; the slot fails with this reason."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part as it will be laid down and sent.

    ``tries``: those that reached the write. ``misses``: those since then that did not.
    ``tainted``: an earlier try may have arrived. ``since_done_s``: since its last try ended.
    ``image_ids``: all images, where the part carries several; ``image_id`` is then the first.
    """

    ord: int
    kind: str
    body: str | None
    image_id: int | None
    idem_key: str
    gap_ms: int
    tries: int = 0
    misses: int = 0
    tainted: bool = False
    state: PartState = PartState.PENDING
    since_done_s: float | None = None
    image_ids: tuple[int, ...] = ()

    @property
    def images(self) -> tuple[int, ...]:
        """The ids of all images of this part, in order."""
        return self.image_ids or (() if self.image_id is None else (self.image_id,))

    def as_row(self) -> dict[str, Any]:
        """What the point of no return stores."""
        return {
            "ord": self.ord, "kind": self.kind, "body": self.body, "image_id": self.image_id,
            "image_ids": list(self.image_ids) or None,
            "idem_key": self.idem_key, "gap_ms": self.gap_ms,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """A slot's parts in order. ``fresh``: they are not laid down yet, the point of no return does it."""

    parts: tuple[PartPlan, ...]
    fresh: bool

    @property
    def open_parts(self) -> tuple[PartPlan, ...]:
        """The parts that still have to go out."""
        return tuple(part for part in self.parts if part.state not in DONE)


def message_of(lease: Lease, capabilities: Capabilities) -> Message:
    """The parts of a leased slot. Raises ``BadContent`` for what this channel can never carry.

    Parts that were laid down stand once anything of the slot is at risk, and for a resend; else the
    content is rendered afresh, so that an edit before the send still counts.
    """
    laid = lease.parts or []
    if laid and (lease.exposed > 0 or lease.origin == "resend"):
        return Message(tuple(_laid(row) for row in laid), fresh=False)
    counts = {row["ord"]: row for row in laid}
    parts = [_with_counts(part, counts.get(part.ord)) for part in _fresh(lease, capabilities)]
    return Message(tuple(parts), fresh=True)


def image_bytes(image_id: int) -> ImageBytes:
    """A stored image. Raises ``BadContent`` if it is gone."""
    found = database.retrying(lambda db: ledger.image(db, image_id))
    if found is None:
        raise BadContent(f"image {image_id} is not stored")
    name, mime_type, data = found
    return ImageBytes(data=data, mime_type=mime_type, filename=name)


def idempotency_key(lease: Lease, ord_: int) -> str:
    """The same for every try of a part, and nobody else's: schedule, slot time and place in the message."""
    text = f"{lease.sid}:{ids.to_ms(lease.sat)}:{ord_}"
    return hashlib.sha256(text.encode()).hexdigest()


def _fresh(lease: Lease, capabilities: Capabilities) -> list[PartPlan]:
    content = lease.content or {}
    text = _text(lease, content, capabilities)
    images = _image_ids(content, capabilities)
    order = content.get("send_order")
    kinds: list[tuple[str, str | None, tuple[int, ...]]] = [
        ("image", None, group) for group in _groups(images, capabilities)
    ]
    if text is not None:
        texts = [("text", piece, ()) for piece in split(text, capabilities.text_limit)]
        kinds = [*kinds, *texts] if order == "images_first" else [*texts, *kinds]
    if not kinds:
        raise BadContent("nothing to send: no text and no image")
    gap_ms = int(content.get("send_interval_seconds") or 0) * 1000
    return [
        PartPlan(
            n, kind, body, group[0] if group else None, idempotency_key(lease, n), gap_ms if n else 0,
            image_ids=group if len(group) > 1 else (),
        )
        for n, (kind, body, group) in enumerate(kinds)
    ]  # fmt: skip


def _groups(images: Sequence[int], capabilities: Capabilities) -> list[tuple[int, ...]]:
    """Images by part: each its own, or as many in one as the channel takes."""
    most = 1 if capabilities.one_image_per_request else max(capabilities.max_images, 1)
    return [tuple(images[start : start + most]) for start in range(0, len(images), most)]


def _text(lease: Lease, content: dict[str, Any], capabilities: Capabilities) -> str | None:
    raw = content.get("message_text")
    if content.get("send_order") == "images_only" or not raw or not str(raw).strip():
        return None
    try:
        text = render(str(raw), slot_at=lease.sat, tz=str(content.get("tz") or "Asia/Seoul"))
    except RuleError as error:
        raise BadContent(str(error)) from None
    if len(text) > capabilities.text_limit and capabilities.long_text == "refuse":
        raise BadContent(
            f"the text has {len(text)} characters, {lease.channel} takes {capabilities.text_limit}"
        )
    return text


def _image_ids(content: dict[str, Any], capabilities: Capabilities) -> list[int]:
    if content.get("send_order") == "text_only":
        return []
    listed = content.get("message_images") or []
    rows = listed.get("images") or [] if isinstance(listed, dict) else listed
    if rows and not capabilities.images:
        raise BadContent("this channel takes no images")
    try:
        listed = [int(row["id"]) for row in rows]
    except (KeyError, TypeError, ValueError):
        raise BadContent("message_images names an image without a usable id") from None
    _check_images(listed, capabilities)
    return listed


def _check_images(listed: Sequence[int], capabilities: Capabilities) -> None:
    """Before anything of the message is out: is every image there, and will the channel take it?"""
    if not listed:
        return
    facts = database.retrying(lambda db: ledger.image_facts(db, listed))
    for image in listed:
        if image not in facts:
            raise BadContent(f"image {image} is not stored")
        mime_type, size = facts[image]
        if capabilities.image_types and mime_type not in capabilities.image_types:
            raise BadContent(f"image {image} is {mime_type}, which this channel does not take")
        if capabilities.max_image_bytes and size > capabilities.max_image_bytes:
            raise BadContent(
                f"image {image} has {size} bytes, this channel takes {capabilities.max_image_bytes}"
            )


def _with_counts(part: PartPlan, row: dict[str, Any] | None) -> PartPlan:
    """What is known of a part from tries that provably did not reach the room."""
    if row is None:
        return part
    return replace(
        part, tries=row["tries"], misses=row["misses"], tainted=row["tainted"], since_done_s=_seconds(row)
    )


def _laid(row: dict[str, Any]) -> PartPlan:
    return PartPlan(
        row["ord"], row["kind"], row["body"], row["image_id"], row["idem_key"], row["gap_ms"], row["tries"],
        row["misses"], row["tainted"], PartState(row["state"]), _seconds(row),
        tuple(row.get("image_ids") or ()),
    )  # fmt: skip


def _seconds(row: dict[str, Any]) -> float | None:
    since = row["since_done_ms"]
    return None if since is None else since / 1000
