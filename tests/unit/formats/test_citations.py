"""What answers cite, from one API to another: what generated conversations do not have.

Shapes, read on 28 November 2026: https://platform.openai.com/docs/guides/tools-web-search,
https://platform.claude.com/docs/en/build-with-claude/citations, https://docs.cohere.com/docs/rag-citations,
https://ai.google.dev/gemini-api/docs/file-search.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from meshd.formats.conversation.citations import Citation, by_part, pieces
from meshd.formats.conversation.events import Cited, assembled
from meshd.formats.conversation.parts import Reasoning, Text
from meshd.formats.lookup import app_format, provider_format

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


def translated(member: str, answer: Any, app: str) -> Any:
    read = provider_format(member).translator().read_answer(json.dumps(answer).encode())
    return json.loads(app_format(app).translator().write_answer(read, None))


FOUND = {"type": "document", "id": "doc:1:0", "document": {"title": "Forecast", "text": "Rain, perhaps."}}
PLACED = {"start": 0, "end": 4, "text": "Rain", "sources": [FOUND], "type": "TEXT_CONTENT", "content_index": 1}
ODD: list[Any] = [{**PLACED, "type": "THINKING_CONTENT"}, "odd", {**PLACED, "sources": [None, {"type": "tool"}]}]
COHERE = {
    "id": "c",
    "finish_reason": "COMPLETE",
    "message": {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": TEXT}],
        "citations": [PLACED, *ODD],
    },
}


def test_a_document_of_the_request_is_told_by_its_number() -> None:
    blocks = translated("cohere", COHERE, "anthropic")["content"]
    assert [block.get("text") for block in blocks] == [None, "Rain", TEXT[4:]]
    assert blocks[1]["citations"] == [
        {
            "type": "char_location",
            "document_index": 1,
            "document_title": "Forecast",
            "cited_text": "Rain, perhaps.",
            "start_char_index": 0,
            "end_char_index": 14,
            "file_id": None,
        }
    ]
    chat = translated("cohere", COHERE, "openai")["choices"][0]["message"]
    assert "annotations" not in chat, "a chat cites pages only"
    candidate = translated("cohere", COHERE, "gemini")["candidates"][0]
    grounding = candidate["groundingMetadata"]
    assert grounding["groundingChunks"] == [
        {"retrievedContext": {"uri": "doc:1:0", "title": "Forecast", "text": "Rain, perhaps."}}
    ]
    place = {"partIndex": 1, "startIndex": 0, "endIndex": 4, "text": "Rain"}
    assert grounding["groundingSupports"] == [{"segment": place, "groundingChunkIndices": [0]}]


def test_a_file_is_cited_at_a_place() -> None:
    made = response(annotations=[FILE, {"type": "file_path", "file_id": "f", "index": 0}])
    read = provider_format("responses").translator().read_answer(json.dumps(made).encode())
    assert read.choices[0].citations == (Citation("", "a.txt", 3, 3, id="f-1"),)
    chunk = translated("responses", made, "gemini")["candidates"][0]["groundingMetadata"]["groundingChunks"]
    assert chunk == [{"retrievedContext": {"uri": "f-1", "title": "a.txt"}}]


LOCATIONS: list[Any] = [
    {"type": "page_location", "document_index": 0, "document_title": "a.pdf", "file_id": "f-1", "cited_text": "Q",
     "start_page_number": 1, "end_page_number": 2},
    {"type": "search_result_location", "source": "https://wiki.example/a", "title": None, "cited_text": "Q",
     "search_result_index": 0, "start_block_index": 0, "end_block_index": 1},
    {"type": "search_result_location", "source": "wiki:a", "title": "A", "cited_text": "Q"},
    {"type": "web_search_result_location", "url": "", "cited_text": "Q"},
    {"type": "newer"},
    "odd",
]  # fmt: skip
READ = (
    Citation("", "a.pdf", 3, 7, "Q", "f-1", 0),
    Citation("https://wiki.example/a", "", 3, 7, "Q"),
    Citation("", "A", 3, 7, "Q", "wiki:a"),
)


def test_anthropic_s_locations_are_read_and_stay_with_anthropic_s_apps() -> None:
    blocks = [{"type": "text", "text": "So "}, {"type": "text", "text": "it's", "citations": LOCATIONS}]
    message = {"type": "message", "role": "assistant", "id": "m", "model": "c", "content": blocks}
    body = {**message, "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1}}
    read = provider_format("anthropic").translator().read_answer(json.dumps(body).encode())
    assert read.choices[0].citations == READ
    assert translated("anthropic", body, "anthropic")["content"] == blocks
    part = translated("anthropic", body, "responses")["output"][0]["content"][1]
    assert [each["type"] for each in part["annotations"]] == ["file_citation", "url_citation", "file_citation"]


def test_a_stream_of_them_amounts_to_the_same_answer() -> None:
    """Some servers cite before the text."""
    deltas = [{"type": "citations_delta", "citation": each} for each in LOCATIONS]
    texts = [{"type": "text_delta", "text": piece} for piece in ("it", "'s")]
    for each in ([*deltas, *texts], [*texts, *deltas]):
        events: list[Any] = [
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "So "}}
        ]
        events += [{"type": "content_block_stop", "index": 0}]
        events += [{"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}]
        events += [{"type": "content_block_delta", "index": 1, "delta": delta} for delta in each]
        events += [{"type": "content_block_stop", "index": 1}]
        reader = provider_format("anthropic").translator().event_reader()
        read = [found for event in events for found in reader.read(json.dumps(event).encode())]
        assert assembled(read).choices[0].citations == READ


def test_gemini_counts_bytes_and_repeats_itself() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.example/", "title": "A"}}, {"web": None}, "odd"],
        "groundingSupports": [
            {"segment": {"startIndex": 4, "endIndex": 9}, "groundingChunkIndices": [0, 1, 2, 3, "x"]},
            {"segment": {"startIndex": 5, "endIndex": 2**40}, "groundingChunkIndices": [0]},
        ],
    }
    cited = {"citationSources": [{"startIndex": 0, "endIndex": 3, "uri": "https://b.example/", "license": "MIT"}]}
    text = "\u20ac \u00fcber all"
    found = (Citation("https://a.example/", "A", 2, 6), Citation("https://a.example/", "A", 2, 10))
    candidate = {"content": {"parts": [{"text": text}]}, "groundingMetadata": grounding, "citationMetadata": cited}
    answer = {"candidates": [candidate], "responseId": "r", "modelVersion": "g"}
    translator = provider_format("gemini").translator()
    read = translator.read_answer(json.dumps(answer).encode())
    assert read.choices[0].citations == (*found, Citation("https://b.example/", "", 0, 1))
    reader = translator.event_reader()
    again = {**candidate, "content": {"parts": [{"text": ""}]}}
    chunks = [{**answer, "candidates": [each]} for each in (candidate, again, again)]
    events = [event for chunk in chunks for event in reader.read(json.dumps(chunk).encode())]
    assert [each.citation for each in events if isinstance(each, Cited)] == list(read.choices[0].citations)


@pytest.mark.parametrize("spans", [[(0, 4), (2, 6)], [(2, 6), (0, 4)]])
def test_what_overlaps_is_one_piece(spans: list[tuple[int, int]]) -> None:
    cited = [Citation("u", "", *span) for span in spans]
    assert [text for text, _ in pieces("It rains. Now.", cited)] == ["It rai", "ns. Now."]
    assert {each for _, found in pieces("It rains. Now.", cited) for each in found} == set(cited)


@pytest.mark.parametrize("span", [(0, 0), (5, 3), (-4, -1), (0, 99)])
def test_what_has_no_place_is_cited_by_all(span: tuple[int, int]) -> None:
    assert pieces("All.", [Citation("u", "", *span)]) == [("All.", (Citation("u", "", *span),))]


def test_blanks_are_no_piece() -> None:
    cited = [Citation("u", "", 0, 2), Citation("v", "", 3, 5)]
    assert [text for text, _ in pieces("It is ", cited)] == ["It ", "is "]


def test_each_text_has_its_own() -> None:
    parts = (Text("one"), Reasoning("hm"), Text("two"))
    cited = [Citation("a", "", 0, 3), Citation("b", "", 2, 5), Citation("c"), Citation("d", "", 9, 12)]
    first, thought, last = by_part(parts, cited)
    assert (first, thought) == ((cited[0],), ())
    assert last == (Citation("b", "", 0, 2), Citation("c"), Citation("d", "", 3, 3))
    assert by_part((Reasoning("hm"),), cited) == [()]
