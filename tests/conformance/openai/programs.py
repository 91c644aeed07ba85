"""Programs as people write them for the OpenAI SDK, each a function of a client: what it gives is compared.

Forms are those of public code (parsing, raw responses, headers, dumps, copies, streams left early, absent parts).
"""

from __future__ import annotations

import collections
import copy
import enum
import json
import pickle
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pydantic
import pydantic_core

MODEL = "chat"
SAID = [{"role": "user", "content": "Say hello"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
PROGRAMS: dict[str, Callable[[Any], Any]] = {}


class Age(enum.Enum):
    THIRTY_SIX = 36


class Person(pydantic.BaseModel):
    name: str
    age: int


class Named(pydantic.BaseModel):
    """With what a dump shows in more than one way."""

    name: str = pydantic.Field(alias="name", serialization_alias="fullName")
    age: Age
    note: str | None = None


@pydantic.dataclasses.dataclass
class Pair:
    name: str
    age: int


class Turn(pydantic.BaseModel):
    role: str
    content: str
    name: str | None = None


class Record(pydantic.BaseModel):
    answer: Any


def program(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    PROGRAMS[function.__name__.replace("_", " ")] = function
    return function


def ask(client: Any, **options: Any) -> Any:
    return client.chat.completions.create(**{"model": MODEL, "messages": SAID, **options})


# -- answers ----------------------------------------------------------------------------------------------


@program
def the_text_and_the_usage(client):
    answer = ask(client, temperature=0.2, max_tokens=50, user="me")
    usage = answer.usage
    return (answer.id, answer.created, answer.model, answer.choices[0].message.content, usage.total_tokens,
            usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens_details.audio_tokens,
            usage.completion_tokens_details.reasoning_tokens,
            usage.completion_tokens_details.accepted_prediction_tokens)  # fmt: skip


@program
def getattr_with_a_default(client):
    usage = ask(client).usage
    details = getattr(usage, "prompt_tokens_details", None)
    return (getattr(details, "cached_tokens", 0) or 0, getattr(usage, "cost", None),
            getattr(ask(client).choices[0].message, "reasoning", "none"), hasattr(usage, "cost"))  # fmt: skip


@program
def reasoning_beside_the_text(client):
    message = ask(client).choices[0].message
    return (message.reasoning_content, message.model_extra["reasoning_content"], sorted(message.model_extra),
            message.reasoning_details[0]["text"], message.images[0]["image_url"]["url"],
            (message.model_extra or {}).get("reasoning"))  # fmt: skip


@program
def extras_are_plain(client):
    answer = ask(client)
    extra = answer.model_extra or {}
    return (json.dumps(extra), isinstance(extra["provider_note"], dict), answer.provider_note["region"][0],
            answer.usage.model_extra, answer.choices[0].model_extra)  # fmt: skip


@program
def citations_and_logprobs(client):
    choice = ask(client, logprobs=True, top_logprobs=1).choices[0]
    token = choice.logprobs.content[0]
    return (choice.message.annotations[0].url_citation.title, token.token, token.logprob, token.top_logprobs[0].token,
            token.top_logprobs[0].bytes, choice.logprobs.refusal)  # fmt: skip


@program
def several_choices(client):
    return [(choice.index, choice.finish_reason, choice.message.role) for choice in ask(client, n=3).choices]


@program
def dumped_whole(client):
    return ask(client).model_dump()


@program
def dumped_without_what_is_unset(client):
    answer = ask(client)
    return (answer.model_dump(exclude_unset=True), answer.model_dump(exclude_none=True), answer.to_dict(),
            answer.model_dump(exclude_defaults=True), answer.to_dict(exclude_unset=False), answer.to_dict(mode="json"),
            answer.to_dict(exclude_none=True, use_api_names=False, warnings=False))  # fmt: skip


@program
def dumped_by_the_older_names(client):
    answer = ask(client)
    return answer.dict(), json.loads(answer.json()), answer.dict(exclude={"choices", "usage"})


@program
def written_as_json(client):
    answer = ask(client)
    texts = (
        *(answer.model_dump_json(), answer.model_dump_json(indent=2), answer.to_json(), answer.to_json(indent=None)),
        *(answer.model_dump_json(exclude_unset=True, by_alias=True), answer.model_dump_json(exclude_none=True)),
    )
    return [(json.loads(text), "\n" in text, "Größe 🎈" in text) for text in texts]


@program
def dumped_as_a_calls_history(client):
    message = ask(client, tools=[TOOL]).choices[0].message
    call = message.tool_calls[0]
    history = [*SAID, message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    told = [*SAID, message.model_dump(exclude_unset=True), {"role": "tool", "tool_call_id": call.id, "content": "x"}]
    return (ask(client, messages=history).choices[0].message.content,
            ask(client, messages=told).choices[0].message.content, message.to_dict(), call.model_dump(),
            call.function.model_dump(), dict(message)["content"], sorted(dict(call)))  # fmt: skip


@program
def fields_that_were_set(client):
    answer = ask(client)
    return (sorted(answer.model_fields_set), sorted(answer.usage.model_fields_set),
            sorted(answer.choices[0].message.model_fields_set))  # fmt: skip


@program
def copied_with_changes(client):
    answer = ask(client)
    message = answer.choices[0].message
    changed = message.model_copy(update={"content": "changed"})
    shallow, deep = answer.model_copy(), answer.model_copy(deep=True)
    deep.choices[0].message.content = "deep"
    older = message.copy(update={"content": "older"}) if hasattr(message, "copy") else None
    return (changed.content, message.content, shallow.choices[0] is answer.choices[0], shallow == answer,
            answer.choices[0].message.content, deep == answer, older.content, changed.to_dict(),
            type(changed).__name__)  # fmt: skip


@program
def copied_and_pickled(client):
    answer = ask(client)
    copies = (copy.copy(answer), copy.deepcopy(answer), pickle.loads(pickle.dumps(answer)))
    return [(each == answer, each.choices[0].message.content, each.to_dict() == answer.to_dict()) for each in copies]


@program
def changed_in_place(client):
    answer = ask(client)
    answer.choices[0].message.content += "!"
    answer.note = "mine"
    del answer.choices[0].message.images
    return answer.to_dict(), answer.note, hasattr(answer.choices[0].message, "images")


@program
def read_back(client):
    answer = ask(client)
    kind = type(answer)
    again = kind.model_validate(answer.model_dump())
    made = kind.model_construct(**answer.model_dump(exclude_unset=True))
    older = kind.construct(id="x", choices=[])
    return (again.choices[0].message.content, kind.model_validate_json(answer.model_dump_json()).usage.total_tokens,
            made.choices[0].message.content, older.id, older.choices, older.usage, made == answer)  # fmt: skip


@program
def taken_for_an_sdk_object(client):
    taken = openai.types.chat.ChatCompletion.model_validate(ask(client).model_dump())
    return taken.choices[0].message.content, taken.usage.total_tokens, taken.model_extra


@program
def shown(client):
    answer = ask(client)
    return (repr(answer).startswith("ChatCompletion("), "content='Hello" in str(answer), f"{answer}" == str(answer),
            repr(answer.usage).startswith("CompletionUsage("))  # fmt: skip


@program
def compared(client):
    one, other = ask(client), ask(client)
    return one.usage == other.usage, one.choices == other.choices, one == 1, one != other.usage


@program
def what_is_no_field(client):
    return ask(client).nonsense


@program
def fields_in_a_loop(client):
    usage = ask(client).usage
    return sorted(name for name, _ in usage), dict(usage)["total_tokens"]


@program
def as_a_map_of_the_instance(client):
    answer = ask(client)
    message = answer.choices[0].message
    back = ask(client, messages=[*SAID, message.__dict__])
    return (answer.__dict__["id"], vars(message)["content"], message.__dict__["tool_calls"],
            back.choices[0].message.content, json.loads(json.dumps(answer, default=vars))["model"],
            [name for name in ("id", "choices", "usage", "model_dump") if name in dir(answer)])  # fmt: skip


@program
def part_of_a_pydantic_model(client):
    record = Record(answer=ask(client))
    return (record.model_dump(), json.loads(record.model_dump_json()), pydantic_core.to_jsonable_python(record.answer),
            json.loads(pydantic_core.to_json([record.answer.usage])),
            pydantic.TypeAdapter(Any).dump_python(record.answer.choices))  # fmt: skip


# -- classes and tools ------------------------------------------------------------------------------------


@program
def parsed_by_beta(client):
    completion = client.beta.chat.completions.parse(model=MODEL, messages=SAID, response_format=Person)
    message = completion.choices[0].message
    return message.parsed.model_dump() if not message.refusal else message.refusal


@program
def parsed(client):
    completion = client.chat.completions.parse(model=MODEL, messages=SAID, response_format=Person, temperature=0)
    return completion.choices[0].message.parsed, completion.usage.total_tokens


@program
def dumped_with_what_was_read(client):
    completion = client.chat.completions.parse(model=MODEL, messages=SAID, response_format=Named)
    pair = client.chat.completions.parse(model=MODEL, messages=SAID, response_format=Pair)

    def read(dump: Any) -> Any:
        return (json.loads(dump) if isinstance(dump, str) else dump)["choices"][0]["message"]["parsed"]

    return (read(completion.model_dump()), read(completion.model_dump(mode="json")), read(completion.to_json()),
            read(completion.to_dict()), read(completion.to_dict(use_api_names=False)),
            read(completion.model_dump(exclude_none=True)), read(completion.model_dump_json(by_alias=True)),
            pair.choices[0].message.parsed.name, read(pair.model_dump()), read(pair.model_dump_json()))  # fmt: skip


@program
def told_whether_to_stream(client):
    refused = []
    for helper in (client.chat.completions.parse, client.chat.completions.stream):
        try:
            helper(model=MODEL, messages=SAID, response_format=Person, stream=True).__enter__()
        except TypeError as error:
            refused.append("stream" in str(error))
    return refused


@program
def parsed_raw(client):
    raw = client.chat.completions.with_raw_response.parse(model=MODEL, messages=SAID, response_format=Person)
    other = client.beta.chat.completions.with_raw_response.parse(model=MODEL, messages=SAID, response_format=Person)
    return raw.parse().choices[0].message.parsed, other.parse().choices[0].message.parsed


@program
def a_tool_parsed(client):
    completion = client.beta.chat.completions.parse(model=MODEL, messages=SAID, tools=[TOOL])
    return completion.choices[0].message.tool_calls[0].function.parsed_arguments


@program
def a_tool_called(client):
    message = ask(client, tools=[TOOL], tool_choice="auto", parallel_tool_calls=False).choices[0].message
    call = message.tool_calls[0]
    return message.content, call.id, call.type, json.loads(call.function.arguments), hasattr(call, "custom")


@program
def streamed_by_beta(client):
    kinds = []
    with client.beta.chat.completions.stream(model=MODEL, messages=SAID, response_format=Person) as stream:
        for event in stream:
            kinds.append(event.type)
        return kinds, stream.get_final_completion().choices[0].message.parsed


@program
def streamed_with_a_tool_that_is_not_strict(client):
    plain = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    with client.chat.completions.stream(model=MODEL, messages=SAID, tools=[plain]) as stream:
        kinds = [event.type for event in stream]
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
    return kinds, call.function.name, call.function.parsed_arguments


@program
def what_is_read_so_far(client):
    with client.chat.completions.stream(model=MODEL, messages=SAID, response_format=Person) as stream:
        return [copy.deepcopy(event.snapshot.choices[0].message.parsed) for event in stream if event.type == "chunk"]


@program
def tokens_of_a_helpers_stream(client):
    seen = []
    with client.chat.completions.stream(model=MODEL, messages=SAID, logprobs=True) as stream:
        for event in stream:
            if event.type.startswith("logprobs"):
                seen.append((event.type, event.content[0].token, event.content[0].top_logprobs[0].logprob))
    return seen


# -- streams ----------------------------------------------------------------------------------------------


@program
def a_stream(client):
    text = ""
    for chunk in ask(client, stream=True):
        if chunk.choices and (piece := chunk.choices[0].delta.content) is not None:
            text += piece
    return text


@program
def a_stream_with_usage(client):
    seen = [chunk.usage for chunk in ask(client, stream=True, stream_options={"include_usage": True})]
    return [usage and usage.total_tokens for usage in seen]


@program
def deltas(client):
    stream = ask(client, stream=True)
    return [
        (chunk.choices[0].delta.model_dump(exclude_unset=True), chunk.choices[0].delta.model_dump(),
         (chunk.choices[0].delta.model_extra or {}).get("reasoning_content"),
         getattr(chunk.choices[0].delta, "reasoning_content", None), chunk.model_dump(), json.loads(chunk.to_json()))
        for chunk in stream
    ]  # fmt: skip


@program
def tools_gathered_from_a_stream(client):
    calls: dict[int, Any] = {}
    for chunk in ask(client, stream=True, tools=[TOOL]):
        for part in chunk.choices[0].delta.tool_calls or []:
            call = calls.setdefault(part.index, part)
            if call is not part:
                call.function.arguments += part.function.arguments
    return [call.model_dump() for call in calls.values()]


@program
def a_stream_left_early(client):
    with ask(client, stream=True) as stream:
        first = next(iter(stream))
    stream.close()
    return first.choices[0].delta.role


@program
def a_streams_response(client):
    stream = ask(client, stream=True)
    response = stream.response
    kind = response.headers["content-type"].partition(";")[0]
    told = (hasattr(stream, "response"), response.status_code, kind, response.headers.get("x-nothing"))
    open_before = not response.is_closed
    response.close()
    return told, open_before, response.is_closed, isinstance(dict(response.headers), dict), response.is_success


# -- raw --------------------------------------------------------------------------------------------------


@program
def headers_of_a_raw_response(client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=SAID)
    return (raw.status_code, raw.headers.get("x-ratelimit-remaining-requests"), raw.headers["Content-Type"],
            int(raw.headers["x-ratelimit-limit-requests"]), "openai-version" in raw.headers,
            raw.parse().choices[0].message.content, json.loads(raw.text)["id"], json.loads(raw.content)["model"],
            isinstance(raw.headers.get("x-request-id"), str | None), raw.elapsed.total_seconds() >= 0, raw.method,
            raw.is_closed, raw.http_response.json()["id"], raw.http_response.status_code, raw.retries_taken,
            str(raw.url).endswith("/chat/completions"), raw.http_request.method, raw.parse() is raw.parse(),
            sorted(dict(raw.headers))[:0], raw.http_response.is_success, raw.http_response.reason_phrase,
            raw.http_request.headers["content-type"])  # fmt: skip


@program
def raw_from_the_client(client):
    return (client.with_raw_response.chat.completions.create(model=MODEL, messages=SAID).status_code,
            client.chat.with_raw_response.completions.create(model=MODEL, messages=SAID).status_code,
            client.models.with_raw_response.list().status_code,
            client.with_raw_response.embeddings.create(model=MODEL, input="x").parse().model)  # fmt: skip


@program
def parsed_to_another_type(client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=SAID)
    return json.loads(raw.parse(to=str))["id"], raw.parse(to=openai.types.chat.ChatCompletion).id


@program
def a_raw_stream(client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=SAID, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse() if chunk.choices)
    return raw.status_code, raw.headers.get("content-type", "").partition(";")[0], text


@program
def a_streaming_response(client):
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=SAID) as response:
        told = response.status_code, response.is_closed, response.headers["x-ratelimit-limit-requests"], response.method
        return told, json.loads(response.read())["id"], response.parse().id, response.json()["id"], response.text()[:1]


@program
def a_streams_response_read_whole(client):
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=SAID, stream=True) as response:
        events = [line for line in response.read().decode().splitlines() if line]
        return len(events), events[-1], response.text().endswith("data: [DONE]\n\n"), len(list(response.iter_lines()))


@program
def a_streaming_response_by_lines(client):
    ask_it = client.chat.completions.with_streaming_response.create
    with ask_it(model=MODEL, messages=SAID, stream=True) as response:
        lines = [line for line in response.iter_lines() if line]
    with ask_it(model=MODEL, messages=SAID) as response:
        body = b"".join(response.iter_bytes())
    return [json.loads(line[6:]) for line in lines[:-1]], lines[-1], json.loads(body)["id"], response.is_closed


# -- clients ----------------------------------------------------------------------------------------------


@program
def a_client_closed(client):
    other = client.with_options(timeout=5)
    before = client.is_closed()
    client.close()
    return before, client.is_closed(), other.is_closed()


@program
def options(client):
    timeouts = (20, 20.5, None, httpx.Timeout(20), httpx.Timeout(20, connect=1), openai.Timeout(9.0), openai.NOT_GIVEN)
    by_call = [ask(client, timeout=timeout).id for timeout in timeouts]
    by_client = [ask(client.with_options(timeout=timeout)).id for timeout in timeouts]
    return by_call, by_client, ask(client.copy(max_retries=0)).id, client.with_options(max_retries=7).max_retries


@program
def what_is_not_given(client):
    absent = dict.fromkeys(("temperature", "tools", "response_format", "stop", "stream"), openai.NOT_GIVEN)
    omitted = dict.fromkeys(("top_p", "seed", "tool_choice", "n", "stream_options"), openai.omit)
    return ask(client, **absent, **omitted, extra_headers=None, extra_query=None, extra_body=None).to_dict()


class Text(str):
    """As templates and parsers give it."""


class Number(float):
    pass


@program
def words_and_numbers_of_other_kinds(client):
    said = [Turn(role="user", content="hi"), {"role": Text("user"), "content": Text("Say hello")}]
    answer = ask(client, user=Text("back"), messages=said, temperature=Number(0.5), metadata=collections.Counter("aa"))
    return json.loads(answer.choices[0].message.content)


@program
def extras_of_a_call(client):
    headers = {"x-trace": "1", "x-not": openai.omit}
    more = {"extra_headers": headers, "extra_query": {"a": [1, 2]}, "extra_body": {"top_k": 4}}
    return ask(client, **more).id, client.models.list(extra_query={"limit": 5}, extra_body=None).object


@program
def default_headers_and_query(client):
    other = client.with_options(default_headers={"x-app": "mine"}, default_query={"version": 2})
    third = other.with_options(set_default_headers={"x-only": "this"}, set_default_query={})
    return ask(other).id, ask(third).id, dict(third.default_query)


@program
def models(client):
    page = client.models.list()
    kinds = {type(model).__name__ for model in page}
    return (page.object, isinstance(page.data, list), all(model.id for model in page), page.has_next_page(),
            page.data[0].object, kinds, len(list(page.iter_pages())))  # fmt: skip


@program
def vectors(client):
    answer = client.embeddings.create(model=MODEL, input=["a", "b"], encoding_format="float")
    one = client.embeddings.create(model=MODEL, input="a", timeout=20.0, user="me")
    return ([item.embedding for item in answer.data], answer.usage.prompt_tokens, one.data[0].index, one.object,
            one.model_dump())  # fmt: skip


@program
def a_text_completed(client):
    answer = client.completions.create(model=MODEL, prompt="Once", max_tokens=3, suffix=None)
    return answer.choices[0].text, answer.choices[0].finish_reason, answer.usage.completion_tokens, answer.model_dump()


# -- errors -----------------------------------------------------------------------------------------------


def refused(client: Any, status: int) -> Any:
    return ask(client.with_options(max_retries=0), user=f"fail {status}")


@program
def a_bad_request(client):
    try:
        refused(client, 400)
    except openai.BadRequestError as error:
        response = error.response
        return (error.status_code, error.code, error.param, error.type, error.body["message"], response.status_code,
                response.json()["error"]["code"], response.is_client_error, error.request.method,
                isinstance(error.request_id, str | None), response.headers.get("x-nothing"))  # fmt: skip


@program
def a_status_of_any_kind(client):
    seen = []
    for status in (400, 403, 404, 422):
        try:
            refused(client, status)
        except openai.APIStatusError as error:
            seen.append((status, isinstance(error, openai.APIError), error.status_code, error.response.is_error))
    return seen


@program
def detection_of_parts(client):
    parts = ("chat", "completions", "embeddings", "models", "beta", "with_options", "nonsense")
    of_chat = ("create", "parse", "stream", "with_raw_response", "with_streaming_response", "nonsense")
    return ([hasattr(client, part) for part in parts], [hasattr(client.chat.completions, part) for part in of_chat],
            getattr(client, "nonsense", None), callable(getattr(client, "close", None)))  # fmt: skip
