"""`modelmesh.webhook.v1`: entries are written to a spool on disk, and delivered from there by a thread of its own.

Owns: the spool and its delivery. What was written is delivered at least once and in order, even after a restart.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from meshd.connectors.observability.lines import as_json
from meshd.connectors.observability.webhook.delivery import FIRST_WAIT, Delivery
from meshd.connectors.observability.webhook.spool import Spool
from meshd.sdk.observability import Entry, Sink

_DELIVERED_WITHIN = 0.8  # s, at the end


class WebhookSink(Sink):
    """Settings: those of `WebhookSettings`, with a `path`. first_wait: s until a batch is sent again."""

    quiet: ClassVar[bool] = False
    lasting: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any], first_wait: float = FIRST_WAIT) -> None:
        """Raises OSError, ValueError."""
        folder = Path(os.path.expanduser(settings["path"]))
        address = _digest(settings)
        if folder.name.startswith("webhook-") and folder.name.endswith(f"-{address}"):
            # Until 2026-12, the name did not contain the part. The first sink to come delivers what is left there.
            with suppress(OSError):
                if not folder.exists():
                    folder.with_name(f"webhook-{address}").rename(folder)
        self._spool = Spool(
            folder,
            batch_size=int(settings.get("batch_size", 100)),
            batch_interval=float(settings.get("batch_interval", 1.0)),
            max_size=int(settings.get("max_size", 100_000_000)),
        )
        try:
            self._delivery = Delivery(self._spool, settings, first_wait)
        except ValueError:
            self._spool.close()
            raise
        self._delivery.start()

    @classmethod
    def file_name(cls, part: str, settings: Mapping[str, Any]) -> str:
        # By the URL, so that a new secret or size keeps what is not delivered yet.
        return f"webhook-{part}-{_digest(settings)}"

    def write(self, entry: Entry) -> None:
        self._spool.add(as_json(entry))

    def status(self) -> Mapping[str, Any]:
        delivery = self._delivery
        return {"waiting": self._spool.waiting, "dropped": delivery.dropped, "error": delivery.error}

    def close(self) -> None:
        self._delivery.stop(_DELIVERED_WITHIN)


def _digest(settings: Mapping[str, Any]) -> str:
    """Of the address."""
    return hashlib.sha256(str(settings.get("url")).encode()).hexdigest()[:12]
