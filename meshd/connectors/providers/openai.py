"""The HTTP connector under the name by which other packages refer to it (docs/connectors.md)."""

from meshd.connectors.providers.http_provider import HttpProvider as OpenAIProvider

__all__ = ["OpenAIProvider"]
