"""Every command through typer's runner, against a client that answers from a table: no socket, no daemon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from typer.testing import CliRunner

from meshd.cli import daemon
from meshd.cli.entry import app
from meshd.cli.screen import output as out
from modelmesh import MeshError
from modelmesh.types import ChatCompletion, ChatCompletionChunk, CreateEmbeddingResponse, MeshDetails, Object

MESH = {"model": "m", "provider": "p", "pool": "chat-completion", "attempts": [{"model": "m"}], "cost": 0.0}


class FakeStream:
    """A stream of pieces, or of pieces and then an error."""

    def __init__(self, pieces: list[Any]) -> None:
        self._pieces = pieces
        self.mesh: Any = None
        self.usage: Any = None

    def __enter__(self) -> FakeStream:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def __iter__(self) -> Iterator[Any]:
        for piece in self._pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield ChatCompletionChunk.of({"model": "m", "choices": [{"index": 0, "delta": {"content": piece}}]})
        self.mesh, self.usage = MeshDetails.of(MESH), {"completion_tokens": len(self._pieces)}


class FakeClient:
    """`answers`: "METHOD path" → a map, an error, or a function of the body. `asked` is what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []
        self.pieces: list[Any] = ["Hello", " there"]
        self.live: list[Any] = []
        self.mesh = self
        self.chat = self
        self.completions = self
        self.embeddings = self
        self.audio = self
        self.transcriptions = self
        self.images = self

    def request(self, method: str, path: str, body: Any = None, stream: bool = False, **_: Any) -> Object:
        self.asked.append((f"{method} {path}", body))
        answer = self.answers[f"{method} {path.removeprefix('/mesh/v1/')}"]
        if isinstance(answer, BaseException):
            raise answer
        return Object.of(answer(body) if callable(answer) else answer)

    def events(self) -> Any:
        return closing(self._happen())

    def _happen(self) -> Iterator[Object]:
        for event in self.live:
            if isinstance(event, BaseException):
                raise event
            yield Object.of(event)

    def create(self, **request: Any) -> Any:
        self.asked.append(("create", request))
        if "input" in request:
            made: Any = CreateEmbeddingResponse.of({"model": "e", "data": [{"index": 0, "embedding": [0.5] * 8}]})
        elif "file" in request:
            return self._made({"text": "".join(map(str, self.pieces))})
        elif self.pieces and isinstance(self.pieces[0], BaseException):
            raise self.pieces[0]
        elif request.get("stream"):
            return FakeStream(self.pieces)
        else:
            text = "".join(self.pieces)
            made = ChatCompletion.of({"model": "m", "choices": [{"index": 0, "message": {"content": text}}]})
        made.mesh = MeshDetails.of(MESH)
        return made

    def generate(self, **request: Any) -> Any:
        self.asked.append(("generate", request))
        return self._made({"data": [{"url": "".join(map(str, self.pieces))}]})

    def _made(self, answer: dict[str, Any]) -> Any:
        if isinstance(self.pieces[0], BaseException):
            raise self.pieces[0]
        made = Object.of(answer)
        made.mesh = MeshDetails.of(MESH)
        return made

    def __enter__(self) -> FakeClient:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def close(self) -> None:
        return None


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient()
    monkeypatch.setattr(daemon, "client", lambda timeout=0.0: client)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(out, "on_terminal", lambda: True)
    monkeypatch.setattr(daemon.settings, "socket", None)
    monkeypatch.setattr(daemon.settings, "json", False)
    return client


@pytest.fixture
def meshctl(fake: FakeClient) -> Any:
    """`meshctl("status", "--json")` → the result, with exit_code, stdout and stderr."""

    def run(*words: str, input: str | None = None) -> Any:
        result = CliRunner().invoke(app, list(words), input=input, prog_name="meshctl")
        if result.exception is not None and not isinstance(result.exception, SystemExit | MeshError):
            raise result.exception
        return result

    return run
