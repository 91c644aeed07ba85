"""Google's Gemini API behind the protocol of all formats.

Its paths name the model, and whether an answer is streamed: a body has them as `model` and `stream` inside the mesh.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from urllib.parse import quote

import msgspec

from meshd.core.needs import Named
from meshd.formats.gemini import answer
from meshd.formats.gemini.body import meaning
from meshd.formats.gemini.body.known_parts import load_part_fields, priced
from meshd.formats.gemini.body.needs import read
from meshd.formats.gemini.body.parameters import with_output_limit, with_parameters
from meshd.formats.gemini.body.reasoning import without_reasoning
from meshd.formats.gemini.body.tokens import count
from meshd.formats.gemini.body.values import SYSTEM
from meshd.formats.gemini.errors import error_body
from meshd.formats.gemini.models import read_listing, read_model
from meshd.formats.gemini.operations import vertex
from meshd.formats.gemini.operations.made_images import is_imagen, read_images
from meshd.formats.gemini.operations.vectors import read_vectors
from meshd.formats.gemini.request import RequestWriter
from meshd.formats.gemini.seam import ChunkSeam
from meshd.formats.gemini.stream.assembled import Assembly
from meshd.formats.gemini.stream.event_stream import EventReader
from meshd.formats.gemini.usage import usage_map
from meshd.formats.model_pages import by_token
from meshd.formats.protocol import Format, OperationTranslator, Reading, Translator
from meshd.formats.sides import JSONAppSide, JSONProviderSide
from meshd.sdk.provider import OperationSpec, ProviderCall, ProviderSettings

_NAME = "gemini"
_STREAMED = {"generateContent": "streamGenerateContent?alt=sse"}
_IMAGES, _EMBEDS = "images", "batchEmbedContents"  # methods in the paths of operations


class GeminiProviderSide(JSONProviderSide):
    """Its quirks are also those of `request.py`."""

    name = _NAME
    by_model = True
    usual_models_path = "models?pageSize=1000"
    more_models = staticmethod(by_token("nextPageToken", "pageToken"))
    usual_key_header = "x-goog-api-key"
    assembling = Assembly
    reader = EventReader
    read_models = staticmethod(read_listing)
    read_model = staticmethod(read_model)

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.write = RequestWriter(settings).write
        self._vertex = bool(settings.quirks.get("vertex"))

    def path(self, operation: OperationSpec, model: str, *, stream: bool) -> str | None:
        path = operation.paths.get(self.name)
        if path is None:
            return None
        method = path.rpartition(":")[2]
        if method == _IMAGES:
            method = "predict" if is_imagen(model) else "generateContent"
        elif method == _EMBEDS and self._vertex:
            method = vertex.method(model)
        method = _STREAMED.get(method, method) if stream else method
        resource = model if model.startswith(("models/", "tunedModels/", "endpoints/")) else f"models/{model}"
        return f"{quote(resource, safe='/')}:{method}"

    def headers(self, key: str) -> Mapping[str, str]:
        if not key:
            return {}
        bearer = self._key_header.lower() == "authorization"
        return {self._key_header: f"Bearer {key}" if bearer else key}

    def read_answer(self, body: bytes, call: ProviderCall) -> Reading:
        if call.operation.conversation:
            return answer.read_answer(body)
        if call.operation.paths[_NAME] == _IMAGES:
            return read_images(body)
        return read_vectors(vertex.as_batch(body) if self._vertex else body)


class GeminiAppSide(JSONAppSide):
    name = _NAME
    immaterial = meaning.IMMATERIAL
    ping = b"\r\n"  # Google's SDK would parse a comment as JSON

    read = staticmethod(read)
    count = staticmethod(count)
    with_parameters = staticmethod(with_parameters)
    with_output_limit = staticmethod(with_output_limit)
    without_reasoning = staticmethod(without_reasoning)
    repeatable = staticmethod(meaning.repeatable)
    session = staticmethod(meaning.session)
    user = staticmethod(meaning.user)
    usage = staticmethod(usage_map)
    error = staticmethod(error_body)
    answer_text = staticmethod(answer.answer_text)
    priced = staticmethod(priced)

    def names(self, fields: Mapping[str, msgspec.Raw], text: Collection[str]) -> Iterator[Named]:
        return load_part_fields().names(fields, {*text, *SYSTEM})

    def seam(self, first: bytes, operation: OperationSpec, last: bytes = b"", text: str = "") -> ChunkSeam:
        return ChunkSeam(first, text)

    def remark(self, lines: Iterable[str]) -> bytes:
        return b""

    def counted(self, tokens: int) -> bytes:
        return b'{"totalTokens":%d}' % tokens

    def event(self, data: bytes) -> bytes:
        if b"\n" in data or b"\r" in data:  # between members, as a provider may write them; here a line would end
            data = data.replace(b"\n", b" ").replace(b"\r", b" ")
        return b"data: %s\r\n\r\n" % data


@cache
def _translator() -> Translator:
    """Loaded when two formats meet."""
    from meshd.formats.gemini.conversation.translator import GeminiTranslator

    return GeminiTranslator()


def _embeddings() -> OperationTranslator:
    from meshd.formats.gemini.operations.embeddings import GeminiEmbeddings

    return GeminiEmbeddings()


def _images() -> OperationTranslator:
    from meshd.formats.gemini.operations.images import GeminiImages

    return GeminiImages()


GEMINI = Format(
    name=_NAME,
    provider=GeminiProviderSide,
    app=GeminiAppSide(),
    translator=_translator,
    late_instructions=False,
    operations={"embeddings": _embeddings, "images.generations": _images, "images.edits": _images},
    at_once={"embeddings": 100},  # https://ai.google.dev/api/embeddings: of one batchEmbedContents
)
