"""Programs that read an answer: its fields, its dumps, its copies."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import openai
import pydantic
import pydantic_core

from tests.conformance.openai.programs.program import SAID, ask, program
from tests.conformance.openai.programs.schemas import TOOL, Record


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
