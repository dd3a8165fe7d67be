"""PlayAuto's error codes as data: what each proves, and what a person must do, in English and Korean.

An error may come under HTTP 200. Source: the pages of developers.playauto.io on orders, order update and
order instruction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Effect = Literal["final", "retry", "token", "login", "already", "split", "unknown"]


@dataclass(frozen=True, slots=True)
class PlayAutoError:
    """One code.

    effect    final    refused, and it would be refused again until a person or another call changes something
              retry    refused for now
              token    refused because of the token: once more with a new one
              login    refused because of the account
              already  the bundle has a number already: read it back and compare
              split    the answer would be too long: ask for less
              unknown  nobody knows what became of it: read it back
    """

    code: str
    effect: Effect
    means: str
    todo: str
    means_ko: str
    todo_ko: str

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without anybody's help."""
        return self.effect in ("retry", "token", "unknown")


_REPORT = "report this to whoever runs Jeongsi", "Jeongsi 운영자에게 알려 주세요"
_LOGIN = (
    "check PLAYAUTO_API_KEY and the account's login (PLAYAUTO_EMAIL, PLAYAUTO_PASSWORD)",
    "PLAYAUTO_API_KEY와 계정(PLAYAUTO_EMAIL, PLAYAUTO_PASSWORD)을 확인하세요",
)


def _error(code: str, effect: Effect, means: str, means_ko: str, todo: tuple[str, str]) -> PlayAutoError:
    return PlayAutoError(code, effect, means, todo[0], means_ko, todo[1])


ERRORS: Final[tuple[PlayAutoError, ...]] = (
    _error("400", "final", "a parameter is missing", "필수 값이 빠졌습니다", _REPORT),
    _error("401", "token", "the token has ended", "토큰이 만료되었습니다", _LOGIN),
    _error("e1001", "token", "authentication failed", "인증에 실패했습니다", _LOGIN),
    _error("e1002", "token", "authentication failed", "인증에 실패했습니다", _LOGIN),
    _error("e1003", "token", "authentication failed", "인증에 실패했습니다", _LOGIN),
    _error("e1004", "token", "authentication failed", "인증에 실패했습니다", _LOGIN),
    _error("e1005", "token", "authentication failed", "인증에 실패했습니다", _LOGIN),
    _error("e1006", "login", "the account may not use the API", "API 사용이 승인되지 않은 계정입니다",
           ("ask PlayAuto to approve the use of its API for this account",
            "플레이오토에 이 계정의 API 사용 승인을 요청하세요")),
    _error("e1010", "final", "the first date is malformed", "시작일 형식이 잘못되었습니다", _REPORT),
    _error("e1011", "final", "the last date is malformed", "종료일 형식이 잘못되었습니다", _REPORT),
    _error("e1017", "split", "the answer is above 10 MB", "응답이 10MB를 넘습니다",
           ("ask for a shorter time or fewer orders", "기간이나 건수를 줄여 조회하세요")),
    _error("e1999", "unknown", "PlayAuto failed and does not say why", "플레이오토 내부 오류입니다",
           ("nothing; it is read back and tried again", "조치가 필요 없습니다. 확인 후 다시 시도합니다")),
    _error("e2001", "final", "the bundle is not in the shipping menu", "배송 메뉴에 없는 묶음번호입니다",
           ("move the order to 출고대기 in PlayAuto, then redrive it",
            "플레이오토에서 주문을 출고대기로 옮긴 뒤 다시 올리세요")),
    _error("e2002", "final", "the bundle number is missing", "묶음번호가 없습니다",
           ("collect the order again, so that it has its bundle number",
            "주문을 다시 수집해 묶음번호를 채우세요")),
    _error("e2003", "final", "the carrier code is wrong", "택배사 코드가 잘못되었습니다",
           ("choose a carrier of PlayAuto's own list", "플레이오토 택배사 목록에 있는 택배사로 고치세요")),
    _error("e2004", "final", "the tracking number is missing or too long", "송장번호가 없거나 너무 깁니다",
           ("enter the tracking number: letters and digits, 20 at most",
            "송장번호를 영문·숫자 20자 이내로 입력하세요")),
    _error("e2005", "final", "PlayAuto does not know the bundle", "플레이오토에 없는 묶음번호입니다",
           ("look whether the order was merged or split in PlayAuto, and collect it again",
            "플레이오토에서 합포장·분리되었는지 확인하고 주문을 다시 수집하세요")),
    _error("e2006", "final", "one bundle was given two carriers or numbers",
           "같은 묶음번호에 택배사나 송장번호가 둘 이상입니다",
           ("give all orders of the bundle the same carrier and number",
            "묶음의 모든 주문에 같은 택배사와 송장번호를 입력하세요")),
    _error("e2007", "already", "the bundle has a number already", "이미 배송정보가 입력된 묶음번호입니다",
           ("nothing if it is ours; else compare both numbers and decide",
            "같은 번호면 조치가 필요 없고, 다르면 두 번호를 비교해 결정하세요")),
    _error("e2008", "final", "PlayAuto refused it and documents no reason", "사유가 공개되지 않은 거절입니다",
           ("look at the order in PlayAuto", "플레이오토에서 주문을 확인하세요")),
    _error("e2009", "final", "orders that are not new are among them", "신규주문이 아닌 주문이 있습니다",
           ("nothing; what is 출고대기 needs no instruction",
            "조치가 필요 없습니다. 출고대기 주문은 출고지시 대상이 아닙니다")),
    _error("e2040", "final", "the order cannot be shipped in its state", "출고할 수 없는 상태의 주문입니다",
           ("look whether the order was cancelled, returned or exchanged",
            "취소·반품·교환된 주문인지 확인하세요")),
    _error("e2043", "retry", "storing the number failed", "송장 업데이트에 실패했습니다",
           ("nothing; it is tried again", "조치가 필요 없습니다. 다시 시도합니다")),
    _error("e2044", "final", "there are more than 3,000 in one call", "한 번에 3,000건을 넘었습니다",
           _REPORT),
    _error("e2061", "final", "PlayAuto does not know the order", "플레이오토에 없는 주문입니다",
           ("collect the order again", "주문을 다시 수집하세요")),
    _error("e2065", "final", "the first day is after the last", "시작일이 종료일보다 늦습니다",
           ("swap the days", "두 날짜를 바꾸세요")),
    _error("e2999", "unknown", "PlayAuto failed and does not say why", "플레이오토 내부 오류입니다",
           ("nothing; it is read back and tried again", "조치가 필요 없습니다. 확인 후 다시 시도합니다")),
)  # fmt: skip
BY_CODE: Final = {error.code: error for error in ERRORS}


def told(code: str, language: Literal["en", "ko"] = "en") -> str:
    """The sentence for a code, unknown ones included: `e2003: the carrier code is wrong; choose …`."""
    known = BY_CODE.get(code)
    if known is None:
        return (
            f"{code}: PlayAuto refused it, and Jeongsi does not know this code; look at the order in PlayAuto"
            if language == "en"
            else f"{code}: 알려지지 않은 플레이오토 오류 코드입니다. 플레이오토에서 주문을 확인하세요"
        )
    if language == "en":
        return f"{code}: {known.means}; {known.todo}"
    return f"{code}: {known.means_ko}. {known.todo_ko}"
