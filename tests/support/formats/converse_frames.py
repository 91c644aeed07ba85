"""Frames of Amazon's event streams, written by their specification: https://smithy.io/2.0/aws/amazon-eventstream.html
(read on 28 November 2026). What reads them is tested against botocore's own reader."""

from __future__ import annotations

import json
import struct
from binascii import crc32
from typing import Any


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """headers: text values."""
    told = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(told) + len(payload), len(told))
    body = prelude + struct.pack("!I", crc32(prelude)) + told + payload
    return body + struct.pack("!I", crc32(body))


def event(kind: str, payload: Any) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(payload).encode())


def exception(kind: str, message: str) -> bytes:
    """One of the exceptions that the API documents, inside a stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())


def error(code: str, message: str) -> bytes:
    """An error that the API does not document."""
    return frame({":message-type": "error", ":error-code": code, ":error-message": message}, b"")
