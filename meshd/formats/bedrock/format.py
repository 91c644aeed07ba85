"""AWS Bedrock's Converse API behind the protocol of all formats."""

from __future__ import annotations

from functools import cache
from urllib.parse import quote

from meshd.formats.bedrock.answer import read_answer
from meshd.formats.bedrock.embeddings import MOST_TEXTS, EmbeddingsTranslator, read_embeddings
from meshd.formats.bedrock.request import RequestWriter
from meshd.formats.bedrock.stream.assembled import Assembly
from meshd.formats.bedrock.stream.event_stream import MEDIA_TYPE, EventReader
from meshd.formats.body import Body
from meshd.formats.openai.models import read_listing, read_model
from meshd.formats.protocol import Address, Opened, ProviderFormat, ProviderTranslator, Reading
from meshd.formats.sides import JSONProviderSide
from meshd.formats.stream.event_reader import watched
from meshd.sdk.provider import OperationSpec, ProviderCall, ProviderSettings

_NAME = "bedrock"


class BedrockProviderSide(JSONProviderSide):
    """Its quirks are those of `request.py`. The model is in the path: an id, or an ARN with slashes in it."""

    name = _NAME
    by_model = True
    events_type = MEDIA_TYPE
    assembling = Assembly
    read_models = staticmethod(read_listing)
    read_model = staticmethod(read_model)

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.write = RequestWriter(settings).write

    def path(self, operation: OperationSpec, model: str, *, stream: bool) -> str | None:
        word = operation.paths.get(_NAME)
        if word is None:
            return None
        return f"model/{quote(model, safe='-._~')}/{word}{'-stream' if stream else ''}"

    def read_answer(self, body: bytes, call: ProviderCall) -> Reading:
        return read_answer(body) if call.operation.conversation else read_embeddings(body)

    def stream(self, body: Body, call: ProviderCall, address: Address, opened: Opened) -> EventReader:
        framed = {"event_stream": opened.content_type.partition(";")[0].strip().lower() == MEDIA_TYPE}
        return EventReader(body, **{**watched(call, address, opened), **framed})


@cache
def _translator() -> ProviderTranslator:
    from meshd.formats.bedrock.conversation.translator import BedrockTranslator

    return BedrockTranslator()


BEDROCK = ProviderFormat(
    name=_NAME,
    provider=BedrockProviderSide,
    translator=_translator,
    late_instructions=False,
    operations={"embeddings": EmbeddingsTranslator},
    at_once={"embeddings": {"*titan-embed*": 1, "*": MOST_TEXTS}},
)
