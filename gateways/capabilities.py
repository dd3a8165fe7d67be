"""What a provider can do, as data. The pipeline decides by these, never by a provider's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProviderKind = Literal["key", "lookup", "none"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Defaults are the weakest provider there is: no key, no look-up, text only.

    idempotency_ttl_s      for how long a key is remembered, seconds
    lookup_authoritative   a look-up by our key that says "absent" after the lag means: never taken
    lookup_lag_s           how long an accepted message may stay invisible to the look-up, seconds
    confirms               the look-up tells `delivered` apart from `accepted`
    text_limit             characters (code points) of one text
    long_text              what is done with a longer one: refused, or split into several parts
    max_image_bytes        bytes of one image before encoding
    max_in_flight          1: the whole channel is one device that carries one request at a time, and the
                           ledger's device gate sees to it. Other numbers are not honoured yet
    one_image_per_request  every image is its own request, hence its own part and key; else up to max_images
                           go in one
    absence_factor         "absent" is believed after so many times settle
    resend_on_absent       the kinds of parts that are sent again once they are known to be absent
    lookup_delays_s        when to look after a send, seconds since it; empty: as the settings say
    confirmed_on_accept    an accepted send was seen in the room already, so no look-up follows
    """

    idempotency: bool = False
    idempotency_ttl_s: float = 0.0
    lookup_by_key: bool = False
    lookup_authoritative: bool = False
    lookup_lag_s: float = 0.0
    confirms: bool = False
    text_limit: int = 1000
    long_text: Literal["refuse", "split"] = "refuse"
    images: bool = False
    max_images: int = 0
    max_image_bytes: int = 0
    image_types: tuple[str, ...] = ()
    max_in_flight: int | None = None
    one_image_per_request: bool = True
    absence_factor: float = 1.0
    resend_on_absent: tuple[str, ...] = ("text", "image")
    lookup_delays_s: tuple[float, ...] = ()
    confirmed_on_accept: bool = False

    @property
    def exclusive(self) -> bool:
        """Whether the whole channel carries one request at a time."""
        return self.max_in_flight == 1

    @property
    def kind(self) -> ProviderKind:
        """Which of the three promises can be kept: by key, by look-up, or at most once."""
        if self.idempotency:
            return "key"
        return "lookup" if self.lookup_by_key else "none"
