"""A service that is asked with a bearer token, which a vendor's library obtains.

Owns: how long a token is used. Must never: keep a token anywhere but in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from meshd.connectors.secrets.remote.http import Refused, Service

_SOON = 60.0  # s before a token's end at which it is renewed


class BearerService:
    """get: returns (a token, when it expires in UTC s). Raises SecretStoreError."""

    def __init__(self, service: Service, get: Callable[[], tuple[str, float]]) -> None:
        self._service = service
        self._get = get
        self._token = ""
        self._ends_at = 0.0

    def ask(
        self, method: str, path: str, *, body: Any = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Like `Service.ask`. A token that the service refuses is not used again."""
        try:
            return self._service.ask(method, path, headers=self.headers(), body=body, query=query)
        except Refused as error:
            if error.status == 401:
                self._token = ""
            raise

    def headers(self) -> dict[str, str]:
        """Raises SecretStoreError."""
        if not self._token or time.time() >= self._ends_at - _SOON:
            self._token, self._ends_at = self._get()
        return {"Authorization": f"Bearer {self._token}"}
