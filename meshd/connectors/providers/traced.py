"""HTTP calls of a traced attempt: each is recorded, and tells the provider of the trace if it may know.

Must never: change what is sent otherwise.
"""

from __future__ import annotations

from yarl import URL

from meshd.host import clock
from meshd.net.answers import Answer
from meshd.net.http import Transport
from meshd.sdk.calls.tracing import CallTrace


async def sent(transport: Transport, trace: CallTrace, target: URL, head: bytes, body: bytes | None) -> Answer:
    """As `Transport.send`."""
    method = "POST" if head.startswith(b"POST ") else head.partition(b" ")[0].decode()
    call = trace.begins(method, target.host or "", target.port or 0)
    try:
        answer = await transport.send(head + trace.headers(call) if trace.sent_on else head, body)
    except BaseException as error:
        call.error = type(error).__name__
        raise
    else:
        call.status = answer.status
        return answer
    finally:
        call.ended = clock.now()
