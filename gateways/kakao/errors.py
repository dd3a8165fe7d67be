"""Kakao's error codes as data: what each proves about the message, and what a person must do.

Sources: developers.kakao.com rest-api/error-code, kakaotalk-message/trouble-shooting,
kakaologin/trouble-shooting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Effect = Literal["final", "retry", "token", "unknown"]


@dataclass(frozen=True, slots=True)
class KakaoError:
    """One code. ``http``: the status it comes with, None where the documents do not say.

    effect    final    refused, and it would be refused again
              retry    refused for now
              token    refused because of the access token: once more with a new one
              unknown  nobody knows whether the message went out
    todo      what a person does about it; a sentence
    """

    code: str
    http: int | None
    effect: Effect
    means: str
    todo: str


_LOG_IN = "log in again with the account that sends (`jeongsi token login-url`)"

ERRORS: Final[tuple[KakaoError, ...]] = (
    KakaoError("-1", 400, "unknown", "Kakao failed inside",
               "look into the chat; nothing is sent again by itself"),
    KakaoError("-2", 400, "final", "a parameter is missing or wrong", "mend the text or the receivers"),
    KakaoError("-3", 403, "final", "the app lacks this feature",
               "switch Kakao Talk Message on in the console of Kakao Developers"),
    KakaoError("-4", 403, "final", "the account is blocked or restricted",
               "ask Kakao why the account is restricted"),
    KakaoError("-5", 403, "final", "the app may not call this",
               "apply for the permission in Kakao Developers"),
    KakaoError("-7", 400, "retry", "Kakao is under maintenance", "wait; it is tried again"),
    KakaoError("-8", 400, "final", "a header is wrong", "report this to whoever runs Jeongsi"),
    KakaoError("-9", 400, "final", "this API has ended", "update Jeongsi"),
    KakaoError("-10", 400, "final", "the quota of the API is used up",
               "wait for the next day or month, or buy quota in Kakao Developers"),
    KakaoError("-12", None, "final", "the app is blocked", "ask Kakao why the app is blocked"),
    KakaoError("-101", 400, "final", "the account is not linked to the app", _LOG_IN),
    KakaoError("-102", 400, "final", "the account is linked already", _LOG_IN),
    KakaoError("-103", 400, "final", "there is no such account", _LOG_IN),
    KakaoError("-201", 400, "final", "a property is not registered", "report this to whoever runs Jeongsi"),
    KakaoError("-401", 401, "token", "the access token is wrong or has expired", _LOG_IN),
    KakaoError("-402", 403, "final", "the account has not agreed to this use",
               "log in again and agree to the scopes talk_message and friends (`jeongsi token login-url`)"),
    KakaoError("-406", 401, "final", "the account belongs to a child under 14", "use another account"),
    KakaoError("-501", 400, "final", "the account does not use Kakao Talk",
               "start Kakao Talk with this account"),
    KakaoError("-502", 400, "final", "a receiver is no friend of the account",
               "make friends in Kakao Talk, or take the receiver out of the room's address"),
    KakaoError("-504", 400, "final", "the text is too long", "shorten the text"),
    KakaoError("-530", 400, "final", "a receiver refuses messages of this app",
               "ask the receiver to allow them"),
    KakaoError("-531", 400, "final", "the sender's quota of the month is used up", "wait for the next month"),
    KakaoError("-532", 400, "final", "the sender's quota of the day is used up", "wait for the next day"),
    KakaoError("-533", 400, "final", "the receiver's quota of the day is used up", "wait for the next day"),
    KakaoError("-536", 400, "final", "the quota between this sender and receiver is used up for the day",
               "wait for the next day"),
    KakaoError("-602", 400, "final", "an image is too large", "send no image here"),
    KakaoError("-603", 400, "unknown", "Kakao's own time ran out",
               "look into the chat; nothing is sent again by itself"),
    KakaoError("-606", 400, "final", "there are too many images", "send no image here"),
    KakaoError("-903", 400, "final", "the app key is wrong", "mend KAKAO_REST_API_KEY"),
    KakaoError("-9798", 503, "retry", "Kakao is under maintenance", "wait; it is tried again"),
    # kauth, when a token is refreshed or exchanged
    KakaoError("KOE010", 401, "final", "the client secret is wrong or missing",
               "set KAKAO_CLIENT_SECRET as the console of Kakao Developers shows it"),
    KakaoError("KOE101", 400, "final", "the REST API key is wrong", "mend KAKAO_REST_API_KEY"),
    KakaoError("KOE303", 400, "final", "the redirect URI differs from the one of the login",
               "use the same redirect URI for login and exchange"),
    KakaoError("KOE320", 400, "final", "the code of the login has been used or is too old", _LOG_IN),
    KakaoError("KOE322", 400, "final", "the refresh token is wrong or has expired", _LOG_IN),
    KakaoError("KOE237", 429, "retry", "too many tokens were asked for", "wait ten minutes"),
)  # fmt: skip
BY_CODE: Final = {error.code: error for error in ERRORS}


def told(code: str) -> str:
    """The sentence for a code, unknown ones included: `-10: the quota … is used up; wait …`."""
    known = BY_CODE.get(code)
    return (
        f"{code}: {known.means}; {known.todo}"
        if known
        else f"{code}: Kakao refused it and Jeongsi does not know why"
    )
