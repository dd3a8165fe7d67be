"""What may be changed on an emulated PlayAuto while it runs, and how it says no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

TOKEN_S = 86_400.0
ROWS_MAX = 3000
ANSWER_MAX_BYTES = 10 * 1024 * 1024


@dataclass
class PlayAutoRules:
    """Two kinds of switches: what goes wrong, and what nobody outside knows for sure.

    api_key, email, password, authentication_key    what is asked for at /auth; None takes any but `wrong`
    not_approved      e-mail addresses whose use of the API was never approved: e1006
    token_s           life of a token, seconds
    auth_object       /auth answers with an object instead of an array
    errors_with_200   errors come under HTTP 200; else under 400 and 401
    numeric_codes     400 and 401 are numbers in the body, not strings
    result_key        /orders says `results` or `result`
    carrier_fields    /carriers says `carrier_code`, `carrier_name` or `carr_no`, `carr_name`
    list_takes        SEND_INVOICE's list takes `uniq`, `bundle_no` or `either`
    hide_new          bundle_yn=false leaves new orders out of /orders
    latency_s         every answer takes so long, as over a network; its effect comes before it
    read_lag_s        what was written stays invisible to reads for so long
    pad_bytes         each row of /orders is longer by so much, to reach e1017
    rows_max, answer_max_bytes    e2044 and e1017 beyond these
    names_bundles     a refused instruction names the bundles that are the reason (bundle_codes)
    merged            uniqs that /orders shows and SEND_INVOICE does not know: e2061 for the whole call
    transient_tries   a bundle that was seeded with e2043 refuses so often, then takes the number
    job_delay_s       from SEND_INVOICE to its effect
    job_fails, job_lost           shares of jobs that fail, and that never do or say anything
    callback_delay_s  from the effect to the callback
    callback_lost, callback_doubled    shares of callbacks
    scrap_orders      new orders that one ScrapOrder job brings
    """

    api_key: str | None = None
    email: str | None = None
    password: str | None = None
    authentication_key: str | None = None
    not_approved: set[str] = field(default_factory=set)
    token_s: float = TOKEN_S
    auth_object: bool = False
    errors_with_200: bool = True
    numeric_codes: bool = False
    result_key: str = "results"
    carrier_fields: str = "carrier_code"
    list_takes: str = "either"
    hide_new: bool = False
    latency_s: float = 0.0
    read_lag_s: float = 0.0
    pad_bytes: int = 0
    rows_max: int = ROWS_MAX
    answer_max_bytes: int = ANSWER_MAX_BYTES
    names_bundles: bool = True
    merged: set[str] = field(default_factory=set)
    transient_tries: int = 1
    job_delay_s: float = 0.2
    job_fails: float = 0.0
    job_lost: float = 0.0
    callback_delay_s: float = 0.0
    callback_lost: float = 0.0
    callback_doubled: float = 0.0
    scrap_orders: int = 0

    def change(self, asked: Mapping[str, Any]) -> None:
        """Set what is named. Raises ValueError for an unknown name or a value of another kind."""
        checked = {name: _checked(name, value) for name, value in asked.items()}
        for name, value in checked.items():
            setattr(self, name, value)


_DEFAULTS = {one.name: getattr(PlayAutoRules(), one.name) for one in fields(PlayAutoRules)}
_CHOICES = {
    "result_key": ("results", "result"),
    "carrier_fields": ("carrier_code", "carr_no"),
    "list_takes": ("either", "uniq", "bundle_no"),
}


def _checked(name: str, value: Any) -> Any:
    if name not in _DEFAULTS:
        raise ValueError(f"there is no setting {name!r}; known are {', '.join(_DEFAULTS)}")
    default = _DEFAULTS[name]
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ValueError(f"{name} is one of {', '.join(_CHOICES[name])}")
    if isinstance(default, set):
        return {str(one) for one in value}
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name} is true or false")  # noqa: TRY004 - a wrong value, answered by 400
        return value
    if isinstance(default, int | float):
        return type(default)(value)
    return None if value is None else str(value)


class Wrong(Exception):
    """A request that is refused as a whole, by PlayAuto's own code."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.more = code, message, more

    def body(self, *, numeric: bool) -> dict[str, Any]:
        """`{"error_code", "messages"}`."""
        code: str | int = int(self.code) if numeric and self.code.isdigit() else self.code
        return {"error_code": code, "messages": [self.message], **self.more}


MESSAGES = {
    "e2001": "배송 메뉴에 없는 묶음번호입니다.",
    "e2002": "묶음번호는 필수입니다.",
    "e2003": "택배사 코드가 올바르지 않습니다.",
    "e2004": "송장번호는 필수입니다.",
    "e2005": "묶음번호를 찾을 수 없습니다.",
    "e2006": "동일 묶음번호는 택배사와 송장번호가 같아야 합니다.",
    "e2007": "이미 배송정보가 입력된 주문입니다.",
    "e2009": "신규주문이 아닌 주문이 포함되어 있습니다.",
    "e2040": "출고할 수 없는 상태의 주문입니다.",
    "e2043": "송장 업데이트에 실패했습니다. 다시 시도해 주세요.",
    "e2044": "한 번에 3,000건까지 처리할 수 있습니다.",
    "e2061": "주문 고유번호를 찾을 수 없습니다.",
    "e2065": "조회 시작일이 종료일보다 큽니다.",
}
