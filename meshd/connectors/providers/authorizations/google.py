"""`auth.method: service_account`: Google's tokens, through `google-auth`.

Owns: which credentials it gets, and its requests. Must never: block the router's loop, or keep a key's text.
"""

from __future__ import annotations

import asyncio
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from yarl import URL

from meshd.connectors.providers.authorizations.fetching import Answered, Fetcher
from meshd.connectors.providers.authorizations.threads import OwnThread, quieten
from meshd.connectors.providers.authorizations.tokens import NoToken, Token, Tokens
from meshd.connectors.secrets.files import read_text
from meshd.host.plain_text import one_line
from meshd.sdk.http.authorization import Learn
from meshd.sdk.http.credentials import secrets_of
from meshd.sdk.secrets import SecretStoreError, SecretUnavailable
from meshd.sdk.settings import ProviderSettings

CLOUD = "https://www.googleapis.com/auth/cloud-platform"
_SECRET = ("private_key", "private_key_id", "client_secret", "refresh_token")
_METADATA = ("metadata.google.internal", "169.254.169.254")
"""The metadata server of this machine, in Google's cloud, which is never asked through a proxy."""
_MOST_SAID = 300
_A_REQUEST = 10.0  # s, where the library sets no limit


def google(settings: ProviderSettings, learn: Learn) -> Tokens:
    """Raises ValueError."""
    secrets = secrets_of(settings)
    return Tokens(Google(settings, lambda more: learn([*secrets, *more])), secrets, learn)


class Google:
    """A `Source`."""

    patience = 20.0

    def __init__(self, settings: ProviderSettings, learn: Learn) -> None:
        self._auth = settings.auth
        self._scopes = list(self._auth.get("scopes") or (CLOUD,))
        self._learn = learn
        self._fetcher = Fetcher(settings)
        self._direct = Fetcher(replace(settings, options={**settings.options, "proxy": "none"}))
        self._thread = OwnThread("google-auth")
        quieten("google.auth", "google.oauth2")
        self.where = "Google"
        if text := self._auth.get("credentials"):
            self._learn_from(_key(str(text), "auth.credentials"))

    async def renew(self) -> Token:
        loop = asyncio.get_running_loop()
        return await self._thread.run(lambda: self._token(loop))

    async def aclose(self) -> None:
        await self._fetcher.aclose()
        await self._direct.aclose()

    def _token(self, loop: asyncio.AbstractEventLoop) -> Token:
        """Runs in the thread. Everything is read again each time, so that a key file may be replaced."""
        from google.auth.exceptions import GoogleAuthError, TransportError

        request = _request_of(self._fetch, loop)
        try:
            credentials = self._load(request)
            credentials.refresh(request)
        except (NoToken, SecretStoreError, SecretUnavailable, ValueError) as error:
            raise error if isinstance(error, NoToken) else NoToken(f"auth: {_said(error)}", refused=True) from None
        except GoogleAuthError as error:
            refused = not (isinstance(error, TransportError) or error.retryable)
            raise NoToken(f"Google gave no token: {_said(error)}", refused=refused) from None
        if not credentials.token:
            raise NoToken("Google gave no token")
        ends = credentials.expiry
        life = None if ends is None else (ends - datetime.now(UTC).replace(tzinfo=None)).total_seconds()
        return Token(str(credentials.token), life)

    def _load(self, request: Any) -> Any:
        import google.auth
        from google.oauth2 import service_account

        library: Any = google.auth  # it has no types
        accounts: Any = service_account.Credentials
        text, path = self._auth.get("credentials"), self._auth.get("credentials_file")
        if not text and not path:
            return library.default(scopes=self._scopes, request=request)[0]
        if path:
            text = read_text(Path(os.path.expanduser(path)), private=True)
        key = _key(str(text), f"{path}" if path else "auth.credentials")
        self._learn_from(key)
        if key.get("type") == "service_account":
            return accounts.from_service_account_info(key, scopes=self._scopes)
        with warnings.catch_warnings():  # about key files from others: this one is the operator's
            warnings.simplefilter("ignore", DeprecationWarning)
            return library.load_credentials_from_dict(key, scopes=self._scopes, request=request)[0]

    def _learn_from(self, key: Mapping[str, Any]) -> None:
        self._learn(str(key[name]) for name in _SECRET if key.get(name))

    async def _fetch(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answered:
        target = URL(url)
        here = {*_METADATA, os.environ.get("GCE_METADATA_HOST", "").partition(":")[0]}
        fetcher = self._direct if target.host in here else self._fetcher
        return await fetcher.fetch(method, target, headers, body)


def _request_of(fetch: Any, loop: asyncio.AbstractEventLoop) -> Any:
    """What the library uses for sending: from its thread, through the loop and the provider's own proxy."""
    from google.auth import exceptions
    from google.auth.transport import Request, Response

    failed: Any = exceptions.TransportError

    class Answer(Response):
        def __init__(self, answered: Answered) -> None:
            self._answered = answered

        @property
        def status(self) -> int:
            return self._answered.status

        @property
        def headers(self) -> Mapping[str, str]:
            return self._answered.headers

        @property
        def data(self) -> bytes:
            return self._answered.body

    class Send(Request):
        def __call__(
            self,
            url: str,
            method: str = "GET",
            body: bytes | str | None = None,
            headers: Mapping[str, str] | None = None,
            timeout: float | None = None,
            **_: Any,
        ) -> Answer:
            given = body.encode() if isinstance(body, str) else body
            sent = asyncio.run_coroutine_threadsafe(fetch(method, url, headers or {}, given), loop)
            try:
                return Answer(sent.result(min(timeout or _A_REQUEST, _A_REQUEST)))
            except (NoToken, TimeoutError) as error:
                sent.cancel()
                raise failed(str(error) or f"no answer within {_A_REQUEST:g} s") from None

    return Send()


def _key(text: str, where: str) -> dict[str, Any]:
    """Raises ValueError, which does not quote the text."""
    try:
        key = json.loads(text)
    except (ValueError, RecursionError):
        key = None
    if not isinstance(key, dict) or not isinstance(key.get("type"), str):
        raise ValueError(f"{where} is not the content of a key file from Google (JSON with a `type`)")
    return key


def _said(error: BaseException) -> str:
    return one_line(str(error.args[0]) if error.args else type(error).__name__)[:_MOST_SAID]
