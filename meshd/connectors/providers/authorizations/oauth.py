"""`auth.method: oauth`: tokens from a server, for client credentials or a refresh token (RFC 6749, 4.4 and 6).

Owns: the request to `token_url`, how its answer is read, and refresh tokens that the server replaced. Must never: store
one.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode
from weakref import WeakKeyDictionary

from yarl import URL

from meshd.connectors.providers.authorizations.fetching import Answered, Fetcher
from meshd.connectors.providers.authorizations.tokens import NoToken, Token, Tokens
from meshd.connectors.providers.http_requests import shown
from meshd.host.plain_text import one_line
from meshd.sdk.http.authorization import Learn
from meshd.sdk.http.credentials import secrets_of
from meshd.sdk.settings import ProviderSettings

_MOST_SAID = 300  # characters of what the server says
_MOST_GRANTS = 256


def oauth(settings: ProviderSettings, learn: Learn) -> Tokens:
    """Raises ValueError."""
    secrets = secrets_of(settings)
    return Tokens(OAuth(settings, lambda more: learn([*secrets, *more])), secrets, learn)


class _Grant:
    """A refresh token as it is now: the server may replace it at each use. Its owners take turns, since after a reload
    both the old and the new connector may have it."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.turn = asyncio.Lock()


_GRANTS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Grant]] = WeakKeyDictionary()
"""By the digest of the configured one, for as long as the daemon runs."""


class OAuth:
    """A `Source`."""

    patience = 10.0

    def __init__(self, settings: ProviderSettings, learn: Learn) -> None:
        self._auth: Mapping[str, Any] = settings.auth
        self._fetcher = Fetcher(settings)
        self._learn = learn
        self._url = URL(str(self._auth.get("token_url") or ""))
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise ValueError("auth.token_url is not an address")
        self.where = shown(self._url)

    async def renew(self) -> Token:
        configured = self._auth.get("refresh_token")
        if not configured:
            return read_token(await self._ask({"grant_type": "client_credentials"}), self.where)[0]
        grant = _grant_of(str(configured), self.where, str(self._auth.get("client_id")))
        async with grant.turn:
            said = await self._ask({"grant_type": "refresh_token", "refresh_token": grant.token})
            token, replaced = read_token(said, self.where)
            if replaced:
                self._learn([replaced])
                grant.token = replaced
        return token

    async def aclose(self) -> None:
        await self._fetcher.aclose()

    async def _ask(self, form: dict[str, str]) -> Answered:
        auth, headers = self._auth, {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if auth.get("scopes"):
            form["scope"] = " ".join(auth["scopes"])
        if auth.get("audience"):
            form["audience"] = auth["audience"]
        client, secret = auth.get("client_id") or "", auth.get("client_secret") or ""
        if secret and auth.get("client_auth") != "post":
            both = f"{quote_plus(client)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
        elif client:
            form |= {"client_id": client} | ({"client_secret": secret} if secret else {})
        return await self._fetcher.fetch("POST", self._url, headers, urlencode(form).encode())


def _grant_of(configured: str, where: str, client: str) -> _Grant:
    grants = _GRANTS.setdefault(asyncio.get_running_loop(), {})
    digest = hashlib.sha256("\0".join((where, client, configured)).encode()).hexdigest()
    if digest not in grants:
        if len(grants) >= _MOST_GRANTS:
            del grants[next(iter(grants))]
        grants[digest] = _Grant(configured)
    return grants[digest]


def read_token(answer: Answered, where: str) -> tuple[Token, str]:
    """The token, and the refresh token that replaces the one that was used, if any. Raises NoToken."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    fields: dict[str, Any] = said if isinstance(said, dict) else {}
    if answer.status != 200 or "error" in fields:
        raise _refusal(answer, fields, where)
    text, kind, replaced = fields.get("access_token"), fields.get("token_type", "Bearer"), fields.get("refresh_token")
    if not isinstance(text, str) or not text:
        raise NoToken(f"{where} answered without an access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise NoToken(f"{where} gave a token of the type {_said(kind)}, but only Bearer is supported")
    return Token(text, _life(fields.get("expires_in"))), replaced if isinstance(replaced, str) else ""


def _life(given: Any) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        seconds = float(given)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None


def _refusal(answer: Answered, fields: Mapping[str, Any], where: str) -> NoToken:
    refused = answer.status in (400, 401, 403) or (answer.status == 200 and "error" in fields)
    told = ": ".join(_said(fields[name]) for name in ("error", "error_description") if fields.get(name))
    wait = answer.headers.get("retry-after", "")
    after = float(wait) if wait.isascii() and wait.isdigit() and len(wait) < 6 else None
    what = "refused the credentials of `auth`" if refused else f"answered {answer.status}"
    return NoToken(f"{where} {what}{f': {told}' if told else ''}", refused=refused, retry_after=after)


def _said(value: Any) -> str:
    return one_line(value if isinstance(value, str) else json.dumps(value))[:_MOST_SAID]
