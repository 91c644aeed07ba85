"""The services that there are, and where each is. A service is imported at its first use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module

from meshd.services.seam import Service

SERVICES: Mapping[str, str] = {
    "tavily": "meshd.services.search.tavily:TAVILY",
    "serper": "meshd.services.search.serper:SERPER",
    "google-search": "meshd.services.search.google:GOOGLE_SEARCH",
    "bing": "meshd.services.search.bing:BING",
    "brave": "meshd.services.search.brave:BRAVE",
    "jina": "meshd.services.search.jina:JINA",
    "firecrawl": "meshd.services.search.firecrawl:FIRECRAWL",
    "deepl": "meshd.services.translation.deepl:DEEPL",
    "google-cloud": "meshd.services.translation.google:GOOGLE_CLOUD",
    "unstructured": "meshd.services.documents.unstructured:UNSTRUCTURED",
    "llamaparse": "meshd.services.documents.llamaparse:LLAMAPARSE",
    "perspective": "meshd.services.moderation.perspective:PERSPECTIVE",
    "searxng": "meshd.services.search.searxng:SEARXNG",
    "elevenlabs": "meshd.services.speech.elevenlabs:ELEVENLABS",
    "azure-speech": "meshd.services.speech.azure:AZURE_SPEECH",
    "deepgram": "meshd.services.speech.deepgram:DEEPGRAM",
    "assemblyai": "meshd.services.transcription.assemblyai:ASSEMBLYAI",
    "local-speech": "meshd.services.speech.local:LOCAL_SPEECH",
    "local-transcription": "meshd.services.transcription.local:LOCAL_TRANSCRIPTION",
    "stability": "meshd.services.images.stability:STABILITY",
    "fal": "meshd.services.images.fal:FAL",
    "huggingface": "meshd.services.embeddings.huggingface:HUGGINGFACE",
    "replicate": "meshd.services.images.replicate:REPLICATE",
}
"""By name, as the quirk `service` has it."""


@cache
def service(name: str) -> Service:
    """Raises KeyError for a name that is not known."""
    module, _, attribute = SERVICES[name].partition(":")
    found: Service = getattr(import_module(module), attribute)
    return found
