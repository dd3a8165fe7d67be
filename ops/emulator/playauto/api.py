"""One account's PlayAuto, without HTTP."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ops.emulator.playauto.orders import CARRIERS, NEW, STATES, Order, Orders
from ops.emulator.playauto.receipts import Changes
from ops.emulator.playauto.rules import MESSAGES, PlayAutoRules, Wrong
from ops.emulator.playauto.search import row, search
from ops.emulator.playauto.work import Jobs
from ops.emulator.playauto.writes import Writer, by_shop, listed
from runtime.clock import SystemClock

COLLECTING = ("ScrapOrder", "ScrapOrderConfirmList", "ScrapOrderAndConfirmDoit", "SyncOrderState")
READS = ("orders", "order", "carriers")


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer: a JSON body as bytes under a status."""

    status: int
    body: bytes


class PlayAuto:
    """Orders, tokens, jobs, and what became of each call. Thread-safe.

    `rules` may be changed while it runs; `changes` is the receipt log; `requests` every call with the fault
    that it met."""

    def __init__(
        self, name: str, receipts: Path | None, clock: SystemClock, stopping: threading.Event, seed: int
    ) -> None:
        self.name = name
        self.rules = PlayAutoRules()
        self.orders = Orders()
        self.changes = Changes(receipts)
        self.requests: deque[dict[str, Any]] = deque(maxlen=100_000)
        self.jobs = Jobs(lambda: self.rules, clock, stopping, seed)
        self._clock, self._seed = clock, seed
        self._tokens: dict[str, float] = {}
        self._issued = 0
        self._number = 0
        self._guard = threading.RLock()

    def now(self) -> float:
        """Epoch seconds."""
        return self._clock.now().timestamp()

    def seed(self, count: int, **more: Any) -> dict[str, int]:
        """More orders (`Orders.seed`); how many orders and bundles there are now."""
        with self._guard:
            self.orders.seed(count, self.now(), **{"seed": self._seed, **more})
            return {"orders": len(self.orders), "bundles": sum(1 for _ in self.orders.bundles())}

    def bundles(self, state: str | None = None, limit: int | None = None) -> list[dict[str, Any]]:
        """Bundles in a state, oldest first, as rows of `bundle_no`, `uniq` and the like."""
        if state is not None and state not in STATES:
            raise ValueError(f"there is no order state {state!r}; known are {', '.join(STATES)}")
        with self._guard:
            firsts = (self.orders.bundle(number)[0] for number in self.orders.bundles())
            found = [one for one in firsts if state in (None, one.ord_status)]
            return [row(one) | {"refuses": one.refuses} for one in found[:limit]]

    def expire_tokens(self) -> int:
        """Every token that was given out is refused from now on; how many."""
        with self._guard:
            count = len(self._tokens)
            self._tokens.clear()
            return count

    def reset(self) -> None:
        """No orders, tokens, jobs, receipts in memory and switches."""
        with self._guard:
            self.rules = PlayAutoRules()
            self.orders.clear()
            self._tokens.clear()
            self.changes.clear()
            self.requests.clear()
            self.jobs.clear()

    def answer(
        self, method: str, rest: list[str], headers: Message, body: Any, *, blind: bool, effect: bool = True
    ) -> Spoken:
        """What a request is answered with. `blind`: a read sees nothing that was written since the seed;
        without `effect` a write only says that it was done."""
        with self._guard:
            try:
                return self._route(
                    method, rest, headers, body if isinstance(body, dict) else {}, blind, effect
                )
            except Wrong as wrong:
                login = wrong.code == "401" or wrong.code.startswith("e100")
                status = 200 if self.rules.errors_with_200 else 401 if login else 400
                return _spoken(wrong.body(numeric=self.rules.numeric_codes), status)

    def _route(
        self, method: str, rest: list[str], headers: Message, body: dict[str, Any], blind: bool, effect: bool
    ) -> Spoken:
        self._check_key(headers)
        if (method, rest) == ("POST", ["auth"]):
            return _spoken(self._log_in(body))
        token = headers.get("Authorization", "").removeprefix("Token ")
        if self._tokens.get(token, 0.0) <= self.now():
            raise Wrong("401", "토큰이 유효하지 않습니다.")
        until = -1.0 if blind else self.now() - self.rules.read_lag_s
        match method, rest:
            case "POST", ["orders"]:
                return Spoken(200, search(self.orders, self.rules, body, until))
            case "GET", ["order", uniq]:
                return _spoken(self._detail(uniq, until))
            case "GET", ["carriers"]:
                return _spoken(self._carriers())
            case "PUT", ["order", ("instruction" | "setInvoice") as what]:
                return _spoken(self._write(what, body, effect))
            case "POST", ["work", "addWorkSelect", *_]:
                return _spoken(self._send_invoice(body, effect))
            case "POST", ["work", "addWork", *_]:
                return _spoken(self._collect(body))
        return _spoken({"message": "Missing Authentication Token"}, 403)

    def _check_key(self, headers: Message) -> None:
        key = headers.get("x-api-key", "")
        if not key or key == "wrong" or self.rules.api_key not in (None, key):
            raise Wrong("e1001", "API 키가 올바르지 않습니다.")

    def _log_in(self, body: dict[str, Any]) -> Any:
        rules = self.rules
        email, password, key = (
            str(body.get(one) or "") for one in ("email", "password", "authentication_key")
        )
        if not key and not (email and password):
            raise Wrong("400", "email, password 또는 authentication_key가 필요합니다.")
        good = (
            key != "wrong" and rules.authentication_key in (None, key)
            if key
            else password != "wrong"  # noqa: S105 - a name, no secret
            and rules.email in (None, email)
            and rules.password in (None, password)
        )
        if not good:
            raise Wrong("e1002", "이메일 또는 비밀번호가 올바르지 않습니다.")
        if email in rules.not_approved:
            raise Wrong("e1006", "API 사용이 승인되지 않은 계정입니다.")
        self._issued += 1
        token = f"emulated-{self.name}-{self._issued:06}"
        self._tokens[token] = self.now() + rules.token_s
        granted = {"token": token, "sol_no": 1}
        return granted if rules.auth_object else [granted]

    def _detail(self, uniq: str, until: float) -> dict[str, Any]:
        order = self.orders.by_uniq(uniq)
        if order is None:
            raise Wrong("e2061", MESSAGES["e2061"])
        return row(self.orders.shown(order, until))

    def _carriers(self) -> list[dict[str, str]]:
        names = ("carrier_code", "carrier_name")
        if self.rules.carrier_fields == "carr_no":
            names = ("carr_no", "carr_name")
        return [dict(zip(names, one, strict=True)) for one in CARRIERS.items()]

    def _writer(self, *, effect: bool = True) -> Writer:
        self._number += 1
        return Writer(self.orders, self.rules, self.now(), self._number, effect=effect)

    def _write(self, what: str, body: dict[str, Any], effect: bool) -> Any:
        writer = self._writer(effect=effect)
        said = writer.instruct(body) if what == "instruction" else writer.set_invoice(body)
        self.changes.append(writer.changes)
        return said

    def _send_invoice(self, body: dict[str, Any], effect: bool) -> dict[str, Any]:
        numbers = body.get("list")
        if body.get("work_type") != "SEND_INVOICE" or not isinstance(numbers, list) or not numbers:
            raise Wrong("400", "work_type, list는 필수입니다.")
        url, works = _callback(body), []
        for shop, chosen in by_shop(listed(self.orders, numbers, self.rules)).items():
            if effect:
                job = self.jobs.add("송장전송", shop, url, self._sending(chosen))
                works.append({"work_no": job.work_no, "shop_cd": shop[0], "shop_id": shop[2]})
        return {"results": works or [{"work_no": 1}]}

    def _sending(self, chosen: list[Order]) -> Any:
        def effect(fails: bool) -> list[str]:
            with self._guard:
                writer = self._writer()
                messages = writer.send_invoice(chosen, fails)
                self.changes.append(writer.changes)
                return messages

        return effect

    def _collect(self, body: dict[str, Any]) -> dict[str, Any]:
        act, asked = body.get("act"), body.get("params")
        if act not in COLLECTING or not isinstance(asked, dict) or not asked.get("site_code"):
            raise Wrong("400", "act, params는 필수입니다.")
        users = asked.get("site_id")
        user = str(users[0]) if isinstance(users, list) and users else "seller1"
        shop = (str(asked["site_code"]), str(asked["site_code"]), user)
        job = self.jobs.add("주문수집", shop, _callback(body), self._collecting(str(act)))
        return {"results": [{"work_no": job.work_no, "site_code": shop[0], "site_id": user}]}

    def _collecting(self, act: str) -> Any:
        def effect(fails: bool) -> list[str]:
            with self._guard:
                if not fails and act != "SyncOrderState":
                    for _ in range(self.rules.scrap_orders):
                        self.orders.add(self.now(), NEW, 0)
            return ["쇼핑몰 로그인에 실패했습니다."] if fails else []

        return effect


def _callback(body: dict[str, Any]) -> str | None:
    url = body.get("api_callback_url")
    return str(url) if url and urlsplit(str(url)).scheme in ("http", "https") else None


def _spoken(body: Any, status: int = 200) -> Spoken:
    return Spoken(status, json.dumps(body, ensure_ascii=False).encode())
