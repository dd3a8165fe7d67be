"""The one error of this package."""

from __future__ import annotations


class RuleError(ValueError):
    """A rule or a zone that cannot be read.

    `field` is the key of the rule object (`date`, `hours`, `expr`, …) or `tz`, `reason` says what is
    wrong, `hint` what would be right. All three are sentences or names meant for people.
    """

    def __init__(self, field: str, reason: str, hint: str) -> None:
        super().__init__(f"{field}: {reason} ({hint})")
        self.field = field
        self.reason = reason
        self.hint = hint
