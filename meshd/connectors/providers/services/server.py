"""One server of a service, to which the requests of its steps are sent.

Owns: their addresses. Must never: send the key to any host but its own, or know what is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from multidict import CIMultiDict
from yarl import URL

from meshd.connectors.providers.http_exchanges import LONGEST_RETRY_DELAY, RETRY_DELAY
from meshd.connectors.providers.http_provider import HttpProvider
from meshd.connectors.providers.http_requests import shown
from meshd.formats.errors import error_answers
from meshd.formats.errors.response_failures import failure_from_error_object, failure_from_no_answer
from meshd.net.answers import Answer
from meshd.sdk.provider import FailureKind, ProviderFailure
from meshd.sdk.reading import lenient
from meshd.services.seam import Ask, Told

_PASSES = frozenset({FailureKind.CONNECTION, FailureKind.SERVER, FailureKind.RATE_LIMIT})


class ServiceServer(HttpProvider):
    """The settings' `base_url` is this server's. Quirk `statuses`: status → kind of failure, for those that are the
    provider's own."""

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return str(self._requests.base.origin())

    async def ask(self, asked: Ask, key: str, timeout: float) -> tuple[Answer, Told]:
        """The answer, whose body has not been read if it is piped, and what it says. Retries as the step and
        `max_retries` allow. timeout: seconds for each try. Raises ProviderFailure."""
        delay, target = RETRY_DELAY, self._address(asked)
        for left in range(max(asked.again, self.settings.max_retries), -1, -1):
            try:
                answer = await self._sent(asked, target, key, timeout)
                body = b"" if asked.piped else await self._http.body(answer, timeout, asked.most)
                headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
                return answer, Told(answer.status, headers, body)
            except ProviderFailure as failure:
                wait = max(delay, failure.retry_after or 0.0)
                if not left or failure.kind not in _PASSES or wait > LONGEST_RETRY_DELAY:
                    raise
            await asyncio.sleep(wait)
            delay *= 2
        raise AssertionError("the last try returns or raises")

    def malformed(self, asked: Ask, told: Told | None, lacks: str) -> ProviderFailure:
        """The failure for an answer that lacks something, which may be an error under a good status."""
        body = told.body if told is not None else b""
        try:
            document = lenient.decode(body)
        except lenient.NotJSON:
            return self._http.scrub(failure_from_no_answer(shown(self._address(asked)), body))
        if isinstance(document, dict) and error_answers.is_error(document):
            return self._http.scrub(failure_from_error_object(lenient.plain(document)))
        return self._http.bad(f"{self._where} answered {lacks}", body)

    async def _sent(self, asked: Ask, target: URL, key: str, timeout: float) -> Answer:
        headers = self._requests.headers_for(key, stream=False).copy()
        body = asked.body if asked.json is None else lenient.plain(asked.json)
        headers["Content-Type"] = asked.content_type
        if body is None:
            headers.popall("Content-Type", None)
            body = b"" if asked.method in ("POST", "PUT", "PATCH") else None
        headers.update(asked.headers)
        try:
            return await self._authorized_or_not(asked.method, target, headers, body, timeout)
        except ProviderFailure as failure:
            own: Mapping[str, str] = self.settings.quirks.get("statuses") or {}
            failure.kind = FailureKind(own.get(str(failure.status), failure.kind))
            raise

    async def _authorized_or_not(
        self, method: str, target: URL, headers: CIMultiDict[str], body: bytes | None, timeout: float
    ) -> Answer:
        if self._authorization is not None:
            return await self._http.authorized(method, target, headers, body, timeout)
        return await self._http.send(target, self._http.transport.head(method, target, headers), body, timeout)

    def _address(self, asked: Ask) -> URL:
        """Raises ProviderFailure if it is not below the base URL; an absolute one only has to be on the same server."""
        base = self._requests.base
        target = URL(asked.url or f"{base.with_query(None)}{asked.path.lstrip('/')}", encoded=bool(asked.url))
        below = asked.url or target.raw_path.startswith(base.raw_path)
        if target.origin() != base.origin() or not below:
            raise self._http.bad(f"{self._where} names an address that is not its own", b"")
        return target.update_query({**self._requests.query, **asked.query}) if not asked.url else target
