"""Helpers for tests of apps: a client that answers from a script, without a daemon.

    client = modelmesh.testing.mock_client(responses=["Hello", RateLimitError("slow down"), ["a ", "b"]])
    client.chat.completions.create(model="chat-completion", messages=[…]).choices[0].message.content  # "Hello"
    client.calls[0].body["messages"]

The pytest plug-in offers the fixture `mesh`, a real daemon (MeshProcess) with scripted providers, configured by
SCRIPTED unless a test says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelmesh.testing._daemon import SCRIPTED, MeshProcess
    from modelmesh.testing._mock import AsyncMockClient, MockClient, RecordedCall, async_mock_client, mock_client

__all__ = [
    "SCRIPTED",
    "AsyncMockClient",
    "MeshProcess",
    "MockClient",
    "RecordedCall",
    "async_mock_client",
    "mock_client",
]
_OF_THE_DAEMON = ("SCRIPTED", "MeshProcess")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{'_daemon' if name in _OF_THE_DAEMON else '_mock'}"), name)
