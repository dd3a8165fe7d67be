"""`jeongsi room`: where messages go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.errors import BadInput
from ops.cli.options import As, Json, acting, example, group
from ops.cli.output import facts, iso, local, note, print_json, say, table

if TYPE_CHECKING:
    from models.store import RoomLimits
    from models.tables import Room

app = group("Talk rooms: what they are called, how they are reached, what they may take.")

RoomId = Annotated[str, typer.Argument(metavar="ROOM", help="The room's id, as schedules name it.")]
Name = Annotated[str | None, typer.Option("--name", help="What people call the room; else its id.")]
Kind = Annotated[str | None, typer.Option("--type", help="live, or test for trying things out.")]
Channel = Annotated[
    str | None, typer.Option("--channel", help="The room bot that reaches it; needed if there are several.")
]
Device = Annotated[str | None, typer.Option("--device", help="The phone that carries it, for such bots.")]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Where the room bot reaches it, if not by the room's id: for kakao-friends 1 to 5 uuids.",
    ),
]
Gap = Annotated[
    float | None, typer.Option("--gap", help="Least seconds between two sends (5 and up; default 30).")
]
Quota = Annotated[
    int | None, typer.Option("--quota", help="Most sends on one Korean day (1 to 500; default 50).")
]
Reason = Annotated[
    str | None,
    typer.Option("--reason", help="Why the limits are looser than the default; kept with your name."),
]


@app.command(
    epilog=example(
        "jeongsi room add gangnam-notice --name '강남지점 공지방' --channel bridge",
        "jeongsi room add hq-alerts --type test --quota 120 --reason '본사 승인: 장부 알림'",
    )
)
def add(
    room: RoomId,
    name: Name = None,
    type: Kind = "live",  # noqa: A002 - the flag's name
    channel: Channel = None,
    device: Device = None,
    address: Address = None,
    gap: Gap = None,
    quota: Quota = None,
    reason: Reason = None,
    who: As = None,
) -> None:
    """Add a talk room. Looser limits than the default need a reason."""
    from models.store import RoomLimits, create_room, transaction
    from runtime.settings import get_settings

    settings = get_settings()
    chosen = _channel(channel, settings.channels())
    limits = RoomLimits(
        gap_s=settings.room_gap_s if gap is None else gap,
        quota=settings.room_quota if quota is None else quota,
        reason=reason,
    )
    acts = acting(who)
    with transaction(acts) as session:
        create_room(
            session, room_id=room, name=name or room, type=type or "live", channel=chosen, device=device,
            address=address or None, limits=limits, who=acts,
        )  # fmt: skip
    say(f"Room {room} is there: {type}, by {chosen}, every {limits.gap_s:g} s, {limits.quota} a day.")
    if type == "live" and chosen.startswith("emulator-"):
        note(f"Note: {chosen} is an emulator: nothing sent to this room reaches KakaoTalk.")


@app.command("list", epilog=example("jeongsi room list", "jeongsi room list --json"))
def list_(as_json: Json = False) -> None:
    """List all rooms."""
    from models.store import reading, rooms, schedules_per_room

    with reading() as session:
        found, counts = rooms(session), schedules_per_room(session)
    if as_json:
        print_json([_described(room, counts.get(room.room_id, 0)) for room in found])
        return
    rows = [
        (r.room_id, r.name, r.type, r.channel, r.device, f"{r.gap_ms / 1000:g} s", r.quota,
         counts.get(r.room_id, 0))
        for r in found
    ]  # fmt: skip
    heads = ("room", "name", "type", "channel", "device", "gap", "quota", "schedules")
    table(heads, rows, empty="There is no room yet. Add one: `jeongsi room add --help`.")


@app.command(epilog=example("jeongsi room show gangnam-notice"))
def show(room: RoomId, as_json: Json = False) -> None:
    """Show one room: its limits, who loosened them, and what it took today."""
    from models.store import reading, room_of, schedules_per_room
    from models.store.rooms import used_today

    with reading() as session:
        found = room_of(session, room)
        described = _described(found, schedules_per_room(session).get(room, 0)) | used_today(session, found)
    if as_json:
        print_json(described)
        return
    described["created_at"] = local(found.created_at)
    described["free_at"] = local(described["free_at"])
    facts({name.replace("_", " "): value for name, value in described.items()})


@app.command(
    "set",
    epilog=example(
        "jeongsi room set gangnam-notice --gap 60",
        "jeongsi room set gangnam-notice --quota 80 --reason '행사 기간, 본사 승인'",
    ),
)
def set_(
    room: RoomId,
    name: Name = None,
    type: Kind = None,  # noqa: A002 - the flag's name
    channel: Channel = None,
    device: Device = None,
    address: Address = None,
    gap: Gap = None,
    quota: Quota = None,
    reason: Reason = None,
    who: As = None,
) -> None:
    """Change a room. The next send goes by the new values; --device '' takes the device away."""
    from models.store import change_room, reading, room_of, transaction
    from runtime.settings import get_settings

    given: dict[str, Any] = {
        "name": name,
        "type": type,
        "channel": channel,
        "device": device,
        "address": address,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    if "channel" in changes:
        _channel(channel, get_settings().channels())
    for field in {"device", "address"} & set(changes):
        changes[field] = changes[field] or None
    with reading() as session:
        limits = _changed_limits(room_of(session, room), gap, quota, reason)
    if not changes and limits is None:
        raise BadInput(
            "Nothing to change.",
            "Name what to set: --name --type --channel --device --address --gap --quota.",
        )
    acts = acting(who)
    with transaction(acts) as session:
        found = change_room(session, room, changes, limits, acts)
    gap_s = found.gap_ms / 1000
    say(f"Room {room}: {found.type}, by {found.channel}, every {gap_s:g} s, {found.quota} a day.")


def _changed_limits(
    room: Room, gap: float | None, quota: int | None, reason: str | None
) -> RoomLimits | None:
    from models.store import RoomLimits

    if gap is None and quota is None and reason is None:
        return None
    return RoomLimits(
        gap_s=room.gap_ms / 1000 if gap is None else gap,
        quota=room.quota if quota is None else quota,
        reason=reason,
    )


def _channel(given: str | None, known: dict[str, str]) -> str:
    """The channel named, or the only one there is. Raises BadInput with the names that exist."""
    names = ", ".join(sorted(known)) or "none"
    if given is None:
        if len(known) == 1:
            return next(iter(known))
        raise BadInput("--channel: which room bot reaches the room?", f"Known are: {names} (KAKAO_BOT_URL).")
    if given not in known:
        raise BadInput(f"--channel: there is no room bot {given!r}.", f"Known are: {names} (KAKAO_BOT_URL).")
    return given


def _described(room: Room, number_of_schedules: int) -> dict[str, Any]:
    return {
        "room": room.room_id,
        "name": room.name,
        "type": room.type,
        "channel": room.channel,
        "device": room.device,
        "address": room.address,
        "gap_s": room.gap_ms / 1000,
        "quota": room.quota,
        "reason": room.limits_reason,
        "limits_by": room.limits_by,
        "schedules": number_of_schedules,
        "created_at": iso(room.created_at),
    }
