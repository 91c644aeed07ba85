"""Hypothesis strategies for what OpenAI defines: requests, responses and streams of the Responses API."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.support.formats.openai_chats import base64s, logprobs, marks, numbers, objects, schemas, texts, words

Json = dict[str, Any]

_ids = words.map(lambda word: f"id_{word}")
_statuses = st.sampled_from(["completed", "incomplete"])


def images() -> st.SearchStrategy[Json]:
    url = st.builds("https://example.com/{}".format, words) | st.builds("data:image/png;base64,{}".format, base64s)
    named = {"image_url": url, "detail": st.sampled_from(["auto", "low", "high"])}
    kept = {"file_id": words}
    kind = {"type": st.just("input_image")}
    return objects({**kind, **named}, {"prompt_cache_breakpoint": marks}) | objects({**kind, **kept})


def texts_in() -> st.SearchStrategy[Json]:
    return objects({"type": st.just("input_text"), "text": texts}, {"prompt_cache_breakpoint": marks})


def parts() -> st.SearchStrategy[Json]:
    kind = {"type": st.just("input_file")}
    data = objects({**kind, "file_data": base64s, "filename": words})
    elsewhere = objects({**kind, "file_url": st.builds("https://example.com/{}".format, words)})
    kept = objects({**kind, "file_id": words})
    audio = objects({"data": base64s, "format": st.sampled_from(["wav", "mp3"])})
    sound = objects({"type": st.just("input_audio"), "input_audio": audio})
    unknown = objects({"type": words.map(lambda word: "x_" + word)}, {"data": texts})
    return st.one_of(texts_in(), images(), data, elsewhere, kept, sound, unknown)


def said() -> st.SearchStrategy[Json]:
    """A part of an answer's message."""
    cited = {"type": "url_citation", "url": "https://example.com", "title": "t", "start_index": 0, "end_index": 1}
    annotations = st.just([]) | st.just([cited])
    likely = logprobs().map(lambda made: [_with_bytes(each) for each in made["content"]])
    text = {"type": st.just("output_text"), "text": texts, "annotations": annotations}
    refusal = {"type": st.just("refusal"), "refusal": texts}
    return objects(text, {"logprobs": likely}) | objects(refusal)


def _with_bytes(entry: Json) -> Json:
    top = [{**each, "bytes": each["bytes"] or []} for each in entry["top_logprobs"]]
    return {**entry, "bytes": entry["bytes"] or [], "top_logprobs": top}


def messages_said() -> st.SearchStrategy[Json]:
    content = st.lists(said(), min_size=1, max_size=3)
    message = {"id": _ids, "type": st.just("message"), "role": st.just("assistant"), "status": _statuses}
    return objects({**message, "content": content}, {"phase": st.just("final_answer")})


def reasoning() -> st.SearchStrategy[Json]:
    summary = st.lists(objects({"type": st.just("summary_text"), "text": texts}), max_size=2)
    content = st.lists(objects({"type": st.just("reasoning_text"), "text": texts}), max_size=2)
    item = {"id": _ids, "type": st.just("reasoning"), "summary": summary}
    return objects(item, {"encrypted_content": st.none() | words, "content": content, "status": _statuses})


def calls() -> st.SearchStrategy[Json]:
    function = {"id": _ids, "type": st.just("function_call"), "call_id": words, "name": words}
    arguments = texts | st.just('{"place": "Rome"}')
    optional = {"namespace": words, "status": _statuses}
    custom = {"id": _ids, "type": st.just("custom_tool_call"), "call_id": words, "name": words, "input": texts}
    return objects({**function, "arguments": arguments}, optional) | objects(custom, {"namespace": words})


def hosted() -> st.SearchStrategy[Json]:
    search = {"id": _ids, "type": st.just("web_search_call"), "status": st.just("completed")}
    action = st.just({"type": "search", "query": "x", "queries": ["x"]})
    generated = {"id": _ids, "type": st.just("image_generation_call"), "status": st.just("completed")}
    return objects({**search, "action": action}) | objects({**generated, "result": base64s})


