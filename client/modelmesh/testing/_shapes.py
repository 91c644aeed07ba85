"""The JSON answers for a script's short forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def reply(path: str, model: str | None, response: Any) -> Any:
    """A unary answer: a mapping unchanged, text and lists in the path's shape."""
    if isinstance(response, Mapping):
        return response
    if path.startswith("/v1/embeddings"):
        vectors = response if response and isinstance(response[0], list) else [response]
        data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        return {"object": "list", "model": model or "mock", "data": data, "usage": _usage(0)}
    if not path.startswith(("/v1/chat/completions", "/v1/completions")):
        return {"data": response}
    text = response if isinstance(response, str) else "".join(_texts(response))
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
    chat = path.startswith("/v1/chat")
    choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    kind = "chat.completion" if chat else "text_completion"
    return {**_base(kind, model), "choices": [choice], "usage": _usage(len(text.split()))}


def chunks(path: str, model: str | None, response: Any) -> Iterator[Any]:
    """A stream's chunks: mappings and exceptions unchanged, text as the path's chunks."""
    parts = response if isinstance(response, list | tuple) else [response]
    for part in parts:
        yield part if not isinstance(part, str) else _chunk(path, model, part, None)
    if path.startswith("/v1/") and (not parts or isinstance(parts[-1], str)):
        yield _chunk(path, model, "", "stop")


def _chunk(path: str, model: str | None, text: str, finish: str | None) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "logprobs": None}
    if not path.startswith("/v1/chat"):
        return {**_base("text_completion", model), "choices": [choice | {"text": text}]}
    delta = {"content": text} if text else {}
    return {**_base("chat.completion.chunk", model), "choices": [choice | {"delta": delta}]}


def _texts(parts: Any) -> Iterator[str]:
    for part in parts:
        if isinstance(part, BaseException):
            raise part
        yield part


def _base(kind: str, model: str | None) -> dict[str, Any]:
    return {"id": "mock-1", "object": kind, "created": 0, "model": model or "mock"}


def _usage(completion: int) -> dict[str, int]:
    return {"prompt_tokens": 0, "completion_tokens": completion, "total_tokens": completion}
