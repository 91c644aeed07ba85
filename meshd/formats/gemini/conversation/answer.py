"""A response of the Gemini API as an answer, and an answer as a response.

What a provider sends is read as far as possible: `formats/gemini/answer.py` has judged whether it is an answer.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from meshd.formats.conversation.answer import Answer, Choice, Finish, TokenLogprob
from meshd.formats.conversation.citations import Citation
from meshd.formats.conversation.parts import Part, Reasoning, Text, ToolCall
from meshd.formats.conversation.reading import Fields, Unreadable, answer_of, as_it_came, not_too_deep
from meshd.formats.conversation.request import Conversation
from meshd.formats.gemini.conversation.content import FORMAT, camelled, inner, read_parts, written_parts
from meshd.formats.gemini.conversation.finishes import finish_of, written_finish
from meshd.formats.gemini.conversation.grounding import KEYS, citations_of, texts_of, written_grounding
from meshd.formats.gemini.usage import units_in, usage_in, usage_map
from meshd.formats.gemini.wire import is_blocked

_encode = msgspec.json.Encoder().encode


@not_too_deep(Unreadable, "it")
def read_answer(body: bytes) -> Answer:
    """Raises Unreadable."""
    return _read(Fields(answer_of(body), "", FORMAT, strict=False))


def _read(fields: Fields) -> Answer:
    camelled(fields)
    id, model = fields.text("responseId", always=True), fields.text("modelVersion", always=True)
    created = created_at(fields.take("createTime")) if fields.left.get("createTime") else None
    given = fields.take("candidates")
    candidates = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    choices = tuple(_read_choice(camelled(_of(each)), n, id) for n, each in enumerate(candidates))
    if is_blocked(fields.left) and not choices:
        choices = (Choice((), Finish.FILTER),)
        fields.odd()
    usage = usage_in(fields.left.get("usageMetadata"), units_in(candidates))
    if usage is not None and fields.left.get("usageMetadata") == usage_map(usage):
        del fields.left["usageMetadata"]
    called = any(choice.finish is Finish.TOOL_CALLS for choice in choices)  # a writer's call has arguments only as text
    if created is not None or called or candidates != [_choice_map(choice) for choice in choices]:
        fields.odd()
    return Answer(choices, id, model, created, usage, original=fields.original())


def _of(value: Any) -> Fields:
    return Fields.of(value, "", FORMAT, strict=False)


def created_at(text: Any) -> int | None:
    """`2026-11-28T10:11:12.345678Z` as seconds since 1970; None if it is anything else."""
    if not isinstance(text, str) or len(text) > 40:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _read_choice(fields: Fields, position: int, id: str) -> Choice:
    cited = _cited_by(fields.left)
    content = inner(fields, "content") if isinstance(fields.left.get("content"), dict) else _of({})
    parts = tuple(said(identified(read_parts(content), id)))
    index = fields.whole("index")
    calls = any(isinstance(part, ToolCall) for part in parts)
    finish = finish_of(fields.left.get("finishReason"), calls=calls)
    logprobs = read_logprobs(fields.left.get("logprobsResult"))
    return Choice(parts, finish, position if index is None else index, "", logprobs, cited)


def _cited_by(candidate: dict[str, Any]) -> tuple[Citation, ...]:
    if not any(candidate.get(key) for key in KEYS):
        return ()
    content = candidate.get("content")
    return citations_of(candidate, texts_of(content.get("parts")) if isinstance(content, dict) else [])


def identified(parts: Iterable[Part], id: str, before: int = 0) -> Iterator[Part]:
    """The parts, with an id for each call that has none, the same each time. id: of the answer. before: how many calls
    came before these."""
    for part in parts:
        if isinstance(part, ToolCall):
            if not part.id:
                seed = f"{id}\0{before}\0{part.name}\0{part.arguments}"
                digest = hashlib.sha256(seed.encode(errors="replace")).hexdigest()
                part = replace(part, id=f"call_{digest[:24]}")
            before += 1
        yield part


def said(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts, with their signatures on thoughts as well, since other formats have them only there. The signature of
    a text follows it."""
    held: Reasoning | None = None
    for part in parts:
        if part.original is not None and isinstance(part, Text | Reasoning | ToolCall):
            part = replace(part, original=None)
        if isinstance(part, Text) and not part.text:  # a stream sends a signature this way
            if not part.signature:
                continue
            part = Reasoning("", part.signature)
        if isinstance(part, Reasoning):
            if held is not None and not held.signature:
                part = replace(part, text=held.text + part.text)
            elif held is not None:
                yield held
            held = part
            continue
        if isinstance(part, ToolCall) and part.signature:
            if held is not None and held.signature:
                yield held
                held = None
            held = Reasoning("" if held is None else held.text, part.signature)
        if held is not None:
            yield held
            held = None
        if isinstance(part, Text) and part.signature:
            yield Text(part.text)
            held = Reasoning("", part.signature)
            continue
        yield part
    if held is not None:
        yield held


