"""One authenticated call to PlayAuto: token, connection, request, and once more if the token was refused."""

from __future__ import annotations

from typing import Any

from gateways import outcomes
from gateways.http import Prepared, Reply, Transport
from gateways.playauto import answers
from gateways.playauto.tokens import Tokens
from gateways.playauto.values import Account, InDoubt, NotSent, Refused


class Caller:
    """Calls for one account. Thread-safe."""

    def __init__(self, account: Account, transport: Transport, tokens: Tokens) -> None:
        self._account, self._transport, self._tokens = account, transport, tokens

    def ask(
        self, method: str, path: str, body: Any = None, *, write_by: float | None = None
    ) -> Reply | NotSent | InDoubt | Refused:
        """The answer, or why there is none. A refused token was not used for anything, so the call is made
        once more with a new one. `write_by`: as `Transport.send` takes it."""
        reply = self._once(method, path, body, write_by)
        if isinstance(reply, Reply) and answers.token_refused(reply):
            return self._once(method, path, body, write_by)
        return reply

    def log_in(self) -> str | NotSent | Refused:
        """A new token, or why there is none."""
        return self._tokens.log_in()

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def _once(
        self, method: str, path: str, body: Any, write_by: float | None
    ) -> Reply | NotSent | InDoubt | Refused:
        token = self._tokens.fresh()
        if not isinstance(token, str):
            return token
        prepared = self._transport.prepare()
        if not isinstance(prepared, Prepared):
            return NotSent(prepared.reason)
        headers = {"x-api-key": self._account.api_key, "Authorization": f"Token {token}"}
        reply = self._transport.send(prepared, method, path, headers, body, write_by=write_by)
        if isinstance(reply, outcomes.NotSent):
            return NotSent(reply.reason)
        if isinstance(reply, outcomes.Unknown):
            return InDoubt(reply.reason, reply.http_status)
        if answers.token_refused(reply):
            self._tokens.refuse(token)
        return reply
