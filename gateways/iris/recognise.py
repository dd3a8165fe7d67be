"""Which of the bot's messages in a room is ours. Pure: KakaoTalk gives no id back, so the content must do.

Never by the device's clock, which may be an hour off: `rows` are those newer than the last message that
stood there before the send.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from gateways.iris.device import Row

TEXT = 1
PHOTO = 2
PHOTOS = 27

#: Messages that one part may be, best first, each by the ids of all its rows.
Candidates = tuple[tuple[str, ...], ...]


def candidates(rows: Sequence[Row], kind: str, text: str | None, images: int) -> Candidates:
    """The messages among `rows` (oldest first) that this part may be. Photos are told by kind alone."""
    if kind == "text":
        wanted = normal(text or "")
        return tuple((str(row.id),) for row in rows if row.type == TEXT and normal(row.text) == wanted)
    together: list[tuple[str, ...]] = [
        (str(row.id),) for row in rows if row.type == PHOTOS or (images == 1 and row.type == PHOTO)
    ]
    single = [str(row.id) for row in rows if row.type == PHOTO]
    if images > 1 and len(single) >= images:  # KakaoTalk may show each photo of one request by itself
        together.append(tuple(single[:images]))
    return tuple(together)


def unexplained(rows: Sequence[Row], found: Candidates) -> tuple[str, ...]:
    """Messages of the bot that are none of `found`: one of them may be ours in a form we do not know."""
    known = {one for ids in found for one in ids}
    return tuple(str(row.id) for row in rows if str(row.id) not in known)


def normal(text: str) -> str:
    """A text as it is compared: composed (NFC), line ends as one, nothing around it."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
