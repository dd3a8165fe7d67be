"""The lock: every requirement pinned and hashed, and no address of any index in it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8")


def locked() -> dict[str, str]:
    """Package -> its whole entry, hashes included."""
    joined = re.sub(r"\\\n\s*", " ", LOCK)
    entries = [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]
    return {re.split(r"[=\[ ;]", entry, maxsplit=1)[0]: entry for entry in entries}


def test_every_requirement_is_pinned_to_one_version_and_hashed() -> None:
    for entry in locked().values():
        assert re.match(r"[a-z0-9-]+(\[[a-z,]+\])?==\S+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_the_lock_names_no_index_and_no_folder() -> None:
    assert not re.search(r"https?:|file:|--(extra-)?index-url|--find-links|--trusted-host|\s-[ief]\s", LOCK)


def test_every_dependency_of_the_project_is_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(one for extra in extras for one in extra)]
    names = {re.split(r"[\[<>=;~ ]", requirement, maxsplit=1)[0].lower() for requirement in wanted}
    assert names <= set(locked())
