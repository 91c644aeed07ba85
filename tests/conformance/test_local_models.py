"""The embedded connectors with the real models: real weights, real child processes, real answers.

Pulls the weights once into `.cache/models` of the tree. Needs the extra `local`.
"""

from __future__ import annotations

import asyncio
import base64
import math
import os
import signal
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from meshd.connectors.providers.embedded.embeddings import LocalEmbeddingsProvider
from meshd.connectors.providers.embedded.llm import LocalLlmProvider
from meshd.operations.chat import CHAT
from meshd.operations.completion import COMPLETION
from meshd.operations.embeddings import EMBEDDINGS
from meshd.pull.bring import pull
from meshd.sdk import FailureKind, OperationSpec, ProviderCall, ProviderFailure, ProviderSettings

pytestmark = [pytest.mark.local_models, pytest.mark.timeout(180)]
DATA = Path(__file__).parents[2] / ".cache" / "models"
LLM = "smollm2-135m"
E5 = "multilingual-e5-small"


@pytest.fixture(scope="session")
def weights() -> Path:
    pull(LLM, base=DATA)
    return DATA


def call(body: dict[str, Any], model: str, operation: OperationSpec = CHAT, **options: Any) -> ProviderCall:
    fields = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, msgspec.Raw])
    return ProviderCall(operation, model, fields, **options)


def ask(text: str, **options: Any) -> ProviderCall:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 16, "temperature": 0}
    return call(body | options.pop("body", {}), LLM, **options)


@pytest.fixture
async def llm(weights: Path, tmp_path: Path) -> AsyncIterator[LocalLlmProvider]:
    settings = ProviderSettings(
        "local-llm", "modelmesh.local-llm.v1", options={"context_window": 1024}, data_dir=str(weights),
        runtime_dir=str(tmp_path / "run"),
    )  # fmt: skip
    provider = LocalLlmProvider(settings)
    yield provider
    await provider.aclose()
    assert list((tmp_path / "run").glob("*")) == []  # no socket is left


@pytest.fixture
async def embeddings(tmp_path: Path) -> AsyncIterator[LocalEmbeddingsProvider]:
    settings = ProviderSettings("local-embeddings", "modelmesh.local-embeddings.v1", runtime_dir=str(tmp_path / "run"))
    provider = LocalEmbeddingsProvider(settings)
    yield provider
    await provider.aclose()
    assert list((tmp_path / "run").glob("*")) == []


def child(provider: Any, model: str) -> dict[str, Any]:
    found: dict[str, Any] = provider.describe()["children"][model]
    return found


async def test_chat_stream_completion_and_what_is_known_without_a_child(llm: LocalLlmProvider):
    assert [row.id for row in await llm.list_models()] == [LLM]
    await llm.probe(1.0)
    assert llm.describe()["children"] == {}  # nothing was started for these

    answers = await asyncio.gather(*(llm.execute(ask("Say hello.")) for _ in range(3)))
    for answer in answers:
        document = msgspec.json.decode(answer.body)
        assert document["choices"][0]["message"]["content"].strip()
        assert answer.usage is not None
        assert answer.usage.output_tokens > 0
    assert child(llm, LLM)["starts"] == 1  # concurrent first requests share one start

    events = [event async for event in llm.stream(ask("Count to five.", stream=True))]
    assert "".join(event.text for event in events).strip()
    assert [event.finish_reason for event in events if event.finish_reason]
    assert events[-1].hidden
    assert events[-1].usage is not None

    body = {"prompt": "Once upon a time", "max_tokens": 8}
    answer = await llm.execute(call(body, LLM, COMPLETION))
    assert msgspec.json.decode(answer.body)["choices"][0]["text"]
    assert child(llm, LLM)["resident_memory"] > 10_000_000


async def test_a_value_that_is_too_long_is_reported(llm: LocalLlmProvider):
    with pytest.raises(ProviderFailure) as caught:
        await llm.execute(ask("word " * 3000))
    assert caught.value.kind is FailureKind.CONTEXT_LENGTH


async def test_a_killed_child_fails_its_request_and_is_back_for_the_next(llm: LocalLlmProvider):
    stream = llm.stream(ask("Tell a long story.", stream=True, body={"max_tokens": 900}))
    await anext(stream)
    os.kill(child(llm, LLM)["pid"], signal.SIGKILL)
    with pytest.raises(ProviderFailure) as caught:
        async for _ in stream:
            pass
    assert caught.value.kind in (FailureKind.STREAM_CUT, FailureKind.CONNECTION)
    answer = await llm.execute(ask("Say hello."))
    assert msgspec.json.decode(answer.body)["choices"]
    assert child(llm, LLM)["starts"] == 2


