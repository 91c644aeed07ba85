"""Each method of the thin client beside the OpenAI SDK's: the answer itself, raw, and read as it comes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import modelmesh
from tests.integration.media.conftest import config
from tests.support.daemons.scripted import scripted
from tests.support.providers.media_server import SOUND, MediaServer
from tests.support.waiting import WAIT

SAID = [{"role": "user", "content": "hi"}]
AUDIO = ("a.mp3", b"ID3" + bytes(range(256)))


def batch_file(model: str) -> tuple[str, bytes]:
    body = {"model": model, "messages": SAID}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return "a.jsonl", json.dumps(line).encode()


class Kept:
    """What the daemon keeps of this user: a new one for each call that ends it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def response(self) -> str:
        return str(self._client.responses.create(model="echo", input="hi").id)

    def background(self) -> str:
        return str(self._client.responses.create(model="silent", input="hi", background=True).id)

    def file(self, model: str = "echo") -> str:
        return str(self._client.files.create(file=batch_file(model), purpose="batch").id)

    def batch(self) -> str:
        options = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
        return str(self._client.batches.create(input_file_id=self.file("slow"), **options).id)


Arguments = dict[str, Any] | Callable[[Kept], Any]
CALLS: dict[str, tuple[str, Arguments]] = {
    "chat": ("chat.completions.create", {"model": "echo", "messages": SAID}),
    "a chat's stream": ("chat.completions.create", {"model": "echo", "messages": SAID, "stream": True}),
    "a parsed chat": ("chat.completions.parse", {"model": "echo", "messages": SAID}),
    "completion": ("completions.create", {"model": "echo", "prompt": "hi"}),
    "a completion's stream": ("completions.create", {"model": "echo", "prompt": "hi", "stream": True}),
    "embeddings": ("embeddings.create", {"model": "echo.vectors", "input": "hi", "encoding_format": "float"}),
    "response": ("responses.create", {"model": "echo", "input": "hi"}),
    "a response's stream": ("responses.create", {"model": "echo", "input": "hi", "stream": True}),
    "a kept response": ("responses.retrieve", Kept.response),
    "its input": ("responses.input_items.list", Kept.response),
    "a deleted response": ("responses.delete", Kept.response),
    "a cancelled response": ("responses.cancel", Kept.background),
    "speech": ("audio.speech.create", {"model": "tts", "voice": "a", "input": "hi"}),
    "transcript": ("audio.transcriptions.create", {"model": "stt", "file": AUDIO}),
    "a text": ("audio.transcriptions.create", {"model": "stt", "file": AUDIO, "response_format": "text"}),
    "a transcript's stream": ("audio.transcriptions.create", {"model": "stt", "file": AUDIO, "stream": True}),
    "translation": ("audio.translations.create", {"model": "stt", "file": AUDIO}),
    "image": ("images.generate", {"model": "image", "prompt": "a cat"}),
    "an image's stream": ("images.generate", {"model": "image", "prompt": "a cat", "stream": True}),
    "an edited image": ("images.edit", {"model": "image", "image": ("a.png", b"one"), "prompt": "a hat"}),
    "moderation": ("moderations.create", {"model": "moderation", "input": ["a"]}),
    "a new file": ("files.create", {"file": batch_file("echo"), "purpose": "user_data"}),
    "files": ("files.list", {"purpose": "nothing"}),
    "a file": ("files.retrieve", Kept.file),
    "a file's content": ("files.content", Kept.file),
    "a deleted file": ("files.delete", Kept.file),
    "a batch": ("batches.retrieve", Kept.batch),
    "a cancelled batch": ("batches.cancel", Kept.batch),
    "models": ("models.list", {}),
    "a model": ("models.retrieve", lambda kept: "echo"),
}
FILES = ("speech", "a file's content")


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, media: MediaServer) -> Any:
    slow = {"slow": [{"reply": "x", "delay": "2s"}]}
    made, own = scripted(slow, capabilities=("chat-completion", "text-completion")), config(media.url)
    for section in ("providers", "models", "pools"):
        made[section].update(own[section])
    return module_meshd({**made, "batches": {"max_user_open": 100}})


@pytest.fixture(scope="module")
def kept(daemon: Any) -> Iterator[Kept]:
    with modelmesh.OpenAIClient(str(daemon.socket), max_retries=0, timeout=WAIT) as client:
        yield Kept(client)


@pytest.fixture(params=["blocking", "asyncio"])
async def clients(request: Any, daemon: Any) -> Any:
    """(the SDK's, the thin one)"""
    options: Any = {"socket": str(daemon.socket), "max_retries": 0, "timeout": WAIT}
    if request.param == "blocking":
        with modelmesh.openai_client(**options) as sdk, modelmesh.OpenAIClient(**options) as thin:
            yield sdk, thin
    else:
        async with modelmesh.async_openai_client(**options) as sdk, modelmesh.AsyncOpenAIClient(**options) as thin:
            yield sdk, thin


async def settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def listed(items: Any) -> list[Any]:
    return [item async for item in items] if hasattr(items, "__aiter__") else list(items)


def asked(client: Any, kept: Kept, call: str, form: str = "") -> Any:
    """What the method returns. form: `with_raw_response`, `with_streaming_response`, or "" for the answer itself."""
    path, arguments = CALLS[call]
    *parts, method = path.split(".")
    for part in (*parts, *([form] if form else [])):
        client = getattr(client, part)
    if isinstance(arguments, dict):
        return getattr(client, method)(**arguments)
    return getattr(client, method)(arguments(kept))


