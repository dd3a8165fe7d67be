"""A row's pictures as images: from the file itself, from a folder, or from the store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from beat.image_check import check_image
from beat.schedule_form import ImageFacts, Problem
from beat.schedule_form.values import MAX_IMAGE_BYTES
from models.store import NewImage, described, image_named, reading
from ops.exchange.values import Picture


@dataclass(frozen=True, slots=True)
class Found:
    """An image that may be kept: what the form says of it, and new content or what is stored already."""

    facts: ImageFacts
    digest: str
    new: NewImage | None = None
    stored: dict[str, Any] | None = None


class Pictures:
    """Finds pictures. `folder` is looked in first; the store only if `trust_store` says so.

    A dump of another system names its own files: the store may hold another image under that name.
    """

    def __init__(self, folder: Path | None, *, trust_store: bool) -> None:
        self._folder, self._trust_store = folder, trust_store
        self._from_folder = lru_cache(maxsize=16)(_read)  # a few: each is up to 10 MiB

    def find(self, picture: Picture) -> Found | Problem:
        """The image, or why there is none."""
        name = picture.filename or ""
        shown = picture.original_name or name
        if picture.data is not None:
            return judged(shown, picture.data)
        if self._folder is not None:
            for one in filter(None, (name, picture.original_name)):
                if Path(one).name == one and (self._folder / one).is_file():
                    return self._from_folder(self._folder / one, shown)
        if self._trust_store:
            return self._stored(picture)
        where = f"{self._folder} does not have it" if self._folder else "a dump holds no images"
        return Problem("images", f"{name}: {where}", "say --images-dir with the folder that has the files")

    def _stored(self, picture: Picture) -> Found | Problem:
        hint = "export with --with-images, or say --images-dir with the folder that has the files"
        with reading() as session:
            image = image_named(session, picture.filename or "") if _storable(picture.filename) else None
            if image is None:
                return Problem("images", f"{picture.filename!r} is not stored here", hint)
            if picture.size is not None and picture.size != image.file_size:
                return Problem("images", f"{picture.filename} is another image here (other size)", hint)
            facts = ImageFacts(
                image.original_name, image.mime_type, image.file_size, image.width or 0, image.height or 0
            )
            return Found(facts, image.sha256, stored=described(image))


def judged(name: str, data: bytes) -> Found | Problem:
    """New content as an image, judged as any other."""
    facts = check_image(name, data)
    if isinstance(facts, Problem):
        return facts
    kept = NewImage(name, facts.mime, data, facts.width, facts.height)
    return Found(facts, hashlib.sha256(data).hexdigest(), new=kept)


def _read(path: Path, shown: str) -> Found | Problem:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_IMAGE_BYTES + 1)
    except OSError as error:
        return Problem("images", f"{path} cannot be read: {error.strerror}", "name a folder that can be")
    return judged(shown, data)


def _storable(name: str | None) -> bool:
    return bool(name) and "\0" not in str(name) and not any("\ud800" <= one <= "\udfff" for one in str(name))
