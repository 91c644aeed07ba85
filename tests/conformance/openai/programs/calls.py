"""Programs that give options, read raw responses, or ask for something other than a chat."""

from __future__ import annotations

import collections
import json
from typing import Any

import httpx
import openai

from tests.conformance.openai.programs.program import MODEL, SAID, ask, program
from tests.conformance.openai.programs.schemas import Number, Text, Turn


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
