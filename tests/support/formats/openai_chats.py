"""Hypothesis strategies for what OpenAI defines: chat completion requests, answers and streams."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
words = st.text("abcdefgh_", min_size=1, max_size=8)
base64s = st.text("ABCDabcd0123+/", min_size=4, max_size=16)
numbers = st.floats(-2, 2, allow_nan=False) | st.integers(-2, 2)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e300, 1e300) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
schemas = st.just({"type": "object", "properties": {"place": {"type": "string"}}}) | st.dictionaries(words, values)
marks = st.sampled_from([{"mode": "explicit"}, {"mode": "explicit", "ttl": "30m"}])


def objects(required: dict[str, Any], optional: dict[str, Any] | None = None) -> st.SearchStrategy[Json]:
    """Maps with all of the required fields, some of the optional ones, and sometimes unknown ones."""
    known = st.fixed_dictionaries(required, optional=optional or {})
    extra = st.dictionaries(words.map(lambda word: "x_" + word), values, max_size=2)
    return st.builds(lambda fields, more: {**fields, **more}, known, st.just({}) | st.just({}) | extra)


def images() -> st.SearchStrategy[Json]:
    url = st.builds("https://example.com/{}".format, words) | st.builds("data:image/png;base64,{}".format, base64s)
    url |= st.sampled_from(["data:image/png;charset=x;base64,AAAA", "DATA:image/GIF;base64,AAAA", "data:,plain"])
    inner = objects({"url": url}, {"detail": st.sampled_from(["auto", "low", "high"])})
    return objects({"type": st.just("image_url"), "image_url": inner}, {"prompt_cache_breakpoint": marks})


def text_parts() -> st.SearchStrategy[Json]:
    more = {"prompt_cache_breakpoint": marks, "cache_control": st.just({"type": "ephemeral", "ttl": "1h"})}
    return objects({"type": st.just("text"), "text": texts}, more)


def parts() -> st.SearchStrategy[Json]:
    audio = objects({"data": base64s, "format": st.sampled_from(["wav", "mp3"])})
    file = objects({"file_data": base64s}, {"filename": words}) | objects({"file_id": words})
    return st.one_of(
        text_parts(),
        images(),
        objects({"type": st.just("input_audio"), "input_audio": audio}),
        objects({"type": st.just("file"), "file": file}),
        objects({"type": words.map(lambda word: "x_" + word)}, {"data": values}),
    )


def calls() -> st.SearchStrategy[Json]:
    function = objects({"name": words, "arguments": texts | st.just('{"place": "Rome"}')})
    custom = objects({"name": words, "input": texts})
    return st.one_of(
        objects({"id": words, "type": st.just("function"), "function": function}),
        objects({"id": words, "type": st.just("custom"), "custom": custom}),
    )


def messages() -> st.SearchStrategy[Json]:
    name = {"name": words}
    plain = texts | st.lists(text_parts(), max_size=2)
    refusals = objects({"type": st.just("refusal"), "refusal": texts})
    said = st.none() | texts | st.lists(text_parts() | refusals, max_size=3)
    assistant = {
        **name,
        "content": said,
        "refusal": st.none() | texts,
        "audio": st.none() | objects({"id": words}),
        "tool_calls": st.lists(calls(), max_size=3),
        "function_call": st.none() | objects({"name": words, "arguments": texts}),
        "reasoning_content": st.none() | texts,
    }
    return st.one_of(
        objects({"role": st.sampled_from(["system", "developer"]), "content": plain}, name),
        objects({"role": st.just("user"), "content": texts | st.lists(parts(), max_size=3)}, name),
        objects({"role": st.just("assistant")}, assistant),
        objects({"role": st.just("tool"), "tool_call_id": words, "content": plain}),
        objects({"role": st.just("function"), "name": words, "content": st.none() | texts}),
    )


def tools() -> st.SearchStrategy[Json]:
    optional = {"description": texts, "parameters": schemas, "strict": st.none() | st.booleans()}
    function = objects({"name": words}, optional)
    grammar = st.sampled_from(
        [{"type": "text"}, {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}]
    )
    custom = objects({"name": words}, {"description": texts, "format": grammar})
    return st.one_of(
        objects({"type": st.just("function"), "function": function}),
        objects({"type": st.just("custom"), "custom": custom}),
        objects({"type": st.just("web_search")}),
    )


def tool_choices() -> st.SearchStrategy[Any]:
    named = st.builds(lambda name: {"type": "function", "function": {"name": name}}, words)
    custom = st.builds(lambda name: {"type": "custom", "custom": {"name": name}}, words)
    allowed = objects(
        {"mode": st.sampled_from(["auto", "required"]), "tools": st.lists(named | custom, min_size=1, max_size=3)}
    )
    several = objects({"type": st.just("allowed_tools"), "allowed_tools": allowed})
    return st.sampled_from(["auto", "none", "required"]) | named | custom | several


def response_formats() -> st.SearchStrategy[Json]:
    schema = objects({"name": words}, {"description": texts, "schema": schemas, "strict": st.none() | st.booleans()})
    return st.one_of(
        objects({"type": st.sampled_from(["text", "json_object"])}),
        objects({"type": st.just("json_schema"), "json_schema": schema}),
    )


def requests() -> st.SearchStrategy[Json]:
    counts = st.none() | st.integers(-1, 2**53)
    optional = {
        "tools": st.lists(tools(), max_size=2),
        "functions": st.lists(objects({"name": words}, {"description": texts, "parameters": schemas}), max_size=2),
        "tool_choice": tool_choices(),
        "function_call": st.sampled_from(["auto", "none"]) | st.builds(lambda name: {"name": name}, words),
        "max_tokens": counts,
        "max_completion_tokens": counts,
        "temperature": st.none() | numbers,
        "top_p": st.none() | numbers,
        "top_k": counts,
        "stop": st.none() | texts | st.lists(texts, max_size=4),
        "seed": counts,
        "frequency_penalty": st.none() | numbers,
        "presence_penalty": st.none() | numbers,
        "n": st.none() | st.integers(1, 8),
        "logprobs": st.none() | st.booleans(),
        "top_logprobs": st.none() | st.integers(0, 20),
        "reasoning_effort": st.none() | st.sampled_from(["none", "low", "xhigh"]),
        "verbosity": st.none() | st.sampled_from(["low", "high"]),
        "response_format": response_formats(),
        "parallel_tool_calls": st.booleans(),
        "user": texts,
        "stream": st.none() | st.booleans(),
        "stream_options": st.none()
        | objects({}, {"include_usage": st.booleans(), "include_obfuscation": st.booleans()}),
        "logit_bias": st.dictionaries(words, st.integers(-100, 100), max_size=2),
        "metadata": st.dictionaries(words, texts, max_size=2),
        "modalities": st.just(["text", "audio"]),
        "audio": st.just({"voice": "alloy", "format": "wav"}),
        "prediction": st.just({"type": "content", "content": "text"}),
        "service_tier": st.just("flex"),
        "store": st.booleans(),
    }
    return objects({"model": words, "messages": st.lists(messages(), max_size=4)}, optional)


def logprobs() -> st.SearchStrategy[Json]:
    spelled = st.none() | st.lists(st.integers(0, 255), max_size=3)
    likely = st.fixed_dictionaries({"token": texts, "logprob": st.floats(-99, 0), "bytes": spelled})
    token = st.builds(lambda one, top: {**one, "top_logprobs": top}, likely, st.lists(likely, max_size=2))
    return st.fixed_dictionaries({"content": st.lists(token, max_size=2), "refusal": st.none()})


def usages() -> st.SearchStrategy[Json]:
    def made(prompt: int, output: int, cached: int, details: bool) -> Json:
        usage: Json = {
            "prompt_tokens": prompt + cached,
            "completion_tokens": output,
            "total_tokens": prompt + cached + output,
        }
        if details:
            usage["prompt_tokens_details"] = {"cached_tokens": cached, "audio_tokens": 0}
            usage["completion_tokens_details"] = {"reasoning_tokens": 0}
        return usage

    counts = st.integers(0, 10**6)
    return st.builds(made, counts, counts, st.integers(0, 10**4), st.booleans())


finishes = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "function_call"])


def answers() -> st.SearchStrategy[Json]:
    audio = objects({"id": words, "data": base64s, "expires_at": st.integers(0, 2**40), "transcript": texts})
    said = {
        "refusal": st.none() | texts,
        "annotations": st.just([]),
        "audio": st.none() | audio,
        "function_call": objects({"name": words, "arguments": texts}),
        "tool_calls": st.lists(calls(), max_size=2),
        "reasoning_content": texts,
        "reasoning_details": st.lists(
            objects({"type": st.just("reasoning.text"), "text": texts}, {"signature": words, "id": words}), max_size=2
        ),
    }
    message = objects({"role": st.just("assistant"), "content": st.none() | texts}, said)
    choice = objects({"message": message, "finish_reason": finishes}, {"logprobs": st.none() | logprobs()})
    choices = st.lists(choice, min_size=1, max_size=2).map(
        lambda made: [{"index": index, **choice} for index, choice in enumerate(made)]
    )
    return objects(
        {
            "id": words,
            "object": st.just("chat.completion"),
            "created": st.integers(0, 2**40),
            "model": words,
            "choices": choices,
        },
        {"usage": st.none() | usages(), "system_fingerprint": words, "service_tier": st.just("default")},
    )


@st.composite
def streams(draw: st.DrawFn) -> list[Json]:
    """The chunks of one answer: of each choice text, reasoning and calls, in the order in which models say them."""
    head = {
        "id": draw(words),
        "object": "chat.completion.chunk",
        "created": draw(st.integers(0, 2**40)),
        "model": draw(words),
    }
    if draw(st.booleans()):
        head["system_fingerprint"] = draw(words)
    chunks: list[Json] = []
    for index in range(draw(st.integers(1, 2))):
        chunks += [{**head, "choices": [choice]} for choice in draw(_choices(index))]
    if draw(st.booleans()):
        chunks.append({**head, "choices": [], "usage": draw(usages())})
    return chunks


@st.composite
def _choices(draw: st.DrawFn, index: int) -> list[Json]:
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": text} for text in draw(st.lists(texts, max_size=2))]
    deltas += [{"content": text} for text in draw(st.lists(texts, max_size=4))]
    deltas += [{"refusal": text} for text in draw(st.lists(texts, max_size=1))]
    count = draw(st.integers(0, 2))
    for call in range(count):
        name = {"name": draw(words), "arguments": ""}
        deltas.append({"tool_calls": [{"index": call, "id": f"call_{call}", "type": "function", "function": name}]})
        for text in draw(st.lists(texts, max_size=3)):
            deltas.append({"tool_calls": [{"index": call, "function": {"arguments": text}}]})
    made = [{"index": index, "delta": delta, "finish_reason": None} for delta in deltas]
    if draw(st.booleans()):
        made = [{**choice, "logprobs": draw(logprobs()) if "content" in choice["delta"] else None} for choice in made]
    return [*made, {"index": index, "delta": {}, "finish_reason": draw(finishes)}]
