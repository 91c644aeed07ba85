"""The known operations, and which one a request means."""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache

from meshd.operations.audio.speech import SPEECH
from meshd.operations.audio.transcription import TRANSCRIPTION
from meshd.operations.audio.translation import TRANSLATION
from meshd.operations.audio.voices import VOICES
from meshd.operations.chat import CHAT
from meshd.operations.completion import COMPLETION
from meshd.operations.documents import DOCUMENT_PARSE
from meshd.operations.embeddings import EMBEDDINGS
from meshd.operations.images.edit import IMAGE_EDIT
from meshd.operations.images.generation import IMAGE_GENERATION
from meshd.operations.moderation import MODERATION
from meshd.operations.rerank import RERANK
from meshd.operations.search import SEARCH
from meshd.operations.translate import TRANSLATE
from meshd.sdk.calls.operation import OperationSpec

OPERATIONS: dict[str, OperationSpec] = {
    each.name: each
    for each in (
        CHAT,
        TRANSCRIPTION,
        TRANSLATION,
        SPEECH,
        VOICES,
        IMAGE_GENERATION,
        IMAGE_EDIT,
        MODERATION,
        RERANK,
        SEARCH,
        TRANSLATE,
        DOCUMENT_PARSE,
        COMPLETION,
        EMBEDDINGS,
    )
}
"""By name; the first one is meant where nothing says otherwise. Of several with the same fields, the last is."""


def usual() -> OperationSpec:
    return next(iter(OPERATIONS.values()))


def by_path(format: str = "openai") -> dict[str, OperationSpec]:
    """Those that this format has."""
    return {path: each for each in OPERATIONS.values() if (path := each.paths.get(format)) is not None}


def of_body(fields: Container[str], model: str = "") -> OperationSpec:
    """The operation that a body of this shape is for; the usual one last, as its field may occur beside another's.
    model: the requested name; if it is a capability, it distinguishes operations with the same field."""
    asked, found, most = model.rpartition(".")[2], None, 0
    for each in OPERATIONS.values():
        names = {each.default, *(node.rpartition(".")[2] for node in each.capabilities)} - {""}
        known = sum(name in fields for name in (*each.text, *each.free)) if asked in names else 0
        if known > most:
            found, most = each, known
    if found is not None:
        return found
    about = [each for each in reversed(OPERATIONS.values()) if each.text[0] in fields]
    return max(about, key=lambda each: sum(name in fields for name in each.text), default=usual())


@lru_cache(1024)
def serves(operation: OperationSpec, capability: str) -> bool:
    """Whether a model of this capability answers the operation; remembered, as each decision asks it of every model."""
    return operation.answered_by(capability)


def answered(capability: str) -> bool:
    """Whether any operation asks for it."""
    return any(serves(operation, capability) for operation in OPERATIONS.values())
