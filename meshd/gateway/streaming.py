"""Streams: from a provider's events to an app's chunks.

Owns: when a stream is committed to the app, and what a break means before and after.
Must never: buffer more of a stream than its first events.

Nothing reaches the app until the first content does: whatever fails before is a failure of that attempt, which
another attempt makes good, unseen. Flow control runs from the app's credit to the provider's TCP window: this
loop reads no event before the last one is sent. Rule: spec/routing.md, Streams.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from meshd.cdk.provider import FailureKind, Provider, ProviderCall, ProviderFailure, Usage
from meshd.gateway.exchange import ClientGone
from modelmesh._errors import MeshError, RequestTimeoutError, StreamInterrupted

if TYPE_CHECKING:
    from meshd.gateway.inference import Inference

logger = logging.getLogger("meshd.gateway")


class Broken(Exception):
    """A stream broke after content had reached the app: it cannot be begun anew."""

    def __init__(self, failure: ProviderFailure, error: MeshError) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.error = error


async def relay(inference: Inference, provider: Provider, call: ProviderCall) -> None:
    """Pass one stream on until its end, and settle it; the END is the caller's to send.

    Raises ProviderFailure before anything reached the app, Broken after, ClientGone when it left.
    """
    exchange = inference.exchange
    started = time.monotonic()
    held: list[bytes] | None = []  # events before the first content; None once committed
    usage: Usage | None = None
    delivered = 0
    try:
        async with aclosing(_events(provider, call)) as events:
            async for event in events:
                usage = event.usage or usage
                if event.hidden:
                    continue
                if held is not None:
                    held.append(event.data)
                    if not event.content and event.finish_reason is None:
                        continue
                    inference.first_token = time.monotonic() - started
                    for data in held:
                        await exchange.chunk(data)
                    held = None
                else:
                    await exchange.chunk(event.data)
                delivered += event.content
    except ProviderFailure as failure:
        inference.settle(_counted(usage, delivered, inference) if usage or held is None else None)
        if held is not None:
            raise
        raise Broken(failure, interrupted(inference, failure, delivered)) from None
    except TimeoutError:
        # The app took nothing until the deadline: nobody's failure but its own.
        inference.settle(_counted(usage, delivered, inference))
        stopped = ProviderFailure(FailureKind.CANCELLED, "the app stopped taking the stream")
        raise Broken(stopped, RequestTimeoutError("the stream was not taken before the deadline")) from None
    except (asyncio.CancelledError, ClientGone):
        inference.settle(_counted(usage, delivered, inference))
        raise
    except Exception as error:
        if held is not None:
            raise
        logger.exception("connector %s failed unexpectedly in a stream", provider.name)
        inference.settle(_counted(usage, delivered, inference))
        unexpected = bug(error)
        raise Broken(unexpected, interrupted(inference, unexpected, delivered)) from None
    if held is not None:
        raise ProviderFailure(FailureKind.BAD_ANSWER, "the stream ended without any content")
    inference.settle(_counted(usage, delivered, inference))


def _events(provider: Provider, call: ProviderCall) -> Any:
    """A provider's stream is an async generator by contract; its type says no more than iterator."""
    stream: Any = provider.stream(call)
    return stream


def _counted(usage: Usage | None, delivered: int, inference: Inference) -> Usage:
    """What a stream used when its provider did not get to say: a token an event, and the prompt's estimate."""
    if usage is not None:
        return usage
    return Usage(inference.plan.needs.tokens, delivered)


def interrupted(inference: Inference, failure: ProviderFailure, delivered: int | None = None) -> MeshError:
    """The error of a stream that had begun. delivered: pieces of content the app has, None: not counted."""
    model = inference.answered_by
    after = "" if delivered is None else f" after {delivered} pieces of content"
    return StreamInterrupted(
        f"{model.provider if model else 'the provider'} broke the stream off{after}: {failure.message}"
    )


def bug(error: Exception) -> ProviderFailure:
    """What an exception that a connector must not raise means for its attempt."""
    return ProviderFailure(FailureKind.BAD_ANSWER, f"the connector failed: {type(error).__name__}")

