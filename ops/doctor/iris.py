"""What an Iris device says: reachable, its account, observing or not, its clock, messages it still sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateways.iris.adapter import IrisAdapter
from gateways.iris.device import Health, Trouble
from ops.doctor.finding import Finding, fail, ok, warn
from runtime.clock import clock

CLOCK_WARN_S: Final = 60.0


def findings(adapter: IrisAdapter) -> Iterator[Finding]:
    """Everything that one device can be asked; a device that does not answer is one finding."""
    check = f"channel {adapter.channel}"
    health = adapter.device.health()
    if isinstance(health, Trouble):
        yield _silent(check, health)
        return
    yield _account(f"{check} account", health)
    yield _observing(f"{check} observing", health)
    said = adapter.device.clock()
    if isinstance(said, Trouble):
        todo = "see that KakaoTalk is installed there and that Iris may read its database"
        yield fail(check, f"its database cannot be read ({said.reason})", todo)
        return
    device_s, pending = said
    yield _clock(f"{check} clock", device_s - clock().now().timestamp())
    yield _pending(f"{check} pending", pending)


def _silent(check: str, trouble: Trouble) -> Finding:
    if trouble.reason == "not_the_provider":
        todo = "mend its address in KAKAO_BOT_URL: a router or a login page may have answered"
        return warn(check, "what answers there is not Iris; nothing is sent to it", todo)
    todo = "start Iris on the device, or mend its address in KAKAO_BOT_URL"
    return warn(check, f"Iris does not answer ({trouble.reason}); nothing is sent to it", todo)


def _account(check: str, health: Health) -> Finding:
    if health.bot_id == "0":
        todo = "write one message by hand from its KakaoTalk and restart Iris; until then nothing is sent"
        return fail(check, "Iris does not know its own account (bot_id 0)", todo)
    account = f"{health.bot_id} ({health.bot_name})"
    found = f"Iris answers; account {account}, {health.send_rate_ms} ms between messages"
    return ok(check, found)


def _observing(check: str, health: Health) -> Finding:
    if health.observing:
        return ok(check, "observes its database")
    todo = "restart Iris; until then a message that does not show up is left to a person"
    return warn(check, "does not observe its database", todo)


def _clock(check: str, off_s: float) -> Finding:
    side = "ahead" if off_s > 0 else "behind"
    found = f"its clock is {abs(off_s):.0f} s {side}"
    if abs(off_s) < CLOCK_WARN_S:
        return ok(check, found)
    todo = "set its clock: rooms show wrong times. No message is judged by it"
    return warn(check, found, todo)


def _pending(check: str, pending: int) -> Finding:
    if not pending:
        return ok(check, "no message is pending in KakaoTalk")
    todo = "look into KakaoTalk on the device: delete or resend what hangs there"
    return warn(check, f"{pending} messages are pending in KakaoTalk", todo)
