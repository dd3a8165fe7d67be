"""PlayAuto 2.0's OpenAPI as a world of orders: what providers.md section 4 says of it (docs/playauto.md).

{url}/playauto is one account's world (PLAYAUTO_API_URL), {url}/playauto-2 another one's, made at first use.
"""

from __future__ import annotations

from ops.emulator.playauto.api import PlayAuto
from ops.emulator.playauto.rules import PlayAutoRules

__all__ = ["PlayAuto", "PlayAutoRules"]
