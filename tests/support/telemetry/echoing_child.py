"""A process that answers with the length and the checksum of each message, or hangs."""

from __future__ import annotations

import time
import zlib
from typing import Any

from meshd.connectors.observability.process.serving import Answer, serve


def load() -> Answer:
    def answer(message: bytes) -> Any:
        if message == b"hang":
            time.sleep(60)
        return [len(message), zlib.crc32(message)]

    return answer


if __name__ == "__main__":
    serve(load, bytes)
