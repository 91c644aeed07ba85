"""Posts the batches of a spool, one after the other, until each is accepted.

Owns: the thread that does so, its connection, and the signature of Standard Webhooks 1.0
(github.com/standard-webhooks/standard-webhooks, read on 2026-11-28).
Must never: deliver a batch before the one that came before it, or follow a redirect.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from meshd.connectors.observability.refusals import Refusals
from meshd.connectors.observability.webhook.spool import Spool
from meshd.host.plain_text import one_line
from modelmesh.version import VERSION

TYPE = "mesh.entries"
FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # s between two tries
_LOOKS_EVERY = 3600.0  # s; new batches wake it
_MOST_READ = 64 * 1024  # bytes of an answer
_MOST_SAID = 200
_TOO_LARGE = 413
_UNWANTED = frozenset({400, _TOO_LARGE, 415, 422})
"""Statuses about this batch: a server would answer the same again."""


class _NotNow(Exception):
    """The server cannot take a batch now."""


class Delivery(threading.Thread):
    """Call `start`, and `stop` at the end. dropped: entries of batches that the server refused. first_wait: s until the
    second try."""

    def __init__(self, spool: Spool, settings: Mapping[str, Any], first_wait: float = FIRST_WAIT) -> None:
        """Raises ValueError for an invalid secret."""
        super().__init__(name="meshd-sink-webhook-delivery", daemon=True)
        self.error = ""
        self.dropped = 0
        self._refusals = Refusals("webhook")
        self._spool = spool
        self._url = str(settings["url"])
        self._headers = {str(name): str(value) for name, value in (settings.get("headers") or {}).items()}
        self._keys = [key_of(secret) for secret in str(settings.get("secret") or "").split()]
        self._timeout = float(settings.get("timeout") or 10.0)
        self._ca_file = settings.get("ca_file")
        self._first_wait = first_wait
        self._stopped = threading.Event()
        self._client: Any = None

    def stop(self, timeout: float) -> None:
        """Deliver the rest if that is quick. The spool is closed when the thread ends."""
        self._spool.stop()
        self.join(timeout)
        self._stopped.set()

    def run(self) -> None:
        wait = 0.0
        try:
            while not self._stopped.is_set():
                if self._deliver_next():
                    wait = 0.0
                elif self._spool.stopped:
                    break
                else:
                    wait = min(_LONGEST_WAIT, wait * 2 or self._first_wait)
                    self._stopped.wait(wait * random.uniform(0.8, 1.2))
        finally:
            if self._client is not None:
                self._client.close()
            self._spool.close()

    def _deliver_next(self) -> bool:
        """Whether the oldest batch is settled. False too if there is none."""
        try:
            batch = self._spool.take(_LOOKS_EVERY)
            if batch is None:
                return not self._spool.stopped
            at = batch.path.stat().st_mtime
            refused, why = self._deliver(f"msg_{batch.id}", self._spool.read(batch), at)
        except _NotNow as error:
            self.error = str(error)
            return False
        except Exception as error:
            # Whatever a library raises about an address, a certificate or a connection.
            self.error = one_line(f"{type(error).__name__}: {error}")[:_MOST_SAID]
            return False
        self.error = why
        if refused:
            self.dropped += refused
            self._refusals.told(why)
        self._spool.done(batch)
        return True

    def _deliver(self, id: str, lines: list[bytes], at: float) -> tuple[int, str]:
        """How many entries the server refused, and why. What is too large for it is sent in two halves. Raises _NotNow,
        and what a library raises."""
        status = self._post(id, body_of(lines, at))
        if 200 <= status < 300:
            return 0, ""
        if status == _TOO_LARGE and len(lines) > 1:
            middle = len(lines) // 2
            first, why = self._deliver(f"{id}-1", lines[:middle], at)
            second, later = self._deliver(f"{id}-2", lines[middle:], at)
            return first + second, why or later
        if status in _UNWANTED:
            return len(lines), f"the server refused {len(lines)} entries with status {status}"
        raise _NotNow(f"the server answered with status {status}")

    def _post(self, id: str, body: bytes) -> int:
        at = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"meshd/{VERSION}",
            "webhook-id": id,
            "webhook-timestamp": str(at),
            **({"webhook-signature": signature(self._keys, id, at, body)} if self._keys else {}),
            **self._headers,
        }
        with self._opened().stream("POST", self._url, content=body, headers=headers) as answer:
            read = 0
            for piece in answer.iter_raw():
                read += len(piece)
                if read > _MOST_READ:
                    break
            return int(answer.status_code)

    def _opened(self) -> Any:
        if self._client is None:
            from meshd.net.connections.tls import blocking_client

            self._client = blocking_client(self._ca_file, self._timeout)
        return self._client


def body_of(lines: list[bytes], at: float) -> bytes:
    """lines: JSON objects. at: UTC s."""
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return b'{"type":"%s","timestamp":"%s","data":[%s]}' % (TYPE.encode(), when.encode(), b",".join(lines))


def key_of(secret: str) -> bytes:
    """Raises ValueError."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise ValueError("secret begins with whsec_, but base64 does not follow") from None


def signature(keys: list[bytes], id: str, at: int, body: bytes) -> str:
    """One for each key, so that a receiver may still use the previous one."""
    signed = f"{id}.{at}.".encode() + body
    digests = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
