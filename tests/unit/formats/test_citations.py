"""Pages that an answer of the Responses API cites, for a chat app: Perplexity's Agent API, and OpenAI's web search.

Shape of the annotations: https://platform.openai.com/docs/guides/tools-web-search, read on 28 November 2026.
"""

from __future__ import annotations

import json
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from meshd.formats.known import app_format

TEXT = "Rain is likely [1]."
CITED = {
    "type": "url_citation",
    "url": "https://weather.example/",
    "title": "Weather",
    "start_index": 15,
    "end_index": 18,
}
FILE = {"type": "file_citation", "file_id": "f-1", "filename": "a.txt", "index": 3}
ANNOTATIONS = [CITED, FILE, {"type": "url_citation"}, "odd", {**CITED, "title": None, "start_index": "x"}]
TOLD = {"type": "url_citation", "url_citation": {k: v for k, v in CITED.items() if k != "type"}}
BARE = {"url": CITED["url"], "title": "", "start_index": 0, "end_index": 18}


def response(text: str = TEXT, annotations: Any = ANNOTATIONS) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": annotations}
    item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}
    search = {"type": "web_search_call", "id": "s", "status": "completed"}
    return {"object": "response", "id": "r", "model": "sonar", "status": "completed", "output": [search, item]}


def test_an_answer_cites_its_pages() -> None:
    ours, theirs = app_format("openai").translator(), app_format("responses").translator()
    told = json.loads(ours.write_answer(theirs.read_answer(json.dumps(response()).encode()), None))
    message = told["choices"][0]["message"]
    assert message["content"] == TEXT
    assert message["annotations"] == [TOLD, {"type": "url_citation", "url_citation": BARE}]
    read = ChatCompletion.model_validate(told).choices[0].message.annotations
    assert read is not None
    assert read[0].url_citation.title == "Weather"
    plain = json.loads(ours.write_answer(theirs.read_answer(json.dumps(response(annotations=None)).encode()), None))
    assert "annotations" not in plain["choices"][0]["message"]


def test_a_stream_cites_them_as_they_come() -> None:
    reader, writer = (
        app_format("responses").translator().event_reader(),
        app_format("openai").translator().event_writer(None, 0),
    )
    place = {"output_index": 1, "content_index": 0, "item_id": "m"}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "r", "model": "sonar", "created_at": 1}},
        {"type": "response.output_text.delta", **place, "delta": TEXT},
        *({"type": "response.output_text.annotation.added", **place, "annotation": each} for each in (CITED, FILE)),
        {"type": "response.completed", "response": response()},
    ]
    chunks = [
        ChatCompletionChunk.model_validate_json(chunk)
        for event in events
        for each in reader.read(json.dumps(event).encode())
        for chunk in writer.write(each)
    ]
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == TEXT
    assert [extra for delta in deltas for extra in (delta.model_extra or {}).get("annotations", [])] == [TOLD]
    assert chunks[-1].choices[0].finish_reason == "stop"
