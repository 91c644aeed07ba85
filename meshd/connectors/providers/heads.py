"""The bytes that requests to a provider begin with.

Owns: caching those that repeat. Must never: know a wire format.
"""

from __future__ import annotations

from collections.abc import Collection

from yarl import URL

from meshd.connectors.providers.http_requests import HttpRequests
from meshd.net.http import Transport
from meshd.sdk.provider import ProviderCall

_MOST = 4096


class Heads:
    """For requests with the provider's key, or without one. Raises ValueError for a header that cannot be sent."""

    def __init__(self, transport: Transport, formats: Collection[HttpRequests], keys: Collection[str]) -> None:
        self._transport = transport
        self._formats = formats
        self._keys = keys
        self._kept = self._rendered()

    def of(self, requests: HttpRequests, call: ProviderCall, target: URL) -> bytes:
        if call.headers or call.query or call.form is not None:
            url = target.update_query(dict(call.query)) if call.query else target
            return self._transport.head("POST", url, requests.headers_of(call))
        head = self._kept.get((target, call.key, call.stream))
        if head is None:  # the path contains the model, or a reload removed the named key, so that any is used
            headers = requests.headers_for(call.key, stream=call.stream)
            head = self._kept[target, call.key, call.stream] = self._transport.head("POST", target, headers)
            if len(self._kept) > _MOST:
                self._kept = self._rendered()
        return head

    def _rendered(self) -> dict[tuple[URL, str, bool], bytes]:
        """By target, key and whether it is a stream."""
        return {
            (target.url, key, stream): self._transport.head(
                "POST", target.url, requests.headers_for(key, stream=stream)
            )
            for requests in self._formats
            for target in requests.targets
            for key in ("", *self._keys)
            for stream in (False, True)
        }
