"""The end of a batch, posted to the URL that its model's settings name (`batch.callback`).

Owns: one POST and its repetitions. Must never: reveal what a request or an answer contained, or follow a redirect.

Its form is that of OpenAI's webhooks (`batch.completed`), read on 2026-11-28: developers.openai.com/api/docs/guides/
webhooks. The address is the operator's, so it is trusted as a provider's `base_url` is.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from yarl import URL

from meshd.core.text.redaction import redact_url
from meshd.gateway.batches.records import BatchRecord
from meshd.host.awake import Timeout
from meshd.net.encodings import EncodingError
from meshd.net.failures import TransportError
from meshd.net.http import BodyTooLarge, Transport, UpstreamBody
from modelmesh.version import VERSION

logger = logging.getLogger("meshd.gateway")

_WAITS = (1.0, 5.0, 30.0, 120.0, 600.0)  # s before the next try
_TIMEOUT = 10.0  # s
_MOST = 64 * 1024  # bytes of an answer
_LATER = frozenset({408, 409, 425, 429})
_ERRORS = (TransportError, OSError, TimeoutError, EncodingError, BodyTooLarge, ValueError)


class _Refused(Exception):
    """The server refused it. again: it may accept it later."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


async def post(url: str, record: BatchRecord) -> None:
    """Post until the server accepts or refuses it, six times at most."""
    body = msgspec.json.encode(event(record))
    for wait in (*_WAITS, None):
        try:
            await _post(URL(url), body)
            return
        except _Refused as refused:
            if wait is None or not refused.again:
                logger.warning(
                    "batch %s has ended, but its callback %s failed: %s", record.id, redact_url(url), refused
                )
                return
        await asyncio.sleep(wait)


async def _post(url: URL, body: bytes) -> None:
    """Raises _Refused."""
    transport = Transport(secure=url.scheme == "https", host=url.host or "", port=url.port, max_connections=1)
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": f"meshd/{VERSION}"}
    try:
        with Timeout(_TIMEOUT):
            answer = await transport.send(transport.head("POST", url, headers), body)
            await UpstreamBody(answer).read(_MOST)
    except _ERRORS as error:
        raise _Refused(str(error) or type(error).__name__, again=True) from None
    finally:
        await transport.aclose()
    if not 200 <= answer.status < 300:
        raise _Refused(f"it answered {answer.status}", again=answer.status in _LATER or answer.status >= 500)


def event(record: BatchRecord) -> dict[str, Any]:
    """What is posted. id: the same each time, so that a repetition is recognised."""
    counts = {"total": record.total, "completed": record.completed, "failed": record.failed}
    return {
        "id": f"evt_{record.id}",
        "object": "event",
        "created_at": record.at.get(record.status, record.created_at),
        "type": f"batch.{record.status}",
        "data": {"id": record.id, "status": record.status, "request_counts": counts},
    }
