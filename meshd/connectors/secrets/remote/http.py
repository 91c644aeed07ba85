"""Requests of the stores that are services.

Owns: the connection, how much of an answer is read, and what a status means. Must never: follow a redirect with a
credential, or show what was sent.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from meshd.connectors.bounded_answers import TooLong, sent
from meshd.connectors.secrets.files import MOST_BYTES
from meshd.connectors.secrets.said import said
from meshd.sdk.secrets import SecretMissing, SecretStoreError, SecretStoreUnreachable

logger = logging.getLogger("meshd.secrets")

PATIENCE = 4.0
"""Seconds for an answer, unless the settings say otherwise."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_warned: set[str] = set()


class Refused(SecretStoreError):
    """The service answered with a status of 400 or more. message: its own."""

    def __init__(self, where: str, status: int, message: str) -> None:
        super().__init__(f"{where} refused: {status}{message and f' {message}'}")
        self.status = status
        self.message = message


class Service:
    """One service. name: what messages call it."""

    def __init__(self, name: str, base_url: str, settings: Mapping[str, Any]) -> None:
        """Raises ValueError for an invalid address."""
        self._name = name
        self._base = base_url.rstrip("/")
        self._settings = settings
        self._client: Any = None
        parts = urlsplit(self._base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base_url} is not an address like https://…")
        self.where = f"{name} at {parts.netloc.rpartition('@')[2]}"
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK and self.where not in _warned:
            _warned.add(self.where)  # once, although each reload makes new stores
            logger.warning("%s is asked without TLS: secrets are readable on the network", self.where)

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The JSON object of the answer, {} if it has none, {"data": …} of a list. path: after the base, or a whole
        address.

        Raises SecretMissing (404), Refused, SecretStoreUnreachable (no sensible answer).
        """
        url = path if "://" in path else f"{self._base}{path}"
        status, content = self._exchange(method, url, headers, body, query)
        if status in (408, 425, 429, 473) or status >= 500:  # 473: a standby of Vault
            raise SecretStoreUnreachable(f"{self.where} answered with status {status}")
        answer = _parsed(content)
        if status == 404:
            raise SecretMissing(f"{self.where} has no such secret: {_said(answer)}".removesuffix(": "))
        if status >= 300:
            raise Refused(self.where, status, "" if body is not None and method != "GET" else _said(answer))
        if content.strip() and not isinstance(answer, dict | list):
            raise SecretStoreUnreachable(f"{self.where} did not answer with JSON")
        return answer if isinstance(answer, dict) else {"data": answer} if answer else {}

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: Any, query: Mapping[str, str] | None
    ) -> tuple[int, bytes]:
        import httpx

        try:
            client = self._opened()
            request = client.build_request(method, url, headers=headers, json=body, params=query)
            answer, content = sent(client, request, MOST_BYTES)
        except TooLong:
            raise SecretStoreUnreachable(f"{self.where} answered with more than 1 MiB") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise SecretStoreUnreachable(f"{self.where} does not answer: {_why(error)}") from None
        return answer.status_code, content

    def _opened(self) -> Any:
        if self._client is None:
            from meshd.net.connections.tls import blocking_client

            timeout = float(self._settings.get("timeout") or PATIENCE)
            self._client = blocking_client(self._settings.get("ca_file"), timeout)
        return self._client


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _said(answer: Any) -> str:
    """The message of an error, in the forms that these services use."""
    found = answer if isinstance(answer, dict) else {}
    error = found.get("error")
    words = error.get("message") if isinstance(error, dict) else found.get("message")
    errors = found.get("errors")
    if isinstance(errors, list):
        words = "; ".join(str(each) for each in errors)
    return said(str(words)) if words else ""


def _why(error: Exception) -> str:
    return said(str(error)) or type(error).__name__
