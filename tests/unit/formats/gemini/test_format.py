"""Gemini's API behind the protocol of all formats."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from meshd.formats.gemini.arriving import counted_body, split, with_model
from meshd.formats.gemini.format import GEMINI
from meshd.formats.gemini.framing import ChunkArray
from meshd.formats.gemini.operations.vectors import as_gemini, as_openai
from meshd.formats.protocol import Address, ProviderSide
from meshd.operations.chat import CHAT
from meshd.operations.embeddings import EMBEDDINGS
from meshd.operations.moderation import MODERATION
from meshd.sdk.provider import FailureKind, ModelListing, ProviderCall, ProviderFailure, ProviderSettings, Usage
from modelmesh import BudgetExceededError, InvalidRequestError, MeshError

ADDRESS = Address("here", "https://here/v1beta/models/m:generateContent")
APP: Any = GEMINI.app
Json = dict[str, Any]


def side(**quirks: Any) -> ProviderSide:
    return GEMINI.provider(ProviderSettings("p", "gemini", quirks=quirks))


def call(body: bytes, *, so_far: str = "", operation: Any = CHAT) -> ProviderCall:
    return ProviderCall(operation, "m", msgspec.json.decode(body, type=dict[str, msgspec.Raw]), so_far=so_far)


def read(document: Any, operation: Any = CHAT) -> Any:
    return side().read(json.dumps(document).encode(), call(b"{}", operation=operation), ADDRESS)


def test_paths_hold_the_model_and_the_method() -> None:
    asked = side()
    assert asked.path(CHAT, "gemini-3.5-flash", stream=False) == "models/gemini-3.5-flash:generateContent"
    assert asked.path(CHAT, "a b", stream=True) == "models/a%20b:streamGenerateContent?alt=sse"
    assert asked.path(CHAT, "tunedModels/x", stream=False) == "tunedModels/x:generateContent"
    assert asked.path(EMBEDDINGS, "e", stream=False) == "models/e:batchEmbedContents"
    assert asked.path(MODERATION, "m", stream=False) is None


def test_the_key_is_in_a_header() -> None:
    assert side().headers("k") == {"x-goog-api-key": "k"}
    assert side().headers("") == {}
    assert side(api_key_header="Authorization").headers("k") == {"Authorization": "Bearer k"}


def test_the_request_keeps_its_bytes_but_for_what_is_in_the_path() -> None:
    body = rb'{"model":"pool","stream":true,"contents":[ {"parts" : [{"text":"\u00e9"}]} ],"x":{"y":12.50}}'
    assert side().write(call(body)) == rb'{"contents":[ {"parts" : [{"text":"\u00e9"}]} ],"x":{"y":12.50}}'
    assert side(drop=["x"]).write(call(body)) == rb'{"contents":[ {"parts" : [{"text":"\u00e9"}]} ]}'


def test_the_rest_of_an_answer_is_asked_for_after_what_was_said() -> None:
    body = json.dumps({"contents": {"parts": [{"text": "Hi"}]}}).encode()
    contents = json.loads(side().write(call(body, so_far="Once")))["contents"]
    assert [each.get("role") for each in contents] == [None, "model", "user"]
    assert contents[1]["parts"] == [{"text": "Once"}]


def candidate(*parts: Json, reason: str = "STOP", **more: Any) -> Json:
    return {"candidates": [{"content": {"parts": list(parts)}, "finishReason": reason}], **more}


def test_answers_are_told_from_what_is_none() -> None:
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 3, "thoughtsTokenCount": 2, "cachedContentTokenCount": 4}
    reading = read(candidate({"text": "Hello"}, usageMetadata=usage))
    assert (reading.usage, reading.size) == (Usage(9, 5, 4, None, (), 2), 5)
    assert read({"promptFeedback": {"blockReason": "SAFETY"}}).size == 0
    assert read(candidate(reason="SAFETY")).size == 0
    for document in ({}, {"candidates": []}, {"candidates": [{"content": {"role": "model"}}]}, {"choices": []}):
        with pytest.raises(ProviderFailure) as failure:
            read(document)
        assert failure.value.kind is FailureKind.BAD_ANSWER
    broken = candidate(reason="MALFORMED_FUNCTION_CALL")
    broken["candidates"][0]["finishMessage"] = "no such function"
    with pytest.raises(ProviderFailure, match="MALFORMED_FUNCTION_CALL: no such function"):
        read(broken)


def test_vectors_are_answers_too() -> None:
    assert read({"embeddings": [{"values": [0.5]}]}, EMBEDDINGS).usage is None
    with pytest.raises(ProviderFailure):
        read({"embeddings": [{}]}, EMBEDDINGS)
    translator = GEMINI.operations["embeddings"]()
    asked = msgspec.json.decode(
        b'{"model":"m","input":"ab","encoding_format":"base64","input_type":"search_query"}',
        type=dict[str, msgspec.Raw],
    )
    [request] = json.loads(bytes(translator.write_request(asked, "m")["requests"]))
    assert request == {"model": "models/m", "content": {"parts": [{"text": "ab"}]}, "taskType": "RETRIEVAL_QUERY"}
    answer = json.loads(translator.read_answer(b'{"embeddings":[{"values":[1,0.5]}]}', asked, "m"))
    assert answer["data"][0]["embedding"] == "AACAPwAAAD8="
    for wrong in (b'{"input":[1,2]}', b'{"input":[]}', b'{"input":""}', b"{}"):
        with pytest.raises(InvalidRequestError):
            translator.write_request(msgspec.json.decode(wrong, type=dict[str, msgspec.Raw]), "m")


def test_an_app_embeds_one_text_or_several() -> None:
    content = {"parts": [{"text": "a"}]}
    one = {"content": content, "taskType": "RETRIEVAL_DOCUMENT", "outputDimensionality": 8}
    assert json.loads(as_openai(json.dumps(one).encode(), "m", batch=False)) == {
        "model": "m", "input": ["a"], "dimensions": 8, "input_type": "search_document",
    }  # fmt: skip
    answer = b'{"data":[{"embedding":[1]}],"usage":{"prompt_tokens":3}}'
    assert json.loads(as_gemini(answer, batch=False))["embedding"] == {"values": [1]}
    assert json.loads(as_gemini(answer, batch=True))["embeddings"] == [{"values": [1]}]
    for wrong in ({"requests": []}, {"requests": [one, {"content": content}]}, {"requests": [{"content": {}}]}):
        with pytest.raises(InvalidRequestError) as refusal:
            as_openai(json.dumps(wrong).encode(), "m", batch=True)
        assert str(refusal.value.param).startswith("requests")


def test_a_list_of_models() -> None:
    listed = {"models": [
        {"name": "models/gemini-3.5-flash", "inputTokenLimit": 1000, "outputTokenLimit": 10, "thinking": True,
         "supportedGenerationMethods": ["generateContent", "countTokens"]},
        {"name": "models/gemini-embedding-001", "supportedGenerationMethods": ["embedContent"]},
        {"name": "models/gemini-2.5-flash-image", "supportedGenerationMethods": ["generateContent"]},
        {"name": "models/aqa", "supportedGenerationMethods": ["generateAnswer"]}, {"name": 5}, 7,
    ]}  # fmt: skip
    found = side().read_models(json.dumps(listed).encode())
    assert found[0] == ModelListing("gemini-3.5-flash", ("chat-completion",), 1000, 10, ("reasoning",))
    assert [(each.id, each.capabilities) for each in found[1:]] == [
        ("gemini-embedding-001", ("text-embeddings",)),
        ("gemini-2.5-flash-image", ("text-to-image",)),
        ("aqa", ()),
    ]


# -- the app's side -----------------------------------------------------------------------------------------


def needs(**fields: Any) -> Any:
    contents = fields.pop("contents", [{"parts": [{"text": "Hello"}]}])
    return APP.read(CHAT, json.dumps({"model": "m", "contents": contents, **fields}).encode()).needs


def test_what_a_request_needs() -> None:
    asked = needs(
        stream=True,
        tools=[{"functionDeclarations": [{"name": "f"}]}],
        generationConfig={"maxOutputTokens": 7, "candidateCount": 2, "responseMimeType": "application/json"},
    )
    assert (asked.stream, asked.tools, asked.max_output, asked.choices, asked.json_mode) == (True, True, 7, 2, True)
    assert not asked.costly
    schema = {"response_mime_type": "application/json", "response_schema": {"type": "OBJECT"}}
    assert needs(generation_config=schema).structured
    picture = {"inlineData": {"mimeType": "image/png", "data": "A" * 400}}
    sound = {"inline_data": {"mime_type": "audio/wav", "data": "A" * 320}}
    shown = {"functionResponse": {"name": "f", "response": {}, "parts": [picture]}}
    asked = needs(contents=[{"parts": [picture, sound]}, {"parts": [shown]}])
    assert (asked.images, asked.attached) == (2, 10)
    assert needs(contents=[{"parts": [{"fileData": {"fileUri": "https://x"}}]}]).attached == 1_000_000


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"tools": [{"googleSearch": {}}]}, ("tools",)),
        ({"cachedContent": "cachedContents/1"}, ("cachedContent",)),
        ({"serviceTier": "priority"}, ("serviceTier",)),
    ],
)
def test_what_may_cost_more_is_known(fields: Json, told: tuple[str, ...]) -> None:
    assert needs(**fields).costly == told
    left = APP.priced(needs(**fields), {name: msgspec.Raw(json.dumps(each).encode()) for name, each in fields.items()})
    assert not left


def test_answers_in_pictures_or_sound_are_priced_otherwise() -> None:
    assert needs(generationConfig={"responseModalities": ["TEXT", "IMAGE"]}).fixed
    assert not needs(generationConfig={"responseModalities": ["text"]}).fixed


@pytest.mark.parametrize("contents", [5, "text", [5], [{"parts": [{"text": "a"}] * 10_001}]])
def test_contents_that_cannot_be_read_are_the_apps_mistake(contents: Any) -> None:
    with pytest.raises(InvalidRequestError, match="contents"):
        needs(contents=contents)


def test_limits_and_parameters_are_inside_a_map() -> None:
    def config(fields: Any) -> Any:
        return json.loads(bytes(fields["generationConfig"]))

    given = {"generationConfig": msgspec.Raw(b'{"topK":4,"max_output_tokens":50}')}
    assert config(APP.with_output_limit(given, 9)) == {"topK": 4, "max_output_tokens": 9}
    assert config(APP.with_output_limit({}, 9)) == {"maxOutputTokens": 9}
    changed = APP.with_parameters(given, {"generationConfig": {"topK": 1, "topP": 0.5}}, {"labels": {"a": "b"}})
    assert config(changed) == {"topK": 4, "topP": 0.5, "max_output_tokens": 50}
    assert bytes(changed["labels"]) == b'{"a":"b"}'
    assert APP.with_parameters(given, {}, {}) is given


def test_thoughts_that_are_refused_are_left_out() -> None:
    parts = [
        {"text": "Hm.", "thought": True, "thoughtSignature": "AA=="},
        {"functionCall": {"name": "f"}, "thoughtSignature": "AA=="},
        {"text": "So.", "thought_signature": "AA=="},
    ]
    contents = [{"role": "model", "parts": parts}, {"role": "model", "parts": parts[:1]}, {"parts": [{"text": "Hi"}]}]
    left = APP.without_reasoning({"contents": msgspec.Raw(json.dumps(contents).encode())})
    mark = "skip_thought_signature_validator"
    assert json.loads(bytes(left["contents"])) == [
        {"role": "model", "parts": [{"functionCall": {"name": "f"}, "thoughtSignature": mark}, {"text": "So."}]},
        {"parts": [{"text": "Hi"}]},
    ]


def test_tokens_are_those_of_the_text() -> None:
    body = {
        "systemInstruction": {"parts": [{"text": "aa"}]},
        "contents": [{"parts": [{"text": "bbb"}, {"inlineData": {"mimeType": "image/png", "data": "A" * 99}}]}],
    }
    fields = {name: msgspec.Raw(json.dumps(each).encode()) for name, each in body.items()}
    assert 5 < APP.count(CHAT, fields, len) < 40
    assert json.loads(APP.counted(7)) == {"totalTokens": 7}


def test_errors_are_googles() -> None:
    def said(error: MeshError) -> Any:
        return json.loads(APP.error(error))["error"]

    wrong = said(InvalidRequestError("`x` is wrong", param="x", code="wrong"))
    assert (wrong["code"], wrong["status"]) == (400, "INVALID_ARGUMENT")
    assert wrong["details"][0]["reason"] == "WRONG"
    assert wrong["details"][1]["fieldViolations"][0]["field"] == "x"
    later = said(BudgetExceededError("no money", retry_after=1.5))
    assert later["details"][-1]["retryDelay"] == "2s"


def test_a_stream_has_no_comments_as_googles_sdk_reads_them_as_json() -> None:
    assert (APP.ping, APP.remark(["x-mesh-cost: 1"]), APP.last) == (b"\r\n", b"", b"")
    assert APP.event(b'{\n"a":1}') == b'data: { "a":1}\r\n\r\n'


def test_an_array_is_json_whatever_is_in_it() -> None:
    empty, whole, failed = ChunkArray(), ChunkArray(), ChunkArray()
    assert empty.last == b"[]"
    assert json.loads(whole.event(b"{}") + whole.ping + whole.event(b'{"a":1}') + whole.last) == [{}, {"a": 1}]
    begun = failed.event(b"{}")
    [error] = failed.stream_error(MeshError("gone"))
    assert json.loads(begun + failed.event(error))[1]["error"]["message"] == "gone"


# -- what arrives -------------------------------------------------------------------------------------------


def test_a_path_is_a_model_and_a_method() -> None:
    assert split("llama3:8b:generateContent") == ("llama3:8b", "generateContent")
    assert split("nothing") == ("", "nothing")


def test_the_paths_model_wins() -> None:
    body = b' {"model":"other","contents":[],"stream":false} \n'
    assert json.loads(with_model(body, 'a"b', stream=True)) == {"model": 'a"b', "contents": [], "stream": True}
    assert json.loads(with_model(b"{ }", "m")) == {"model": "m", "stream": False}
    for wrong in (b"", b"[]", b"5", b'"a"'):
        with pytest.raises(InvalidRequestError):
            with_model(wrong, "m")


def test_a_whole_request_may_be_counted() -> None:
    whole = b'{"generateContentRequest":{"model":"models/x","contents":[1]}}'
    assert json.loads(counted_body(whole, "m")) == {"model": "m", "contents": [1], "stream": False}
    assert json.loads(counted_body(b'{"contents":[2]}', "m"))["contents"] == [2]
    with pytest.raises(InvalidRequestError):
        counted_body(b"[", "m")
