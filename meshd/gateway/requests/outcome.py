"""The record of an ended request, for the log and statistics: once per request, however it ended.

Owns: which facts of a request its `Outcome` has. Must never: publish it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from meshd.core.events.records import Outcome
from meshd.gateway.access.app_identity import Identity
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.requests import attribution
from meshd.host import clock
from meshd.sdk.provider import OperationSpec

_LONGEST_NAME: Final = 256  # characters


def outcome(
    request: Request, operation: OperationSpec | str, identity: Identity, asked: str, status: int, **rest: Any
) -> Outcome:
    """asked: the `model` field as the app wrote it, "" if it could not be read. rest: `Outcome`'s further fields."""
    caller = request.caller
    rest.update(attribution.of(request))
    return Outcome(
        request_id=request.request_id.hex(),
        at=request.arrived_at,
        operation=str(operation),
        asked=asked[:_LONGEST_NAME],
        status=status,
        app=identity.label,
        account=identity.account,
        uid=caller.uid,
        pid=caller.pid,
        unit=caller.unit,
        exe=caller.exe,
        user=caller.user,
        content=request.content,
        total_time=clock.now() - request.arrived,
        arrived=request.arrived,
        trace=request.trace,
        **rest,
    )


@dataclass(slots=True)
class Served:
    """The outcome of a request that was answered without asking a model. status: as in HTTP; 499: the app disconnected;
    502, 504: the request that it followed was cut off, or took too long. coalesced: it followed one in flight."""

    status: int
    pool: str
    model: str
    provider: str
    coalesced: bool
    error: str = ""
