"""The HTTP connector under the name that other packages' rows have for it (docs/connectors.md)."""

from meshd.connectors.providers.http_provider import HttpProvider as OpenAIProvider

__all__ = ["OpenAIProvider"]