def alike(value: Any) -> Any:
    """JSON without what differs from one answer to the next."""
    if isinstance(value, dict):
        if value.get("object") == "batch" or value.get("status") in ("queued", "in_progress", "cancelled"):
            return value.get("object")  # it goes on
        names = ("id", "created", "sequence_number", "obfuscation")
        said = {name: alike(each) for name, each in value.items() if each is not None}
        return {name: "-" if name in names or name.endswith(("_id", "_at")) else each for name, each in said.items()}
    return [alike(each) for each in value] if isinstance(value, list) else value


async def shown(answer: Any) -> Any:
    """An answer's content, whatever it is."""
    if answer is None or isinstance(answer, str):
        return answer
    if hasattr(answer, "write_to_file"):
        pieces = b"".join(answer.iter_bytes(7))
        read = [piece async for piece in await answer.aiter_bytes(100_000)]
        return answer.content, pieces, len(read), answer.response.headers["content-type"], answer.text[:9]
    if hasattr(answer, "model_dump"):
        return alike(answer.model_dump(mode="json", exclude={"mesh"}))
    return [alike(each.model_dump(mode="json")) for each in await listed(answer)]


def body(text: str) -> Any:
    """Of HTTP: JSON, events or another text."""
    try:
        return alike(json.loads(text))
    except ValueError:
        lines = [line for line in text.splitlines() if line]
        return [alike(json.loads(line[6:])) if line.startswith("data: {") else line for line in lines]


@pytest.mark.parametrize("call", CALLS)
async def test_the_answer(clients: Any, kept: Kept, call: str) -> None:
    theirs, ours = [await shown(await settled(asked(client, kept, call))) for client in clients]
    assert ours == theirs


@pytest.mark.parametrize("call", CALLS)
async def test_a_raw_response(clients: Any, kept: Kept, call: str) -> None:
    found = []
    for client in clients:
        raw = await settled(asked(client, kept, call, "with_raw_response"))
        streamed = raw.headers["content-type"].startswith("text/event-stream")
        whole = None if streamed else (body(raw.text), body(raw.http_response.text), type(raw.content), raw.is_closed)
        told = raw.status_code, raw.headers["content-type"], raw.method, raw.retries_taken, bool(raw.request_id)
        found.append((told, whole, await shown(raw.parse())))
    assert found[1] == found[0]


@asynccontextmanager
async def entered(managed: Any) -> Any:
    if hasattr(managed, "__aenter__"):
        async with managed as response:
            yield response
    else:
        with managed as response:
            yield response


async def texts(response: Any) -> str:
    return "".join(await listed(response.iter_text()))


async def lines(response: Any) -> str:
    return "\n".join(await listed(response.iter_lines()))


async def pieces(response: Any) -> str:
    return b"".join(await listed(response.iter_bytes(5))).decode(errors="replace")


async def whole(response: Any) -> str:
    read = await settled(response.read())
    assert await settled(response.text()) == read.decode(errors="replace")
    return str(await texts(response))


@pytest.mark.parametrize("way", [texts, lines, pieces, whole])
@pytest.mark.parametrize("call", CALLS)
async def test_a_response_that_is_read_as_it_comes(clients: Any, kept: Kept, call: str, way: Any) -> None:
    found = []
    for client in clients:
        async with entered(asked(client, kept, call, "with_streaming_response")) as response:
            told = response.status_code, response.headers["content-type"], response.is_closed
            found.append((told, body(await way(response))))
    assert found[1] == found[0]


@pytest.mark.parametrize("call", CALLS)
async def test_what_such_a_response_parses_to(clients: Any, kept: Kept, call: str, tmp_path: Path) -> None:
    found = []
    for client in clients:
        async with entered(asked(client, kept, call, "with_streaming_response")) as response:
            if call in FILES:
                await settled(response.stream_to_file(tmp_path / "file"))
                found.append((tmp_path / "file").read_bytes())
            else:
                found.append(await shown(await settled(response.parse())))
    assert found[1] == found[0]
    assert call != "speech" or found[0] == SOUND


async def test_a_list_goes_on_to_its_next_page(clients: Any, kept: Kept) -> None:
    for client in clients:
        made = [(await settled(client.files.create(file=b"x", purpose="user_data"))).id for _ in range(3)]
        found = [file.id for file in await listed(client.files.list(purpose="user_data", limit=2))]
        assert found[:3] == made[::-1]
        first = await settled(client.files.list(purpose="user_data", limit=2))
        assert [file.id for file in first.data] == made[:0:-1]
        assert first.has_next_page()
        second = await settled(first.get_next_page())
        assert second.data[0].id == made[0]
        raw = await settled(client.files.with_raw_response.list(purpose="user_data", limit=1))
        assert [file.id for file in await listed(raw.parse())] == found


async def test_what_the_sdk_does_not_have_is_raw_in_the_same_way(clients: Any) -> None:
    thin = clients[1]
    asked = {"model": "rerank", "query": "a", "documents": ["b"]}
    raw = await settled(thin.rerank.with_raw_response.create(**asked))
    assert (raw.status_code, raw.parse().results[0].index) == (200, 0)
    async with entered(thin.with_streaming_response.rerank.create(**asked)) as response:
        assert (await settled(response.json()))["results"][0]["index"] == 0
    pools = await settled(thin.with_raw_response.mesh.pools())
    assert "echo" in {pool.name for pool in pools.parse()}
    states = await settled(thin.with_raw_response.mesh.pool_status())
    assert states.parse()["echo"].name == "echo"


async def test_events_are_read_in_one_way(clients: Any, kept: Kept) -> None:
    async with entered(asked(clients[1], kept, "a chat's stream", "with_streaming_response")) as response:
        assert (await settled(response.read())).endswith(b"data: [DONE]\n\n")
        with pytest.raises(TypeError, match="read as bytes"):
            await settled(response.parse())
