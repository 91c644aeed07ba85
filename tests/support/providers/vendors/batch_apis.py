"""A provider with OpenAI's and Anthropic's APIs for batches, and the APIs that answer a request alone.

As documented at developers.openai.com/api/reference (files, batches) and
platform.claude.com/docs/en/api/messages/batches, read on 2026-11-28; words and values are our own.
"""

from __future__ import annotations

import datetime
import json
import threading
import time
from typing import Any

from aiohttp import web

from tests.support.providers.servers.in_thread import ProviderInThread

TOKENS_IN, TOKENS_OUT = 1000, 100


class BatchApis(ProviderInThread):
    """hold: cleared, batches stay in progress. submitted: of each batch, its requests. alone: bodies of requests that
    came by themselves. refuse: the status with which batches are refused, 0 for none. cut: the connection of the next
    submission ends before its answer. done: how many requests of a batch in progress are answered. keys: of each batch,
    the key that made it; others do not find it."""

    def __init__(self) -> None:
        self.hold = threading.Event()
        self.hold.set()
        self.submitted: list[list[dict[str, Any]]] = []
        self.alone: list[dict[str, Any]] = []
        self.refuse = 0
        self.cut = False
        self.done = 0
        self.keys: dict[str, str] = {}
        self._files: dict[str, bytes] = {}
        self._openai: dict[str, dict[str, Any]] = {}
        self._anthropic: dict[str, dict[str, Any]] = {}
        super().__init__()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=10**8, middlewares=[self._only_with_its_key])
        add = app.router.add_route
        add("POST", "/v1/files", self._upload)
        add("GET", "/v1/files/{id}/content", self._content)
        add("POST", "/v1/batches", self._create)
        add("GET", "/v1/batches", self._list)
        add("GET", "/v1/batches/{id}", self._retrieve)
        add("POST", "/v1/batches/{id}/cancel", self._cancel)
        add("POST", "/v1/messages/batches", self._create_messages)
        add("GET", "/v1/messages/batches", self._list_messages)
        add("GET", "/v1/messages/batches/{id}", self._retrieve_messages)
        add("GET", "/v1/messages/batches/{id}/results", self._message_results)
        add("POST", "/v1/messages/batches/{id}/cancel", self._cancel_messages)
        add("POST", "/v1/chat/completions", self._chat)
        add("POST", "/v1/messages", self._message)
        return app

    @web.middleware
    async def _only_with_its_key(self, request: web.Request, handler: Any) -> web.StreamResponse:
        made_by = self.keys.get(request.match_info.get("id", ""))
        if made_by not in (None, key_of(request)):
            return web.json_response({"error": {"message": "there is no such batch", "type": "x"}}, status=404)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.alone.append(body)
        return web.json_response(chat(body))

    async def _message(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.alone.append(body)
        return web.json_response(message(body))

    # -- OpenAI ---------------------------------------------------------------------------------------

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file: Any = form["file"]
        id = f"file-{len(self._files)}"
        self._files[id] = file.file.read()
        told = {"id": id, "object": "file", "bytes": len(self._files[id]), "created_at": int(time.time())}
        return web.json_response({**told, "filename": file.filename, "purpose": form["purpose"], "status": "processed"})

    async def _content(self, request: web.Request) -> web.Response:
        return web.Response(body=self._files[request.match_info["id"]], content_type="application/octet-stream")

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if self.refuse:
            return web.json_response({"error": {"message": "no batches", "type": "x"}}, status=self.refuse)
        lines = [json.loads(line) for line in self._files[asked["input_file_id"]].splitlines() if line.strip()]
        self.submitted.append(lines)
        id = f"batch_{len(self._openai)}"
        self.keys[id] = key_of(request)
        self._openai[id] = {
            "id": id,
            "object": "batch",
            "endpoint": asked["endpoint"],
            "input_file_id": asked["input_file_id"],
            "completion_window": asked["completion_window"],
            "metadata": asked.get("metadata"),
            "status": "in_progress",
            "created_at": int(time.time()),
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }
        self._maybe_cut(request)
        return web.json_response(self._openai[id])

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": list(self._openai.values())[::-1], "has_more": False})

    async def _retrieve(self, request: web.Request) -> web.Response:
        batch = self._openai[request.match_info["id"]]
        batch["request_counts"]["completed"] = self.done
        if batch["status"] == "in_progress" and self.hold.is_set():
            self._finish(batch, "completed")
        return web.json_response(batch)

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self._openai[request.match_info["id"]]
        batch["status"] = "cancelled"
        return web.json_response(batch)

    def _finish(self, batch: dict[str, Any], status: str) -> None:
        answers, errors = [], []
        for line in map(json.loads, self._files[batch["input_file_id"]].splitlines()):
            code = failing(line["body"])
            body = chat(line["body"]) if code == 200 else {"error": {"message": f"failed with {code}", "type": "x"}}
            response = {"status_code": code, "request_id": "r", "body": body}
            row = {"id": "batch_req_1", "custom_id": line["custom_id"], "response": response, "error": None}
            (answers if code == 200 else errors).append(row)
        for name, rows in (("output", answers), ("error", errors)):
            if rows:
                batch[f"{name}_file_id"] = f"{batch['id']}-{name}"
                self._files[f"{batch['id']}-{name}"] = lines_of(rows[::-1])  # in any order
        batch["status"] = status

    # -- Anthropic ------------------------------------------------------------------------------------

    async def _create_messages(self, request: web.Request) -> web.Response:
        asked = (await request.json())["requests"]
        if self.refuse:
            error = {"type": "invalid_request_error", "message": "no batches"}
            return web.json_response({"type": "error", "error": error}, status=self.refuse)
        self.submitted.append(asked)
        id = f"msgbatch_{len(self._anthropic)}"
        self.keys[id] = key_of(request)
        now = datetime.datetime.now(datetime.UTC)
        counts = dict.fromkeys(("succeeded", "errored", "canceled", "expired"), 0)
        self._anthropic[id] = {
            "id": id,
            "type": "message_batch",
            "processing_status": "in_progress",
            "request_counts": {"processing": len(asked), **counts},
            "created_at": now.isoformat(),
            "expires_at": (now + datetime.timedelta(days=1)).isoformat(),
            "results_url": None,
            "requests": asked,
        }
        self._maybe_cut(request)
        return web.json_response(self._shown(id))

    def _shown(self, id: str) -> dict[str, Any]:
        return {key: value for key, value in self._anthropic[id].items() if key != "requests"}

    async def _list_messages(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [self._shown(id) for id in self._anthropic], "has_more": False})

    async def _retrieve_messages(self, request: web.Request) -> web.Response:
        id = request.match_info["id"]
        if self.hold.is_set():
            url = f"http://127.0.0.1:{self.port}/v1/messages/batches/{id}/results"
            self._anthropic[id].update(processing_status="ended", results_url=url)
        self._anthropic[id]["request_counts"]["succeeded"] = self.done
        return web.json_response(self._shown(id))

    async def _cancel_messages(self, request: web.Request) -> web.Response:
        id = request.match_info["id"]
        self._anthropic[id].update(processing_status="ended", canceled=True)
        return web.json_response(self._shown(id))

    async def _message_results(self, request: web.Request) -> web.Response:
        batch, rows = self._anthropic[request.match_info["id"]], []
        for asked in batch["requests"]:
            code = failing(asked["params"])
            if batch.get("canceled"):
                result: dict[str, Any] = {"type": "canceled"}
            elif code == 200:
                result = {"type": "succeeded", "message": message(asked["params"])}
            else:
                kind = "invalid_request_error" if code == 400 else "api_error"
                error = {"type": kind, "message": f"failed with {code}"}
                result = {"type": "errored", "error": {"type": "error", "error": error}}
            rows.append({"custom_id": asked["custom_id"], "result": result})
        return web.Response(body=lines_of(rows), content_type="application/x-jsonl")

    def _maybe_cut(self, request: web.Request) -> None:
        if self.cut:
            self.cut = False
            assert request.transport is not None
            request.transport.abort()


def key_of(request: web.Request) -> str:
    headers = request.headers
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    return headers.get("x-api-key") or headers.get("x-goog-api-key") or bearer


def lines_of(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def said(body: dict[str, Any]) -> str:
    if "contents" in body:
        return str(body["contents"][-1]["parts"][0]["text"])
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else str(content[0]["text"])


def failing(body: dict[str, Any]) -> int:
    """The status of a request that says `fail 400`."""
    word, _, code = said(body).partition(" ")
    return int(code) if word == "fail" else 200


def chat(body: dict[str, Any]) -> dict[str, Any]:
    usage = {"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT, "total_tokens": TOKENS_IN + TOKENS_OUT}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"heard {said(body)}"}}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [choice],
        "usage": usage,
    }


def message(body: dict[str, Any]) -> dict[str, Any]:
    usage = {"input_tokens": TOKENS_IN, "output_tokens": TOKENS_OUT}
    content = [{"type": "text", "text": f"heard {said(body)}"}]
    told = {"id": "m", "type": "message", "role": "assistant", "model": body["model"], "content": content}
    return {**told, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}
