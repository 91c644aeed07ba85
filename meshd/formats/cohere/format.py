"""Cohere's API, version 2, behind the protocol of all formats. Apps do not speak it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from meshd.formats.cohere import answer
from meshd.formats.cohere.models import read_listing, read_model
from meshd.formats.cohere.operations.embeddings import MOST_TEXTS, EmbeddingsTranslator, read_embeddings
from meshd.formats.cohere.operations.rerank import RerankTranslator
from meshd.formats.cohere.request import RequestWriter
from meshd.formats.cohere.stream.assembled import Assembly
from meshd.formats.cohere.stream.event_stream import EventReader
from meshd.formats.model_pages import by_token
from meshd.formats.openai.answer import read_answer as read_rows
from meshd.formats.protocol import ProviderFormat, Reading, Translator
from meshd.formats.sides import JSONProviderSide
from meshd.sdk.provider import ProviderCall, ProviderSettings

_NAME = "cohere"
_READERS: dict[str, Callable[[bytes], Reading]] = {
    "chat.completions": answer.read_answer,
    "embeddings": read_embeddings,
}


class CohereProviderSide(JSONProviderSide):
    """Its quirks are also those of `request.py`."""

    name = _NAME
    usual_models_path = "v1/models?page_size=1000"
    more_models = staticmethod(by_token("next_page_token", "page_token"))
    assembling = Assembly
    reader = EventReader
    read_models = staticmethod(read_listing)
    read_model = staticmethod(read_model)

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.write = RequestWriter(settings).write

    def read_answer(self, body: bytes, call: ProviderCall) -> Reading:
        reader = _READERS.get(call.operation.name)
        return read_rows(body, call.operation) if reader is None else reader(body)


@cache
def _translator() -> Translator:
    """Loaded when an app asks."""
    from meshd.formats.cohere.conversation.translator import CohereTranslator

    return CohereTranslator()


COHERE = ProviderFormat(
    name=_NAME,
    provider=CohereProviderSide,
    translator=_translator,
    late_instructions=False,  # "system turn must be the first in the list"
    operations={"embeddings": EmbeddingsTranslator, "rerank": RerankTranslator},
    at_once={"embeddings": MOST_TEXTS},
)
