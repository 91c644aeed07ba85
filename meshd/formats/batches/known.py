"""The APIs for batches, by the name that a provider's row gives (`quirks.batches`), each imported at its first use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshd.formats.batches.protocol import BatchApi

APIS: Mapping[str, str] = {
    "openai": "meshd.formats.batches.openai:OpenAIBatches",
    "anthropic": "meshd.formats.batches.anthropic:AnthropicBatches",
    "gemini": "meshd.formats.batches.gemini:GeminiBatches",
}


@cache
def batch_api(name: str) -> BatchApi:
    """Raises KeyError for a name that is not known."""
    module, _, attribute = APIS[name].partition(":")
    found: BatchApi = getattr(import_module(module), attribute)()
    return found
