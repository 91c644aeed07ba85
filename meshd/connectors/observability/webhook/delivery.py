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
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from meshd.connectors.observability import halving
from meshd.connectors.observability.halving import Lost, TooLarge, post_in_halves
from meshd.connectors.observability.in_words import in_words
from meshd.connectors.observability.refusals import Refusals
from meshd.connectors.observability.webhook.spool import Gone, Spool
from meshd.core.webhook_key import key_of
from meshd.host.plain_text import one_line
from meshd.net.connections.posting import Answer, Posting
from modelmesh.version import VERSION
from modelmesh.wording import counted

TYPE = "mesh.entries"
FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # s between two tries
_LONGEST_ASKED = 300.0  # s, where the server says how long
_LOOKS_EVERY = 3600.0  # s; new batches wake it
_MOST_SAID = 200
_UNWANTED = frozenset({400, 415, 422})
"""Statuses about this batch: a server would answer the same again."""


class _NotNow(Exception):
    """The server cannot take a batch now. after: s that it asks to wait, 0: it does not say."""

    def __init__(self, message: str, after: float) -> None:
        super().__init__(message)
        self.after = after


class Delivery(threading.Thread):
    """Call `start`, and `stop` at the end. dropped: entries that the server refused, or whose files were removed.
    first_wait: s until the second try. sleep: waits so many seconds."""

    def __init__(
        self,
        spool: Spool,
        settings: Mapping[str, Any],
        first_wait: float = FIRST_WAIT,
        sleep: Callable[[float], Any] | None = None,
    ) -> None:
        """Raises ValueError for an invalid secret."""
        super().__init__(name="meshd-sink-webhook-delivery", daemon=True)
        self.error = ""
        self.dropped = 0
        self._refusals = Refusals("webhook")
        self._spool = spool
        self._url = str(settings["url"])
        self._headers = {str(name): str(value) for name, value in (settings.get("headers") or {}).items()}
        self._keys = [key_of(secret) for secret in str(settings.get("secret") or "").split()]
        self._posting = Posting(settings.get("ca_file"), float(settings.get("timeout") or 10.0))
        self._first_wait = first_wait
        self._asked = 0.0
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait

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
                    self._sleep(max(wait * random.uniform(0.8, 1.2), self._asked))
        finally:
            self._posting.close()
            self._spool.close()

    def _deliver_next(self) -> bool:
        """Whether the oldest batch is settled. False too if there is none."""
        self._asked = 0.0
        try:
            batch = self._spool.take(_LOOKS_EVERY)
            if batch is None:
                return not self._spool.stopped
            try:
                lines, at = self._spool.read(batch)
                post = partial(self._deliver, f"msg_{batch.id}", at)
                refused, why = post_in_halves(post, lines)
            except Gone as gone:  # nothing brings it back, and it must not hold up the others
                refused, why = batch.lines, one_line(str(gone))
        except _NotNow as error:
            self.error, self._asked = str(error), min(error.after, _LONGEST_ASKED)
            return False
        except Exception as error:
            # Whatever a library raises about an address, a certificate or a connection.
            self.error = in_words(error)[:_MOST_SAID]
            return False
        self.error = why
        if refused:
            self.dropped += refused
            self._refusals.told(why)
        try:
            self._spool.done(batch)
        except OSError as error:
            self.error = one_line(f"a delivered batch cannot be removed: {in_words(error)}")
        return True

    def _deliver(self, id: str, at: float, lines: Sequence[bytes], part: str) -> Lost:
        """Raises TooLarge, _NotNow, and what a library raises."""
        status, _, after = self._post(f"{id}{part}", body_of(lines, at))
        if 200 <= status < 300:
            return 0, ""
        why = f"the server refused {counted(len(lines), 'entry', 'entries')} with status {status}"
        if status == halving.STATUS:
            raise TooLarge(why, len(lines))
        if status in _UNWANTED:
            return len(lines), why
        raise _NotNow(f"the server answered with status {status}", after)

    def _post(self, id: str, body: bytes) -> Answer:
        at = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"meshd/{VERSION}",
            "webhook-id": id,
            "webhook-timestamp": str(at),
            **({"webhook-signature": signature(self._keys, id, at, body)} if self._keys else {}),
            **self._headers,
        }
        return self._posting.post(self._url, body, headers)


def body_of(lines: Sequence[bytes], at: float) -> bytes:
    """lines: JSON objects. at: UTC s."""
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return b'{"type":"%s","timestamp":"%s","data":[%s]}' % (TYPE.encode(), when.encode(), b",".join(lines))


def signature(keys: list[bytes], id: str, at: int, body: bytes) -> str:
    """One for each key, so that a receiver may still use the previous one."""
    signed = f"{id}.{at}.".encode() + body
    digests = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