def read_logprobs(value: Any) -> tuple[TokenLogprob, ...]:
    """The log probabilities of the chosen tokens, each with the likeliest at its place."""
    if not isinstance(value, dict):
        return ()
    chosen, tops = value.get("chosenCandidates"), value.get("topCandidates")
    found: list[TokenLogprob] = []
    for n, entry in enumerate(chosen if isinstance(chosen, list) else ()):
        place = tops[n] if isinstance(tops, list) and n < len(tops) else None
        likely = place.get("candidates") if isinstance(place, dict) else None
        top = tuple(_tokens(likely if isinstance(likely, list) else ()))
        found += [replace(token, top=top) for token in _tokens([entry])]
    return tuple(found)


def _tokens(entries: Iterable[Any]) -> Iterator[TokenLogprob]:
    for entry in entries:
        token, likelihood = (entry.get("token"), entry.get("logProbability")) if isinstance(entry, dict) else ("", None)
        if isinstance(token, str) and isinstance(likelihood, int | float) and math.isfinite(likelihood):
            yield TokenLogprob(token, likelihood)


def written_logprobs(logprobs: tuple[TokenLogprob, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {"chosenCandidates": [_token(each) for each in logprobs]}
    if any(each.top for each in logprobs):
        made["topCandidates"] = [{"candidates": [_token(likely) for likely in each.top]} for each in logprobs]
    return made


def _token(each: TokenLogprob) -> dict[str, Any]:
    return {"token": each.token, "logProbability": each.logprob}


def head(id: str, model: str) -> dict[str, Any]:
    """The fields of a response beside its candidates."""
    return {"modelVersion": model, "responseId": id or uuid4().hex}


def write_answer(answer: Answer, asked: Conversation | None = None) -> bytes:
    """The body. What the API cannot express is left out, such as which stop text was met; the reason for a refusal
    becomes text."""
    made = {
        "candidates": [_choice_map(choice) for choice in answer.choices],
        **head(answer.id, answer.model),
    }
    if answer.usage is not None:
        made["usageMetadata"] = usage_map(answer.usage)
    return _encode(as_it_came(answer, made, FORMAT, _read))


def _choice_map(choice: Choice) -> dict[str, Any]:
    parts = written_parts(with_signatures_inside(choice.parts), answer=True)
    made: dict[str, Any] = {"content": {"parts": parts, "role": "model"} if parts else {"role": "model"}}
    if choice.finish is not None:
        made["finishReason"] = written_finish(choice.finish)
    made["index"] = choice.index
    if choice.logprobs:
        made["logprobsResult"] = written_logprobs(choice.logprobs)
    return made | (written_grounding(choice.citations, texts_of(parts)) if choice.citations else {})


def with_signatures_inside(parts: Iterable[Part]) -> list[Part]:
    """The reverse of `said`: the signature of a thought goes to the call after it."""
    made = list(parts)
    for n, part in enumerate(made):
        before = made[n - 1] if n else None
        if isinstance(part, ToolCall) and isinstance(before, Reasoning) and part.signature == before.signature != "":
            made[n - 1] = replace(before, signature="", original=None)
    return [part for part in made if not isinstance(part, Reasoning) or part.text or part.signature or part.encrypted]
