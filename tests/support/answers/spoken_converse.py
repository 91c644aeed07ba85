"""What a model says, written as Bedrock's Converse and ConverseStream write it.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and …_ConverseStream.html, read on 28
November 2026.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.answers import cited
from tests.support.formats.converse_frames import event

Json = dict[str, Any]
_STOPS = {"calls": "tool_use", "length": "max_tokens", "filter": "guardrail_intervened", "stop": "end_turn"}


def unary(asked: Json, said: Any) -> Json:
    message = {"role": "assistant", "content": _blocks(said)}
    answer: Json = {"output": {"message": message}, "stopReason": _STOPS[said.ended], "metrics": {"latencyMs": 12}}
    return {**answer, **({"usage": _usage(said)} if said.usage else {})}


def streamed(asked: Json, said: Any, piece: int) -> list[bytes]:
    """A frame each. piece: characters of a delta."""
    frames = [event("messageStart", {"role": "assistant", "p": "ab"})]
    for index, block in enumerate(_blocks(said)):
        at: Json = {"contentBlockIndex": index}
        if used := block.get("toolUse"):
            start = {name: value for name, value in used.items() if name != "input"}
            frames.append(event("contentBlockStart", {"start": {"toolUse": start}, **at}))
        frames += [event("contentBlockDelta", {"delta": delta, **at, "p": "abc"}) for delta in _deltas(block, piece)]
        frames.append(event("contentBlockStop", at))
    frames.append(event("messageStop", {"stopReason": _STOPS[said.ended]}))
    if said.usage:
        frames.append(event("metadata", {"usage": _usage(said), "metrics": {"latencyMs": 12}}))
    return frames


def _deltas(block: Json, piece: int) -> list[Json]:
    if used := block.get("toolUse"):
        return [{"toolUse": {"input": part}} for part in _pieces(json.dumps(used["input"]), piece)]
    if thought := block.get("reasoningContent"):
        if "redactedContent" in thought:
            return [{"reasoningContent": thought}]
        told = thought["reasoningText"]
        texts: list[Json] = [{"reasoningContent": {"text": part}} for part in _pieces(told["text"], piece)]
        return [*texts, {"reasoningContent": {"signature": told["signature"]}}]
    if cites := block.get("citationsContent"):
        texts = [{"text": part} for each in cites["content"] for part in _pieces(each["text"], piece)]
        return [*texts, *({"citation": each} for each in cites["citations"])]
    return [{"text": part} for part in _pieces(block["text"], piece)]


def _pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def _blocks(said: Any) -> list[Json]:
    blocks: list[Json] = []
    if said.thought:
        told = {"text": said.thought, "signature": said.sealed or "c2ln"}
        blocks.append({"reasoningContent": {"reasoningText": told}})
    elif said.sealed:
        blocks.append({"reasoningContent": {"redactedContent": said.sealed}})
    for text, page in cited.pieces(said):
        blocks.append({"text": text} if page is None else _citing(text, *page))
    for number, (name, arguments) in enumerate(said.calls):
        blocks.append({"toolUse": {"toolUseId": f"tooluse_{number}", "name": name, "input": arguments}})
    return blocks


def _citing(text: str, url: str, title: str) -> Json:
    page = {"title": title, "location": {"web": {"url": url, "domain": "pages.example"}}}
    return {"citationsContent": {"content": [{"text": text}], "citations": [page]}}


def _usage(said: Any) -> Json:
    fresh = said.tokens_in - said.cached - said.written
    used: Json = {
        "inputTokens": fresh,
        "outputTokens": said.tokens_out,
        "totalTokens": said.tokens_in + said.tokens_out,
    }
    if said.cached or said.written:
        used |= {"cacheReadInputTokens": said.cached, "cacheWriteInputTokens": said.written}
    if said.written:
        kept = [("1h", said.lasting), ("5m", said.written - said.lasting)]
        used["cacheDetails"] = [{"ttl": ttl, "inputTokens": count} for ttl, count in kept if count]
    return used
