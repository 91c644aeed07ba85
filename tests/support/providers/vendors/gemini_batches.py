"""The Gemini API's batches and files, beside those of OpenAI and Anthropic.

As documented at ai.google.dev/api/batch-api, ai.google.dev/gemini-api/docs/batch-api and ai.google.dev/api/files, read
on 2026-11-28; words and values are our own.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.support.providers.vendors.batch_apis import TOKENS_IN, TOKENS_OUT, BatchApis, failing, key_of, lines_of, said

CREATED = "2026-11-28T12:00:00Z"
_CODES = {400: 3, 500: 13}


class AllBatchApis(BatchApis):
    def __init__(self) -> None:
        self._uploads: dict[str, str] = {}
        self._gemini: dict[str, dict[str, Any]] = {}
        super().__init__()

    def application(self) -> web.Application:
        app = super().application()
        add = app.router.add_route
        add("POST", "/upload/v1beta/files", self._upload_gemini)
        add("GET", "/v1beta/files/{id:[^:]+}:download", self._download)
        add("POST", "/v1beta/models/{model}:batchGenerateContent", self._create_gemini)
        add("POST", "/v1beta/models/{model}:generateContent", self._generate)
        add("GET", "/v1beta/batches", self._list_gemini)
        add("GET", "/v1beta/batches/{id:[^:]+}", self._get_gemini)
        add("DELETE", "/v1beta/batches/{id:[^:]+}", self._delete_gemini)
        add("POST", "/v1beta/batches/{id:[^:]+}:cancel", self._cancel_gemini)
        return app

    async def _generate(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.alone.append(body)
        return web.json_response(generated(body, request.match_info["model"]))

    # -- files ----------------------------------------------------------------------------------------

    async def _upload_gemini(self, request: web.Request) -> web.Response:
        """In one request (`multipart`), or begun in one and sent in the next (`resumable`)."""
        if request.headers.get("x-goog-upload-protocol") == "multipart":
            reader = await request.multipart()
            parts = [bytes(await part.read()) async for part in reader]  # type: ignore[union-attr]
            return self._kept(json.loads(parts[0])["file"].get("displayName", ""), parts[1])
        if request.headers.get("x-goog-upload-command") == "start":
            id = f"up-{len(self._uploads)}"
            self._uploads[id] = (await request.json())["file"].get("displayName", "")
            url = f"http://127.0.0.1:{self.port}/upload/v1beta/files?upload_id={id}&upload_protocol=resumable"
            return web.json_response({}, headers={"x-goog-upload-url": url, "x-goog-upload-status": "active"})
        answer = self._kept(self._uploads[request.query["upload_id"]], await request.read())
        answer.headers["x-goog-upload-status"] = "final"
        return answer

    def _kept(self, name: str, content: bytes) -> web.Response:
        id = f"in-{len(self._files)}"
        self._files[id] = content
        told = {"name": f"files/{id}", "displayName": name, "sizeBytes": str(len(content)), "state": "ACTIVE"}
        return web.json_response({"file": {**told, "createTime": CREATED, "mimeType": "application/jsonl"}})

    async def _download(self, request: web.Request) -> web.Response:
        assert request.query["alt"] == "media"
        return web.Response(body=self._files[request.match_info["id"]], content_type="application/octet-stream")

    # -- batches --------------------------------------------------------------------------------------

    async def _create_gemini(self, request: web.Request) -> web.Response:
        asked = (await request.json())["batch"]
        if self.refuse:
            error = {"code": self.refuse, "message": "no batches", "status": "INVALID_ARGUMENT"}
            return web.json_response({"error": error}, status=self.refuse)
        source = asked["inputConfig"]
        if file := source.get("fileName", "").removeprefix("files/"):
            lines = [json.loads(line) for line in self._files[file].splitlines() if line.strip()]
        else:
            lines = source["requests"]["requests"]
        self.submitted.append(lines)
        id, model = str(len(self.submitted)), request.match_info["model"]
        name, self.keys[id] = f"batches/{id}", key_of(request)
        about = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "name": name,
            "model": f"models/{model}",
            "displayName": asked["displayName"],
            "createTime": CREATED,
            "state": "BATCH_STATE_PENDING",
            "batchStats": {"requestCount": str(len(lines)), "pendingRequestCount": str(len(lines))},
        }
        self._gemini[name] = {"name": name, "metadata": about, "lines": lines, "inline": not file}
        self._maybe_cut(request)
        return self._shown_gemini(name)

    def _shown_gemini(self, name: str) -> web.Response:
        batch = self._gemini[name]
        return web.json_response({key: value for key, value in batch.items() if key not in ("lines", "inline")})

    async def _list_gemini(self, request: web.Request) -> web.Response:
        found = [{"name": each["name"], "metadata": each["metadata"]} for each in self._gemini.values()]
        return web.json_response({"operations": found[::-1]})

    async def _get_gemini(self, request: web.Request) -> web.Response:
        name = f"batches/{request.match_info['id']}"
        batch = self._gemini[name]
        batch["metadata"]["batchStats"]["successfulRequestCount"] = str(self.done)
        if batch["metadata"]["state"] == "BATCH_STATE_PENDING" and self.hold.is_set():
            self._finish_gemini(batch)
        return self._shown_gemini(name)

    def _finish_gemini(self, batch: dict[str, Any]) -> None:
        model, rows = batch["metadata"]["model"], []
        for line in batch["lines"]:
            about = {"metadata": line.get("metadata", {})} if batch["inline"] else {"key": line["key"]}
            code = failing(line["request"])
            if code == 200:
                rows.append({**about, "response": generated(line["request"], model)})
            else:
                rows.append({**about, "error": {"code": _CODES[code], "message": f"failed with {code}"}})
        if batch["inline"]:
            output: dict[str, Any] = {"inlinedResponses": {"inlinedResponses": rows}}
        else:
            id = f"batch-{batch['name'].rpartition('/')[2]}"
            self._files[id] = lines_of(rows)
            output = {"responsesFile": f"files/{id}"}
        batch["metadata"].update(state="BATCH_STATE_SUCCEEDED", output=output, endTime=CREATED)
        batch.update(done=True, response=output)

    async def _cancel_gemini(self, request: web.Request) -> web.Response:
        batch = self._gemini[f"batches/{request.match_info['id']}"]
        batch["metadata"]["state"] = "BATCH_STATE_CANCELLED"
        batch.update(done=True, error={"code": 1, "message": "cancelled"})
        return web.json_response({})

    async def _delete_gemini(self, request: web.Request) -> web.Response:
        del self._gemini[f"batches/{request.match_info['id']}"]
        return web.json_response({})


def generated(body: dict[str, Any], model: str) -> dict[str, Any]:
    content = {"parts": [{"text": f"heard {said(body)}"}], "role": "model"}
    usage = {
        "promptTokenCount": TOKENS_IN,
        "candidatesTokenCount": TOKENS_OUT,
        "totalTokenCount": TOKENS_IN + TOKENS_OUT,
    }
    candidate = {"content": content, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "r"}
