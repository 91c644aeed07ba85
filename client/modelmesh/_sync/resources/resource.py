# Generated from modelmesh/_async/resources/resource.py by client/sync_twins.py; edit that file.
"""What every part of the client has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from modelmesh._openai_sdk.not_offered import Offers

if TYPE_CHECKING:
    from modelmesh._sync.sender import Sender


class Resource(Offers):
    """A part of the client, whose methods send their requests through its sender."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    @property
    def with_raw_response(self) -> Self:
        """The same methods, returning answers with headers; `.parse()` gives the object."""
        from modelmesh._shared.raw_response import RawResponse

        return type(self)(self._sender.answering(RawResponse))

    @property
    def with_streaming_response(self) -> Any:
        """The same methods as context managers over an answer that is not read yet."""
        from modelmesh._sync.streaming_response import ManagedMethods, StreamingResponse

        return ManagedMethods(type(self)(self._sender.answering(StreamingResponse)))
