"""Streams: from a provider's events to the app's stream.

Owns: when an attempt's stream is committed to the app, and what a break means before and after.
Must never: buffer more of a stream than its first events.

Nothing reaches the app before the first content: an earlier failure concerns only that attempt, and the app does not
see that another attempt replaces it. Flow control runs from the app's credit to the provider's TCP window: this loop
reads no event before the last one is sent. Rule: docs/routing.md, Streams continued elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Protocol

from meshd.gateway.frontends.exchange import ClientGone, not_read
from meshd.gateway.requests.streams.delivery import Delivery
from meshd.host.process.shortages import lack_of
from meshd.sdk.provider import FailureKind, ProviderCall, ProviderFailure, StreamEvent
from modelmesh.errors import MeshError

logger = logging.getLogger("meshd.gateway")


class Streaming(Protocol):
    """The part of a provider that is used here."""

    name: str

    def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]: ...


class Broken(Exception):
    """A stream broke after content had reached the app. final: why it cannot be continued, in any configuration; error:
    what the app gets then."""

    def __init__(self, failure: ProviderFailure, final: str = "", error: MeshError | None = None) -> None:
        super().__init__(failure)  # its secrets may still be masked later
        self.failure = failure
        self.final = final
        self.error = error


async def relay(
    provider: Streaming,
    call: ProviderCall,
    delivery: Delivery,
    note: Callable[[StreamEvent], None],
    commit: Callable[[], None],
) -> None:
    """Pass one stream on until its end; the caller settles it and sends the END. note: called with every event. commit:
    called at the first content, before the app gets it.

    Raises ProviderFailure if nothing has reached the app, Broken otherwise, and ClientGone if the app disconnected.
    """
    held: list[StreamEvent] | None = []  # events before the first content; None once committed
    try:
        async with aclosing(_events(provider, call)) as events:
            async for event in events:
                note(event)
                if event.hidden:
                    continue
                if held is None:
                    if not delivery.send_now(event):
                        await delivery.send(event)
                    continue
                held.append(event)
                if not event.content:  # not by a finish reason alone: some servers send it first, or before an error
                    continue
                commit()
                first, held = held, None
                for each in first:
                    await delivery.send(each)
            if held and any(event.finish_reason is not None for event in held):
                commit()  # an empty answer is an answer
                first, held = held, None
                for each in first:
                    await delivery.send(each)
            await delivery.finish()
    except ProviderFailure as failure:
        if held is not None:
            raise
        raise Broken(failure) from None
    except TimeoutError:
        if held is not None:  # the connector's timeout, as nothing was sent
            raise
        # The app read nothing until the deadline: only the app is to blame.
        stopped = ProviderFailure(FailureKind.CANCELLED, "the app stopped reading the stream")
        raise Broken(stopped, "the app read nothing", not_read()) from None
    except ClientGone:
        raise
    except Exception as error:
        if held is not None:
            raise
        logger.exception("connector %s failed unexpectedly in a stream", provider.name)
        raise Broken(failure_of_bug(error)) from None
    if held is not None:
        raise ProviderFailure(FailureKind.BAD_ANSWER, "the stream ended without any content", status=200)


def _events(provider: Streaming, call: ProviderCall) -> Any:
    """A provider's stream is an async generator by contract, though typed only as an iterator."""
    stream: Any = provider.stream(call)
    return stream


def failure_of_bug(error: Exception) -> ProviderFailure:
    """The failure for an exception that a connector must not raise."""
    lack = lack_of(error)
    if lack is not None:
        return ProviderFailure(FailureKind.LOCAL, lack)
    return ProviderFailure(FailureKind.BAD_ANSWER, f"the connector failed: {type(error).__name__}")
