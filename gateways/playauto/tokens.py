"""The token of one account: 24 hours, renewed an hour before its end, and once when PlayAuto refuses it."""

from __future__ import annotations

import threading

from gateways.http import Prepared, Reply, Transport
from gateways.playauto import answers, dialect
from gateways.playauto.errors import told
from gateways.playauto.token_store import SharedToken
from gateways.playauto.values import Account, NotSent, Refused
from runtime.clock import clock
from runtime.events import Event, emit

LIFE_S, AHEAD_S = 86_400.0, 3_600.0
_WAIT_S = 10.0  # for another process's login, where there is no token that still is good
_PAUSE_S = 60.0  # after a login that failed: an account may be locked for too many


class Tokens:
    """Thread-safe. At most one login at a time over all processes that share a Redis."""

    def __init__(
        self, account: Account, transport: Transport, store: SharedToken, *, ahead_s: float = AHEAD_S
    ) -> None:
        self._account, self._transport, self._store, self._ahead = account, transport, store, ahead_s
        self._held: tuple[str, float] | None = None
        self._refused: set[str] = set()
        self._failed: tuple[NotSent | Refused, float] | None = None
        self._guard = threading.Lock()

    def fresh(self) -> str | NotSent | Refused:
        """A token that is good for now. Refused: PlayAuto does not let the account in."""
        with self._guard:
            if (token := self._good(self._held)) is not None:
                return token
            shared = self._load()
            if (token := self._good(shared)) is not None:
                self._held = shared
                return token
            worn = self._usable(shared) or self._usable(self._held)
            paused = self._paused()
            if paused is not None and (worn or isinstance(paused, Refused)):
                return worn or paused
            return self._renewed(worn)

    def log_in(self) -> str | NotSent | Refused:
        """A new token, whatever there is: shows whether the login itself works."""
        with self._guard, self._store.logging_in(_WAIT_S) as mine:
            return self._log_in(None) if mine else NotSent("playauto_login_under_way")

    def refuse(self, token: str) -> None:
        """PlayAuto refused this token: use it no more."""
        with self._guard:
            self._refused.add(token)

    def _renewed(self, worn: str | None) -> str | NotSent | Refused:
        with self._store.logging_in(0.0 if worn else _WAIT_S) as mine:
            shared = self._load()
            if (token := self._good(shared)) is not None:
                self._held = shared  # another process was faster
                return token
            if not mine:
                return worn or NotSent("playauto_login_under_way")
            return self._log_in(worn)

    def _log_in(self, worn: str | None) -> str | NotSent | Refused:
        answer = self._ask()
        if isinstance(answer, str):
            now = clock().monotonic()
            self._held, self._failed, self._refused = (answer, now + LIFE_S), None, set()
            self._store.save(answer, LIFE_S)
            emit(Event.PLAYAUTO_LOGGED_IN, account=self._account.id)
            return answer
        self._failed = answer, clock().monotonic() + _PAUSE_S
        if isinstance(answer, Refused):
            emit(Event.PLAYAUTO_LOGIN_REFUSED, account=self._account.id, reason=told(answer.code))
        return worn or answer

    def _ask(self) -> str | NotSent | Refused:
        prepared = self._transport.prepare()
        if not isinstance(prepared, Prepared):
            return NotSent(f"playauto_login_unreachable: {prepared.reason}")
        headers = {"x-api-key": self._account.api_key}
        body = dialect.auth_body(self._account)
        reply = self._transport.send(prepared, "POST", dialect.AUTH, headers, body)
        if not isinstance(reply, Reply):
            return NotSent(f"playauto_login_unreachable: {reply.reason}")
        token = answers.token_of(reply)
        if token is not None:
            return token
        problem = answers.problem_of(reply)
        if problem is None or problem.effect in ("unknown", "retry"):
            code = problem.code if problem else f"http_{reply.status}"
            return NotSent(f"playauto_login_unreachable: {code}")
        return Refused(problem.code, problem.message, retryable=False, whole=True)

    def _load(self) -> tuple[str, float] | None:
        shared = self._store.load()
        return None if shared is None else (shared[0], clock().monotonic() + shared[1])

    def _good(self, token: tuple[str, float] | None) -> str | None:
        usable = self._usable(token)
        return usable if usable and token and token[1] - clock().monotonic() > self._ahead else None

    def _usable(self, token: tuple[str, float] | None) -> str | None:
        """Worn, but still accepted: better than nothing."""
        if token is None or token[0] in self._refused or token[1] <= clock().monotonic():
            return None
        return token[0]

    def _paused(self) -> NotSent | Refused | None:
        if self._failed is None or clock().monotonic() >= self._failed[1]:
            return None
        return self._failed[0]