def items() -> st.SearchStrategy[Json]:
    content = texts | st.lists(parts(), max_size=3)
    roles = st.sampled_from(["user", "system", "developer"])
    output = {"call_id": words, "output": texts | st.lists(texts_in() | images(), max_size=2)}
    kinds = st.sampled_from(["function_call_output", "custom_tool_call_output"])
    shell = {"type": "local_shell_call_output", "id": "l1", "output": "{}"}
    return st.one_of(
        objects({"role": roles, "content": content}, {"type": st.just("message")}),
        objects({"role": st.just("assistant"), "content": texts}, {"phase": st.just("commentary")}),
        messages_said(),
        reasoning(),
        calls(),
        objects({"type": kinds, **output}),
        hosted(),
        st.just({"type": "item_reference", "id": "msg_1"}),
        st.just(shell),
    )


def tools() -> st.SearchStrategy[Json]:
    function = {"type": st.just("function"), "name": words, "parameters": st.none() | schemas}
    functions = objects({**function, "strict": st.none() | st.booleans()}, {"description": texts})
    grammar = st.sampled_from([{"type": "text"}, {"type": "grammar", "syntax": "lark", "definition": 'start: "a"'}])
    custom = objects({"type": st.just("custom"), "name": words}, {"description": texts, "format": grammar})
    group = {"type": st.just("namespace"), "name": words, "description": texts}
    groups = st.fixed_dictionaries({**group, "tools": st.lists(functions | custom, min_size=1, max_size=2)})
    others = st.sampled_from([{"type": "web_search"}, {"type": "local_shell"}, {"type": "image_generation"}])
    return st.one_of(functions, custom, groups, others)


def tool_choices() -> st.SearchStrategy[Any]:
    named = st.builds(lambda kind, name: {"type": kind, "name": name}, st.sampled_from(["function", "custom"]), words)
    several = st.builds(
        lambda mode, tools: {"type": "allowed_tools", "mode": mode, "tools": tools},
        st.sampled_from(["auto", "required"]),
        st.lists(named, min_size=1, max_size=3),
    )
    return st.sampled_from(["auto", "none", "required"]) | named | several | st.just({"type": "web_search"})


def formats() -> st.SearchStrategy[Json]:
    schema = {"type": st.just("json_schema"), "name": words, "schema": schemas}
    plain = objects({"type": st.sampled_from(["text", "json_object"])})
    return plain | objects(schema, {"description": texts, "strict": st.none() | st.booleans()})


def requests() -> st.SearchStrategy[Json]:
    counts = st.none() | st.integers(1, 10**8)
    optional = {
        "instructions": st.none() | texts,
        "tools": st.lists(tools(), max_size=3, unique_by=lambda tool: tool.get("name", tool["type"])),
        "tool_choice": tool_choices(),
        "max_output_tokens": counts,
        "temperature": st.none() | numbers,
        "top_p": st.none() | numbers,
        "top_logprobs": st.none() | st.integers(0, 20),
        "include": st.lists(
            st.sampled_from(["message.output_text.logprobs", "reasoning.encrypted_content"]), max_size=2, unique=True
        ),
        "reasoning": st.none()
        | objects({}, {"effort": st.sampled_from(["none", "low", "xhigh"]), "summary": st.sampled_from(["auto"])}),
        "text": objects({}, {"format": formats(), "verbosity": st.sampled_from(["low", "high"])}),
        "parallel_tool_calls": st.none() | st.booleans(),
        "user": texts,
        "stream": st.none() | st.booleans(),
        "store": st.booleans(),
        "previous_response_id": st.none() | words,
        "prompt_cache_key": words,
        "truncation": st.sampled_from(["auto", "disabled"]),
        "metadata": st.dictionaries(words, texts, max_size=2),
        "service_tier": st.just("flex"),
        "max_tool_calls": st.integers(1, 9),
        "client_metadata": st.dictionaries(words, texts, max_size=2),
    }
    return objects({"model": words, "input": texts | st.lists(items(), max_size=5)}, optional)


def usages() -> st.SearchStrategy[Json]:
    def made(prompt: int, output: int, cached: int, thought: int) -> Json:
        return {
            "input_tokens": prompt + cached,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens": output + thought,
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": prompt + cached + output + thought,
        }

    counts = st.integers(0, 10**6)
    return st.builds(made, counts, counts, st.integers(0, 10**4), st.integers(0, 10**4))


