"""An account at the emulated PlayAuto with a few dozen orders; their numbers go up a minute after a start."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import requests

from models.store.accounts import Credentials
from models.store.carriers import save_carriers
from models.store.tracking_accounts import change_account, create_account, delete_account, known_accounts
from ops.demo.rooms import WHO, Connection, check_embedded
from ops.emulator.playauto.orders import CARRIERS, NEW, TO_SHIP

ACCOUNT: Final = "demo"
_SEOUL: Final = ZoneInfo("Asia/Seoul")
_AHEAD_S: Final = 20  # the system itself is up by then
_WORLD: Final = {"orders": 36, "states": {NEW: 0.3, TO_SHIP: 0.7}, "refuse": {"e2001": 0.15}, "days": 1.0}


def demo_uploads(db: Connection, emulator_url: str) -> datetime | None:
    """Orders that the emulator knows, with numbers that it does not; answers when they are uploaded.

    None, and no account of ours any more, where a person has made accounts. Raises NoDemo if `db` is not the
    local stack's own.
    """
    check_embedded(db)
    known = known_accounts(db)
    if set(known) - {ACCOUNT}:
        if ACCOUNT in known:
            delete_account(db, ACCOUNT, WHO)
        return None
    at = _next_minute(db)
    columns = {"schedule_time": f"{at:%H:%M}", "enabled": True, "batch_size": 10}
    login = Credentials(api_key="emulator", authentication_key="emulator")
    if ACCOUNT in known:
        change_account(db, ACCOUNT, columns, credentials=login, who=WHO)
    else:
        create_account(db, ACCOUNT, columns, credentials=login, who=WHO)
    save_carriers(db, ACCOUNT, CARRIERS.items())
    _add_orders(db, _bundles(emulator_url), at)
    return at


def _next_minute(db: Connection) -> datetime:
    row = db.execute("SELECT ledger_now()").fetchone()
    assert row is not None
    soon: datetime = row[0].astimezone(_SEOUL) + timedelta(seconds=_AHEAD_S + 60)
    return soon.replace(second=0, microsecond=0)


def _bundles(emulator_url: str) -> list[dict[str, Any]]:
    """Orders of an emulator that has just started, and so has none."""
    control = f"{emulator_url}/_control/playauto"
    requests.post(f"{control}/seed", json=_WORLD, timeout=5).raise_for_status()
    found: list[dict[str, Any]] = requests.get(f"{control}/bundles", timeout=5).json()["bundles"]
    return found


def _add_orders(db: Connection, bundles: list[dict[str, Any]], at: datetime) -> None:
    """A number for each parcel; one looks odd, one carrier is unknown, one order is being cancelled.

    What an earlier start left undone is gone: its parcels were another emulator's.
    """
    with db.transaction(), db.cursor() as cursor:
        cursor.execute(
            "DELETE FROM orders o WHERE account = %s AND playauto_uploaded = 0 AND NOT EXISTS (SELECT 1"
            " FROM tracking_upload_details d WHERE d.order_id = o.id AND d.state IN ('pending', 'leased'))",
            (ACCOUNT,),
        )
        cursor.executemany(
            "INSERT INTO orders (account, order_no, shop_code, shop_name, shop_order_no, playauto_uniq,"
            " bundle_no, carrier_code, carrier_name, tracking_number, order_status)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (ACCOUNT, f"demo-{at:%m%d%H%M}-{n:02}", one["shop_cd"], one["shop_name"], one["shop_ord_no"],
                 one["uniq"], one["bundle_no"], None if n == 3 else "4",
                 "동네택배" if n == 3 else "CJ대한통운",
                 f"6{n:010}" if n == 2 else f"6{at:%m%d%H%M}{n:03}",
                 "취소요청" if n == 1 else one["ord_status"])
                for n, one in enumerate(bundles, 1)
            ],
        )  # fmt: skip
