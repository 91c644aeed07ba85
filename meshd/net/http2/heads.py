"""A request's head in HTTP/2's form.

Must never: let a header that may contain a secret into the compression table.
"""

from __future__ import annotations

from hpack import HeaderTuple, NeverIndexedHeaderTuple

# RFC 9113, 8.2.2: these are about a single HTTP/1.1 connection, and forbidden in HTTP/2.
_OF_CONNECTIONS = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"http2-settings"}
)
_REPEATED = frozenset({b"accept", b"accept-encoding", b"content-type", b"user-agent"})


def fields_of(head: bytes) -> list[HeaderTuple]:
    """head: in HTTP/1.1's form, as `Transport.head` makes it."""
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.split(b" ")
    authority = b""
    fields: list[HeaderTuple] = []
    for line in lines:
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.strip()
        if name == b"host":
            authority = value
        elif name and name not in _OF_CONNECTIONS:
            kind = HeaderTuple if name in _REPEATED else NeverIndexedHeaderTuple
            fields.append(kind(name, value))
    return [
        HeaderTuple(b":method", method),
        HeaderTuple(b":scheme", b"https"),
        HeaderTuple(b":authority", authority),
        NeverIndexedHeaderTuple(b":path", target),
        *fields,
    ]
