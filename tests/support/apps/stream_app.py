"""An app at the end of one stream: everything that it was sent, as it was sent, and what it costs the daemon."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from modelmesh import protocol as wire

INPUT, OUTPUT = 1_000, 2_000
"""Nano-USD a token."""
PRICES = {"input_per_1m": INPUT / 1_000, "output_per_1m": OUTPUT / 1_000}


@dataclass
class Stream:
    """chunks: of the app's stream. end: the message after the last, an END or an ERROR."""

    chunks: list[dict[str, Any]] = field(default_factory=list)
    end: Any = None

    @property
    def ended(self) -> bool:
        return bool(self.end.kind == wire.END)

    @property
    def choices(self) -> list[dict[str, Any]]:
        return [choice for chunk in self.chunks for choice in chunk["choices"]]

    @property
    def text(self) -> str:
        return "".join((choice["delta"].get("content") if "delta" in choice else choice["text"]) or ""
                       for choice in self.choices)  # fmt: skip

    @property
    def finish_reasons(self) -> list[str]:
        return [choice["finish_reason"] for choice in self.choices if choice["finish_reason"]]

    @property
    def usages(self) -> list[dict[str, Any]]:
        return [chunk["usage"] for chunk in self.chunks if chunk.get("usage")]

    @property
    def mesh(self) -> dict[str, Any]:
        told: dict[str, Any] = self.end.head.mesh
        return told

    @property
    def attempts(self) -> list[str]:
        return [attempt["model"] for attempt in self.mesh["attempts"]]

    def is_one_answer(self, text: str) -> None:
        """Whole, once, with one id, one end and one usage report."""
        assert self.ended, self.end.head
        assert self.text == text
        assert len({chunk["id"] for chunk in self.chunks}) == 1
        assert len({chunk["model"] for chunk in self.chunks}) == 1
        assert self.finish_reasons == ["stop"]
        assert sum(choice.get("delta", {}).get("role") is not None for choice in self.choices) <= 1
        assert len(self.usages) == 1, "it was asked for, and once"
        assert self.chunks[-1].get("usage") == self.usages[0]
        for name in ("prompt_tokens", "completion_tokens"):
            assert self.usages[0][name] == self.end.head.usage[name] > 0


def priced(upstream: Any, names: Iterable[str]) -> dict[str, Any]:
    """Sections of a configuration: for each name a model at a provider of its own, so that no fault is another's."""
    return {
        "providers": {f"p-{name}": upstream.provider() for name in names},
        "models": {
            f"m-{name}": {
                "provider": f"p-{name}",
                "model": name,
                "capabilities": ["chat-completion"],
                "pricing": PRICES,
            }
            for name in names
        },
    }


def ask(line: Any, model: str, *, path: str = "/v1/chat/completions", **body: Any) -> Stream:
    """One streamed request, to its end."""
    prompt = {"messages": [{"role": "user", "content": "hi"}]} if "chat" in path else {"prompt": "hi"}
    body = {"model": model, "stream": True, "stream_options": {"include_usage": True}, **prompt, **body}
    request_id = line.request(path, body, stream=True, credit=1000)
    return rest(line, request_id)


def rest(line: Any, request_id: bytes) -> Stream:
    stream = Stream()
    while True:
        message = line.receive()
        assert message.request_id == request_id
        if message.kind != wire.CHUNK:
            stream.end = message
            return stream
        stream.chunks.append(json.loads(message.body))


class Money:
    """What models have cost, and what their upstream has delivered, since this was made."""

    def __init__(self, daemon: Any, upstream: Any, *models: str) -> None:
        self._daemon, self._upstream = daemon, upstream
        self._before = {model: self._now(model) for model in models}

    def _now(self, model: str) -> tuple[int, int]:
        delivered = self._upstream.served["delivered"].get(model, {"prompt_tokens": 0, "completion_tokens": 0})
        cost = round(self._daemon.model(f"m-{model}")["cost"] * 1e9)
        return cost, delivered["prompt_tokens"] * INPUT + delivered["completion_tokens"] * OUTPUT

    def spent(self, model: str) -> int:
        """Nano-USD that the daemon has settled."""
        return self._now(model)[0] - self._before[model][0]

    def delivered(self, model: str) -> int:
        """Nano-USD that the upstream could charge."""
        return self._now(model)[1] - self._before[model][1]

    def is_settled(self) -> None:
        """Nothing is under way, and nothing that was delivered is missing."""
        for model in self._before:
            assert self._daemon.model(f"m-{model}")["in_flight"] == 0
            assert self.spent(model) >= self.delivered(model), model