async def test_an_idle_child_is_stopped(weights: Path, tmp_path: Path):
    options = {"context_window": 512, "idle_timeout": 0.05, "parallel": 1}
    settings = ProviderSettings("l", "x", options=options, data_dir=str(weights), runtime_dir=str(tmp_path))
    provider = LocalLlmProvider(settings)
    await provider.execute(ask("Hi", body={"max_tokens": 1}))
    pid = child(provider, LLM).get("pid")
    async with asyncio.timeout(10):
        while child(provider, LLM)["state"] != "stopped" or os.listdir(tmp_path):  # noqa: ASYNC110 - a process's end
            await asyncio.sleep(0.005)
    assert pid is None or not psutil.pid_exists(pid)
    assert os.listdir(tmp_path) == []
    await provider.execute(ask("Hi", body={"max_tokens": 1}))
    await provider.aclose()


async def test_missing_weights_say_what_to_run(tmp_path: Path):
    provider = LocalLlmProvider(ProviderSettings("l", "x", data_dir=str(tmp_path), runtime_dir=str(tmp_path)))
    for attempt in (provider.execute(ask("Hi")), provider.probe(1.0)):
        with pytest.raises(ProviderFailure, match=f"meshctl pull {LLM}") as caught:
            await attempt
        assert caught.value.kind is FailureKind.MODEL_NOT_FOUND
    assert await provider.list_models() == []
    await provider.aclose()


async def test_a_damaged_file_is_said_with_the_childs_last_words(tmp_path: Path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 64)
    settings = ProviderSettings("l", "x", options={"model": str(broken)}, runtime_dir=str(tmp_path))
    provider = LocalLlmProvider(settings)
    with pytest.raises(ProviderFailure, match="did not start: ") as caught:
        await provider.execute(call({"messages": []}, "broken"))
    assert caught.value.kind is FailureKind.CONNECTION
    await provider.aclose()


async def test_the_child_dies_with_a_daemon_that_is_killed(weights: Path, tmp_path: Path):
    program = f"""
import asyncio, msgspec
from meshd.sdk import *
from meshd.connectors.providers.embedded.embeddings import LocalEmbeddingsProvider
from meshd.operations.embeddings import EMBEDDINGS
async def main():
    p = LocalEmbeddingsProvider(ProviderSettings("e", "x", runtime_dir={str(tmp_path)!r}))
    await p.execute(ProviderCall(EMBEDDINGS, {E5!r}, {{"input": msgspec.Raw(b'"a"')}}))
    print(p.describe()["children"][{E5!r}]["pid"], flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    daemon = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert daemon.stdout is not None
    model = psutil.Process(int(await daemon.stdout.readline()))
    daemon.kill()
    await daemon.wait()
    await asyncio.to_thread(psutil.wait_procs, [model], 10)
    assert not model.is_running() or model.status() == psutil.STATUS_ZOMBIE  # its new parent reaps it
    assert os.listdir(tmp_path) == []


def similarity(one: list[float], other: list[float]) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))


async def test_embeddings_mean_something(embeddings: LocalEmbeddingsProvider):
    assert [row.id for row in await embeddings.list_models()] == [E5]
    texts = ["The cat sat on the mat.", "A kitten lay on the rug.", "Interest rates rose again."]
    answer = await embeddings.execute(call({"input": texts}, E5, EMBEDDINGS))
    vectors = [row["embedding"] for row in msgspec.json.decode(answer.body)["data"]]
    assert [len(vector) for vector in vectors] == [384] * 3
    assert math.isclose(math.hypot(*vectors[0]), 1.0, abs_tol=1e-3)
    assert similarity(vectors[0], vectors[1]) > similarity(vectors[0], vectors[2])
    assert answer.usage is not None
    assert answer.usage.input_tokens > 10


async def test_the_forms_of_an_embedding(embeddings: LocalEmbeddingsProvider):
    body = {"input": "one text", "dimensions": 64, "encoding_format": "base64", "input_type": "passage"}
    answer = await embeddings.execute(call(body, E5, EMBEDDINGS))
    packed = msgspec.json.decode(answer.body)["data"][0]["embedding"]
    vector = struct.unpack("<64f", base64.b64decode(packed))
    assert math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-3)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({"input": [[1, 2, 3]]}, FailureKind.INVALID_REQUEST, "token arrays"),
        ({"input": []}, FailureKind.INVALID_REQUEST, "not empty"),
        ({"input": "a", "dimensions": 9999}, FailureKind.INVALID_REQUEST, "between 1 and 384"),
        ({"input": "word " * 2000}, FailureKind.CONTEXT_LENGTH, "at most 512 are allowed"),
    ],
)
async def test_bad_input_to_embeddings(embeddings: LocalEmbeddingsProvider, body, kind, words):
    with pytest.raises(ProviderFailure, match=words) as caught:
        await embeddings.execute(call(body, E5, EMBEDDINGS))
    assert caught.value.kind is kind
    assert caught.value.status == 400
