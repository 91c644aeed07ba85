"""Hypothesis strategies for what the Gemini API defines: requests, answers and streams of `generateContent`.

In the shapes of https://ai.google.dev/api/generate-content and https://ai.google.dev/api/caching (Content, Part, Tool,
Schema), read on 28 November 2026, with words and values of our own.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.support.formats.openai_chats import Json, base64s, objects, schemas, texts, values, words

_signed = {"thoughtSignature": base64s, "thought_signature": base64s}
_args = st.dictionaries(words, values, max_size=2)


def _texts() -> st.SearchStrategy[Json]:
    return objects({"text": texts}, {**_signed, "partMetadata": _args})


def _thoughts() -> st.SearchStrategy[Json]:
    return objects({"text": texts, "thought": st.just(True)}, {"thoughtSignature": base64s})


def _media() -> st.SearchStrategy[Json]:
    kinds = st.sampled_from(["image/png", "audio/wav", "application/pdf", "video/mp4"])
    inline = objects({"mimeType": kinds, "data": base64s}, {"displayName": words})
    snake = objects({"mime_type": kinds, "data": base64s})
    file = objects({"fileUri": words.map("https://example.com/{}".format)}, {"mimeType": kinds})
    more = {"videoMetadata": st.just({"fps": 2}), "mediaResolution": st.just({"level": "MEDIA_RESOLUTION_LOW"})}
    return st.one_of(
        objects({"inlineData": inline}, more), objects({"inline_data": snake}), objects({"fileData": file}, more)
    )


def _calls() -> st.SearchStrategy[Json]:
    return objects({"functionCall": objects({"name": words}, {"id": words, "args": _args})}, _signed)


def _results() -> st.SearchStrategy[Json]:
    said = st.builds(lambda text: {"output": text}, texts) | st.builds(lambda text: {"error": text}, texts) | _args
    more = {"id": words, "parts": st.lists(_media(), max_size=2), "scheduling": st.just("SILENT")}
    return objects({"functionResponse": objects({"name": words, "response": said}, more)})


def _own() -> st.SearchStrategy[Json]:
    code = st.just({"executableCode": {"language": "PYTHON", "code": "print(1)"}})
    return code | st.just({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}})


def _content(role: Any, parts: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return objects({"role": st.just(role), "parts": st.lists(parts, min_size=1, max_size=3)})


def contents() -> st.SearchStrategy[list[Json]]:
    users = _content("user", _texts() | _media())
    models = _content("model", _texts() | _thoughts() | _calls() | _own())
    results = _content("user", _results())
    return st.lists(users | models | results, max_size=4).map(lambda turns: [*turns, {"parts": [{"text": "Hello"}]}])


def _tools() -> st.SearchStrategy[list[Json]]:
    kinds = st.sampled_from(["STRING", "integer", "NUMBER"])
    own = st.builds(lambda kind: {"type": "OBJECT", "properties": {"a": {"type": kind}}}, kinds)
    declared = objects({"name": words}, {"description": texts, "parametersJsonSchema": schemas}) | objects(
        {"name": words, "parameters": own}, {"response": own}
    )
    functions = objects({"functionDeclarations": st.lists(declared, min_size=1, max_size=2)})
    return st.lists(functions, max_size=1) | st.just([{"googleSearch": {}}])


def _configs() -> st.SearchStrategy[Json]:
    wanted = st.just({"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}})
    own = st.just({"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "nullable": True}})
    thinking = objects({}, {"includeThoughts": st.booleans(), "thinkingBudget": st.integers(-1, 9)})
    plain = objects(
        {},
        {
            "maxOutputTokens": st.integers(1, 9999), "temperature": st.sampled_from([0, 0.5, 1]), "topP": st.just(0.9),
            "topK": st.sampled_from([40, 40.0]), "stopSequences": st.lists(words, max_size=2), "seed": st.just(7),
            "candidateCount": st.integers(1, 2), "responseLogprobs": st.booleans(), "logprobs": st.just(3),
            "thinkingConfig": thinking | st.just({"thinkingLevel": "HIGH"}), "mediaResolution": st.just("LOW"),
            "max_output_tokens": st.just(5),
        },
    )  # fmt: skip
    return st.builds(lambda first, second: {**first, **second}, plain, wanted | own | st.just({}))


def requests() -> st.SearchStrategy[Json]:
    calling = objects(
        {"mode": st.sampled_from(["AUTO", "ANY", "NONE", "VALIDATED"])},
        {"allowedFunctionNames": st.lists(words, min_size=1, max_size=2)},
    )
    more = {
        "systemInstruction": _content("user", _texts()) | _content("system", _texts()),
        "tools": _tools(),
        "toolConfig": objects({"functionCallingConfig": calling}, {"retrievalConfig": st.just({"languageCode": "de"})}),
        "generationConfig": _configs(),
        "safetySettings": st.just([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]),
        "cachedContent": st.just("cachedContents/1"),
        "stream": st.just(True),
    }
    return objects({"model": words, "contents": contents()}, more)


_counts = st.integers(0, 9999)
usages = objects(
    {"promptTokenCount": _counts, "candidatesTokenCount": _counts, "totalTokenCount": _counts},
    {"thoughtsTokenCount": _counts, "cachedContentTokenCount": st.just(0), "trafficType": st.just("ON_DEMAND")},
)


def candidates() -> st.SearchStrategy[Json]:
    reasons = st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "RECITATION"])
    more = {
        "index": st.just(0),
        "safetyRatings": st.just([{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}]),
        "citationMetadata": st.just({"citationSources": [{"startIndex": 0, "uri": "https://example.com"}]}),
        "groundingMetadata": st.just({"webSearchQueries": ["a", "b"]}),
        "avgLogprobs": st.just(-0.25),
    }
    said = st.lists(_texts() | _thoughts() | _calls() | _own(), max_size=4)
    content = st.builds(lambda parts: {"parts": parts, "role": "model"}, said) | st.just({"role": "model"})
    return objects({"content": content, "finishReason": reasons}, more)


def answers() -> st.SearchStrategy[Json]:
    more = {"createTime": st.just("2026-11-28T10:11:12.345678Z"), "usageMetadata": usages}
    some = st.lists(candidates(), min_size=1, max_size=1)
    return objects({"candidates": some, "modelVersion": words, "responseId": words}, more)