def responses() -> st.SearchStrategy[Json]:
    ended = st.sampled_from(
        [
            {"status": "completed", "incomplete_details": None},
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
        ]
    )
    output = st.lists(messages_said() | reasoning() | calls() | hosted(), min_size=1, max_size=4)
    head = objects(
        {
            "id": words.map(lambda word: f"resp_{word}"),
            "object": st.just("response"),
            "created_at": st.integers(0, 2**40),
            "model": words,
            "output": output.map(_with_ids),
            "usage": st.none() | usages(),
            "error": st.none(),
        },
        {"metadata": st.just({}), "service_tier": st.just("default")},
    )
    return st.builds(lambda made, end: {**made, **end}, head, ended)


def _with_ids(output: list[Json]) -> list[Json]:
    """Each its own, as they come from one server."""
    made = [{**item, "id": f"{item['id']}_{n}"} for n, item in enumerate(output)]
    return [{**item, "call_id": f"call_{n}"} if "call_id" in item else item for n, item in enumerate(made)]


def streamed(response: Json, size: int = 3) -> list[Json]:
    """The events of a response as OpenAI sends them: the texts in pieces of that size."""
    begun = {**response, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    events: list[Json] = [{"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")]
    for index, item in enumerate(response["output"]):
        events += _of_item(item, {"item_id": item["id"], "output_index": index}, size)
    events.append({"type": f"response.{response['status']}", "response": response})
    return [{**event, "sequence_number": n} for n, event in enumerate(events)]


def _of_item(item: Json, place: Json, size: int) -> list[Json]:
    index = place["output_index"]
    begun = {name: value for name, value in item.items() if name not in ("encrypted_content", "result")}
    inner: list[Json] = []
    match item["type"]:
        case "message":
            begun |= {"content": [], "status": "in_progress"}
            for n, part in enumerate(item["content"]):
                inner += _of_part(part, {**place, "content_index": n}, size)
        case "reasoning":
            begun |= {"summary": []} | ({"content": []} if "content" in begun else {})
            kinds = [("reasoning_text", "content_index", each) for each in enumerate(item.get("content") or ())]
            kinds += [("reasoning_summary_text", "summary_index", each) for each in enumerate(item["summary"])]
            for kind, name, (n, part) in kinds:
                here = {**place, name: n}
                if kind == "reasoning_summary_text":
                    empty = {"type": "summary_text", "text": ""}
                    inner.append({"type": "response.reasoning_summary_part.added", **here, "part": empty})
                inner += _pieces(kind, part["text"], here, "text", size)
        case "function_call":
            begun["arguments"] = ""
            inner += _pieces("function_call_arguments", item["arguments"], place, "arguments", size)
        case "custom_tool_call":
            begun["input"] = ""
            inner += _pieces("custom_tool_call_input", item["input"], place, "input", size)
        case "web_search_call":
            inner.append({"type": "response.web_search_call.searching", **place})
    added = {"type": "response.output_item.added", "output_index": index, "item": begun}
    return [added, *inner, {"type": "response.output_item.done", "output_index": index, "item": item}]


def _of_part(part: Json, place: Json, size: int) -> list[Json]:
    name = "refusal" if part["type"] == "refusal" else "text"
    kind = "refusal" if name == "refusal" else "output_text"
    added = {"type": "response.content_part.added", **place, "part": {**part, name: ""}}
    pieces = _pieces(kind, part[name], place, name, size)
    if kind == "output_text":
        likely = part.get("logprobs") or []
        pieces = [{**event, "logprobs": []} for event in pieces]
        if likely and len(pieces) == 1:  # its deltas would be empty
            likely_delta = {"type": "response.output_text.delta", **place, "delta": "", "logprobs": likely}
            pieces.insert(0, likely_delta)
        elif likely:
            pieces[0]["logprobs"] = likely
    return [added, *pieces, {"type": "response.content_part.done", **place, "part": part}]


def _pieces(kind: str, text: str, place: Json, name: str, size: int) -> list[Json]:
    cut = [text[at : at + size] for at in range(0, len(text), size)]
    deltas = [{"type": f"response.{kind}.delta", **place, "delta": piece} for piece in cut]
    return [*deltas, {"type": f"response.{kind}.done", **place, name: text}]
