"""`auth.method: entra`: Azure's tokens, through `azure-identity`.

Owns: which credential is used, and through which proxy. Must never: block the router's loop.
"""

from __future__ import annotations

import os
import time
from typing import Any

from meshd.connectors.providers.authorizations.threads import OwnThread, quieten
from meshd.connectors.providers.authorizations.tokens import NoToken, Token, Tokens
from meshd.host.plain_text import one_line
from meshd.net.connections.proxies import ProxyRefused, configured_proxy
from meshd.sdk.http.authorization import Learn
from meshd.sdk.http.credentials import secrets_of
from meshd.sdk.settings import ProviderSettings

COGNITIVE_SERVICES = "https://cognitiveservices.azure.com/.default"
_HERE = ("http://169.254.169.254", "http://127.0.0.1", "http://localhost")
"""Where this machine's managed identities are asked for, never through a proxy."""
_MOST_SAID = 300
_A_REQUEST = 10.0


def entra(settings: ProviderSettings, learn: Learn) -> Tokens:
    """Raises ValueError."""
    return Tokens(Entra(settings), secrets_of(settings), learn)


class Entra:
    """A `Source`."""

    patience = 25.0  # a machine outside Azure is asked in many ways

    def __init__(self, settings: ProviderSettings) -> None:
        self._auth = settings.auth
        self._scopes = tuple(self._auth.get("scopes") or (COGNITIVE_SERVICES,))
        self._ca_file = settings.options.get("ca_file")
        self._proxy = settings.options.get("proxy")
        self._thread = OwnThread("azure-identity")
        quieten("azure", "msal")
        self.where = "Azure"
        try:
            proxy = configured_proxy(self._proxy) if self._proxy else None
        except ProxyRefused as refused:
            raise ValueError(str(refused)) from None
        if proxy is not None and proxy.socks:
            raise ValueError("azure-identity does not support SOCKS proxies: give an HTTP proxy")

    async def renew(self) -> Token:
        return await self._thread.run(self._token)

    async def aclose(self) -> None: ...

    def _token(self) -> Token:
        """Runs in the thread. The credential is created each time, since an old one would return a refused token
        again."""
        from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceRequestError
        from azure.identity import CredentialUnavailableError

        try:
            with self._credential() as credential:
                given = credential.get_token(*self._scopes)
        except ClientAuthenticationError as error:
            nothing = isinstance(error, CredentialUnavailableError)
            what = "there are no credentials for Azure" if nothing else "Azure refused the credentials of `auth`"
            raise NoToken(
                f"{what}: {_said(error)}", refused=not isinstance(error.inner_exception, ServiceRequestError)
            ) from None
        except (AzureError, ValueError) as error:
            raise NoToken(f"Azure gave no token: {_said(error)}", refused=isinstance(error, ValueError)) from None
        return Token(given.token, given.expires_on - time.time())

    def _credential(self) -> Any:
        from azure.identity import ClientSecretCredential, DefaultAzureCredential

        auth = self._auth
        # An authority that the operator names is not looked up at Microsoft.
        named = bool(os.environ.get("AZURE_AUTHORITY_HOST"))
        options: dict[str, Any] = {"transport": self._transport(), "disable_instance_discovery": named}
        if auth.get("client_secret"):
            return ClientSecretCredential(auth["tenant_id"], auth["client_id"], auth["client_secret"], **options)
        if auth.get("client_id"):
            options["managed_identity_client_id"] = auth["client_id"]
        return DefaultAzureCredential(**options)

    def _transport(self) -> Any:
        from azure.core.pipeline.transport import RequestsTransport
        from requests import Session

        session = Session()
        if self._proxy:
            proxy = configured_proxy(self._proxy)
            session.trust_env = False  # the environment's proxies
            if proxy is not None:
                session.proxies = {"http": proxy.with_login, "https": proxy.with_login, **dict.fromkeys(_HERE, "")}
        verify = self._ca_file or True
        return RequestsTransport(
            session=session,
            session_owner=True,
            connection_timeout=_A_REQUEST,
            read_timeout=_A_REQUEST,
            connection_verify=verify,
            use_env_settings=not self._proxy,
        )


def _said(error: BaseException) -> str:
    return one_line(str(getattr(error, "message", error)))[:_MOST_SAID]
