"""Where a provider of the OpenAI format is asked, and with which headers."""

from __future__ import annotations

from meshd.connectors.providers.http_requests import HttpRequests
from meshd.formats.openai.format import OPENAI
from meshd.sdk import ProviderSettings


def requests_of(settings: ProviderSettings) -> HttpRequests:
    return HttpRequests(settings, OPENAI.provider(settings))
