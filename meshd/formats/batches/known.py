"""The APIs for batches, by the name that a provider's row gives (`quirks.batches`)."""

from __future__ import annotations

from meshd.formats.batches.anthropic import AnthropicBatches
from meshd.formats.batches.gemini import GeminiBatches
from meshd.formats.batches.openai import OpenAIBatches
from meshd.formats.batches.protocol import BatchApi

APIS: dict[str, BatchApi] = {"openai": OpenAIBatches(), "anthropic": AnthropicBatches(), "gemini": GeminiBatches()}
