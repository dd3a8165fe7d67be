"""What is said to an operator, before it is dressed for a service."""

from __future__ import annotations

import re
from dataclasses import dataclass

ICONS = {"info": "✅", "warning": "⚠️", "error": "❌", "critical": "🚨"}
_PINGS = re.compile(r"@(?=everyone|here|channel|all|room)", re.I)


@dataclass(frozen=True, slots=True)
class Note:
    """One notice as text. `text` may have several lines; `link` is shown last."""

    id: int
    kind: str
    severity: str
    title: str
    text: str
    link: str | None = None

    @property
    def head(self) -> str:
        """The title with the sign of its severity."""
        return f"{ICONS.get(self.severity, '')} {self.title}".strip()

    @property
    def body(self) -> str:
        """Text and link."""
        return "\n".join(filter(None, (self.text, self.link)))


def cut(text: str, most: int) -> str:
    """At most `most` UTF-16 units, which is how the services count; an ellipsis says that it was cut."""
    if len(text.encode("utf-16-le", "surrogatepass")) // 2 <= most:
        return text
    kept = text.encode("utf-16-le", "surrogatepass")[: 2 * (most - 1)]
    return kept.decode("utf-16-le", "ignore") + "…"


def quiet(text: str) -> str:
    """The same words, but @everyone and its kin call nobody."""
    return _PINGS.sub("@\N{ZERO WIDTH SPACE}", text)
