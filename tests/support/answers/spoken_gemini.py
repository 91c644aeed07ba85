"""What a model says, as the Gemini API writes it.

Shapes as documented, read on 28 November 2026: https://ai.google.dev/api/generate-content,
https://ai.google.dev/gemini-api/docs/thought-signatures, https://ai.google.dev/gemini-api/docs/function-calling.
"""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]
_PIECE = 4  # characters of a streamed text
_ENDS = {"length": "MAX_TOKENS", "filter": "SAFETY"}


def _usage(said: Any) -> Json:
    told = {"promptTokenCount": said.tokens_in, "candidatesTokenCount": said.tokens_out - said.reasoned}
    told["totalTokenCount"] = said.tokens_in + said.tokens_out
    if said.cached:
        told["cachedContentTokenCount"] = said.cached
    if said.reasoned:
        told["thoughtsTokenCount"] = said.reasoned
    return {"usageMetadata": told} if said.usage else {}


def _parts(said: Any, *, streamed: bool) -> list[Json]:
    """The signature is on the first call, else on the last text, which is empty in a stream."""
    seal = {"thoughtSignature": said.sealed} if said.sealed else {}
    step = _PIECE if streamed else max(len(said.text), len(said.thought), 1)
    parts: list[Json] = [{"text": piece, "thought": True} for piece in _pieces(said.thought, step)]
    parts += [{"text": piece} for piece in _pieces(said.text, step)]
    for number, (name, arguments) in enumerate(said.calls):
        call = {"id": f"fc_{number}", "name": name, "args": arguments}
        parts.append({"functionCall": call, **({} if number else seal)})
    if seal and not said.calls:
        if streamed or not said.text:
            parts.append({"text": "", **seal})
        else:
            parts[-1] |= seal
    return parts


def _pieces(text: str, step: int) -> list[str]:
    return [text[at : at + step] for at in range(0, len(text), step)]


def _head(asked: Json) -> Json:
    return {"modelVersion": asked["model"], "responseId": "rsp-1"}


def response(asked: Json, said: Any) -> Json:
    content = {"parts": _parts(said, streamed=False), "role": "model"}
    candidate = {"content": content, "finishReason": _ENDS.get(said.ended, "STOP"), "index": 0}
    candidate |= _grounding(said, part=1 if said.thought else 0)
    return {"candidates": [candidate], **_usage(said), **_head(asked)}


def _grounding(said: Any, part: int) -> Json:
    """part: the number of the text; in a stream, its pieces are one."""
    supports = []
    for n, (_, _, start, end) in enumerate(said.cites):
        place: Json = {"partIndex": part} if part else {}
        place["startIndex"] = len(said.text[:start].encode())
        place |= {"endIndex": len(said.text[:end].encode()), "text": said.text[start:end]}
        supports.append({"segment": place, "groundingChunkIndices": [n]})
    pages = [{"web": {"uri": url, "title": title}} for url, title, _, _ in said.cites]
    return {"groundingMetadata": {"groundingChunks": pages, "groundingSupports": supports}} if pages else {}


def chunks(asked: Json, said: Any) -> list[bytes]:
    parts = _parts(said, streamed=True) or [{"text": ""}]
    made: list[Json] = [{"content": {"parts": [part], "role": "model"}, "index": 0} for part in parts]
    made[-1] |= _grounding(said, part=0)
    made[-1]["finishReason"] = _ENDS.get(said.ended, "STOP")
    events = [{"candidates": [each], **_usage(said), **_head(asked)} for each in made]
    return [f"data: {json.dumps(event)}\r\n\r\n".encode() for event in events]
