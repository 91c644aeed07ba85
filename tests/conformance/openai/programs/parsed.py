"""Programs that want an answer parsed, and those that call tools."""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.conformance.openai.programs.program import MODEL, SAID, ask, program
from tests.conformance.openai.programs.schemas import TOOL, Named, Pair, Person


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
