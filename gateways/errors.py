"""What goes wrong around a provider, other than the outcome of a send.

GatewayError
├── UnknownChannel            a room names a channel that the settings do not have
├── UnusableChannel           a channel's URL cannot be served by this version
├── CapabilitiesUnavailable   the provider could not be asked what it can do
├── RoomsUnavailable          the provider could not be asked for its rooms
├── PlayAutoNotConfigured     there is no account of PlayAuto
└── PlayAutoUnavailable       a question to PlayAuto has no answer
"""

from __future__ import annotations


class GatewayError(Exception):
    """The root of this tree."""


class UnknownChannel(GatewayError):
    """A room names a channel that no setting describes."""

    def __init__(self, channel: str, known: list[str]) -> None:
        names = ", ".join(known) if known else "none; set KAKAO_BOT_URL or JEONGSI_EMULATOR_URL"
        super().__init__(f"there is no channel {channel!r}; the settings have: {names}")
        self.channel = channel


class UnusableChannel(GatewayError):
    """A channel's URL cannot be served: `reason` says what is wrong with it."""

    def __init__(self, channel: str, reason: str) -> None:
        super().__init__(f"channel {channel!r}: {reason}")
        self.channel = channel
        self.reason = reason


class CapabilitiesUnavailable(GatewayError):
    """The provider could not say what it can do. Nothing may be sent to it until it does."""

    def __init__(self, channel: str, reason: str) -> None:
        super().__init__(f"channel {channel!r} did not say what it can do: {reason}")
        self.channel = channel
        self.reason = reason


class RoomsUnavailable(GatewayError):
    """The provider could not list its rooms."""

    def __init__(self, channel: str, reason: str) -> None:
        super().__init__(f"channel {channel!r} did not list its rooms: {reason}")
        self.channel = channel
        self.reason = reason


class PlayAutoNotConfigured(GatewayError):
    """The settings hold no account of PlayAuto; the message names what is missing."""


class PlayAutoUnavailable(GatewayError):
    """PlayAuto could not be asked, or gave no answer of its own. Never to be read as "there is none".

    `code` is PlayAuto's own or one of ours; `retryable`: asking again later may help; `retry_after_s`: not
    before, as PlayAuto asks."""

    def __init__(
        self, what: str, code: str, reason: str, *, retryable: bool, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"PlayAuto did not answer {what}: {reason}")
        self.code = code
        self.retryable = retryable
        self.retry_after_s = retry_after_s
