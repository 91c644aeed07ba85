"""A real HTTP server with OpenAI's operations on audio, images, moderation and reranking, in a thread.

It keeps what it was sent, so that tests see what a provider gets. A request's `model` says what it does wrong:
`dying-…` breaks off, `empty-…` answers nothing, `told-…` an error with status 200, `page-…` a web page,
`refusing-…` 400, `failing-…` 500, `endless-…` never ends.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.base_protocol import BaseProtocol

SOUND = bytes(range(256)) * 1000
PICTURE = base64.b64encode(b"\x89PNG" + bytes(500)).decode()
WORDS = ["Hello", " from", " the", " recording"]


@dataclass
class Sent:
    """One request. fields: of its JSON, or the texts of its form; files: name → content."""

    path: str
    headers: dict[str, str]
    body: bytes
    fields: dict[str, Any] = field(default_factory=dict)
    files: dict[str, list[bytes]] = field(default_factory=dict)


class MediaServer:
    """`url` is its base URL, with /v1; `said` what it says beside an image; `said_of_each` beside each of a stream."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.url = ""
        self.written = 0  # bytes of an endless file
        self.said: dict[str, Any] = {"usage": {"input_tokens": 9, "output_tokens": 272, "total_tokens": 281}}
        self.said_of_each: list[dict[str, Any]] = [{}]
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        for path, answer in self.routes().items():
            app.router.add_post(f"/v1/{path}", self._handler(answer))
        return app

    def routes(self) -> dict[str, Any]:
        return {
            "audio/speech": self._speech,
            "audio/transcriptions": self._transcript,
            "audio/translations": self._transcript,
            "images/generations": self._images,
            "images/edits": self._images,
            "moderations": self._moderation,
            "rerank": self._rerank,
        }

    def start(self) -> MediaServer:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(20)

    async def _run(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        self._ready.set()
        await self._stopped.wait()
        await runner.cleanup()

    def _handler(self, answer: Any) -> Any:
        async def handle(http: web.Request) -> web.StreamResponse:
            sent = await _read(http)
            self.sent.append(sent)
            model = str(sent.fields.get("model"))
            if model.startswith("refusing-"):
                refusal = {"message": "no such voice", "type": "invalid_request_error", "code": "bad_voice"}
                return web.json_response({"error": refusal}, status=400)
            if model.startswith("failing-"):
                return web.json_response({"error": {"message": "broken"}}, status=500)
            if model.startswith("told-"):
                return web.json_response({"error": {"message": "the model is overloaded", "type": "server_error"}})
            if model.startswith("page-"):
                return web.Response(text="<!doctype html><html>Not an API</html>", content_type="text/html")
            if model.startswith("empty-"):
                return web.Response(body=b"", content_type="audio/mpeg")
            made: web.StreamResponse = await answer(http, sent)
            return made

        return handle

    async def _speech(self, http: web.Request, sent: Sent) -> web.StreamResponse:
        model = str(sent.fields["model"])
        if sent.fields.get("stream_format") == "sse":
            events = [{"type": "speech.audio.delta", "audio": base64.b64encode(SOUND[:90]).decode()}] * 3
            usage = {"input_tokens": 5, "output_tokens": 40, "total_tokens": 45}
            return await _events(http, [*events, {"type": "speech.audio.done", "usage": usage}], model)
        response = web.StreamResponse(headers={"Content-Type": "audio/mpeg"})
        response.enable_chunked_encoding()
        await response.prepare(http)
        if model.startswith("dying-"):
            await response.write(SOUND[:1000])
            _reset(http)
            return response
        if model.startswith("endless-"):
            while True:
                await response.write(SOUND)
                self.written += len(SOUND)
        for at in range(0, len(SOUND), 50_000):
            await response.write(SOUND[at : at + 50_000])
        await response.write_eof()
        return response

    async def _transcript(self, http: web.Request, sent: Sent) -> web.StreamResponse:
        fields, text = sent.fields, "".join(WORDS)
        if fields.get("stream") == "true":
            usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 4, "total_tokens": 18}
            events = [{"type": "transcript.text.delta", "delta": word} for word in WORDS]
            done = {"type": "transcript.text.done", "text": text, "usage": usage}
            return await _events(http, [*events, done], str(fields["model"]))
        match fields.get("response_format", "json"):
            case "text":
                return web.Response(text=f"{text}\n", content_type="text/plain")
            case "vtt":
                return web.Response(text=f"WEBVTT\n\n00:00.000 --> 00:02.000\n{text}\n", content_type="text/vtt")
            case "verbose_json":
                return web.json_response({"task": "transcribe", "language": "english", "duration": 2.4, "text": text})
        return web.json_response({"text": text, "usage": {"type": "duration", "seconds": 3}})

    async def _images(self, http: web.Request, sent: Sent) -> web.StreamResponse:
        if sent.fields.get("stream") in (True, "true"):
            name = "image_edit" if sent.path.endswith("edits") else "image_generation"
            partial = {"type": f"{name}.partial_image", "b64_json": PICTURE, "partial_image_index": 0}
            done = {"type": f"{name}.completed", "b64_json": PICTURE, **self.said}
            events = [event for said in self.said_of_each for event in (partial, {**done, **said})]
            return await _events(http, events, str(sent.fields["model"]))
        rows = [{"b64_json": PICTURE}] * int(sent.fields.get("n", 1))
        return web.json_response({"created": 1, "data": rows, **self.said})

    async def _moderation(self, http: web.Request, sent: Sent) -> web.StreamResponse:
        given = sent.fields["input"]
        texts = given if isinstance(given, list) else [given]
        row = {"flagged": False, "categories": {"hate": False}, "category_scores": {"hate": 0.01}}
        return web.json_response({"id": "modr-1", "model": sent.fields["model"], "results": [row] * len(texts)})

    async def _rerank(self, http: web.Request, sent: Sent) -> web.StreamResponse:
        rows = [{"index": at, "relevance_score": 1 / (at + 1)} for at in range(len(sent.fields["documents"]))]
        return web.json_response({"id": "1", "results": rows, "meta": {"billed_units": {"search_units": 1}}})


async def _read(http: web.Request) -> Sent:
    sent = Sent(http.path, dict(http.headers), await http.read())
    if http.content_type != "multipart/form-data":
        sent.fields = json.loads(sent.body)
        return sent
    loop = asyncio.get_running_loop()
    stream = StreamReader(BaseProtocol(loop), 2**30, loop=loop)  # never pauses
    stream.feed_data(sent.body)
    stream.feed_eof()
    async for part in MultipartReader(http.headers, stream):
        assert isinstance(part, BodyPartReader)
        content = bytes(await part.read(decode=False))
        if part.filename is not None:
            sent.files.setdefault(str(part.name), []).append(content)
        else:
            sent.fields[str(part.name)] = content.decode()
    return sent


async def _events(http: web.Request, events: list[dict[str, Any]], model: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(http)
    for number, event in enumerate(events):
        if model.startswith("dying-") and number == 1:
            _reset(http)
            return response
        await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    await response.write_eof()
    return response


def _reset(http: web.Request) -> None:
    if http.transport is not None:
        http.transport.abort()
