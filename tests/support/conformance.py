"""What each wire format can express, tried feature by feature, as the page docs/conformance.md.

Nothing here says what a format can do. A request or an answer with the feature is written in the format, and read back;
a provider's answers are those of `tests/support/answers`, in the shapes that the provider documents. Written with
`.venv/bin/python -m tests.support.conformance`; `tests/unit/formats/test_conformance.py` compares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from meshd.formats.bedrock.stream.frames import FrameParser
from meshd.formats.conversation.answer import Answer, Finish
from meshd.formats.conversation.events import CallDelta, Event, assembled
from meshd.formats.conversation.parts import (
    Audio,
    CacheMark,
    File,
    Image,
    Part,
    Reasoning,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from meshd.formats.conversation.request import (
    AnswerKind,
    Conversation,
    Parameters,
    ResponseFormat,
    Role,
    Tool,
    ToolChoice,
    ToolMode,
    Turn,
)
from meshd.formats.errors.response_failures import failure_from_response
from meshd.formats.headers import rate_limits
from meshd.formats.known import FORMATS
from meshd.formats.lookup import app_format, provider_format
from meshd.formats.sse import EventParser, Splitter
from meshd.operations.chat import CHAT
from meshd.sdk.provider import RateLimits
from modelmesh import InvalidRequestError
from tests.support.answers.refusals import KINDS, refusal
from tests.support.answers.spoken import written
from tests.support.conversations import asked as conversations
from tests.support.conversations import told
from tests.support.conversations.drawn import HELLO
from tests.support.providers.vendors.three_apis import Said

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
APPS = tuple(name for name, known in FORMATS.items() if known.app)
TITLES = {
    "openai": "OpenAI's chat completions", "anthropic": "Anthropic's Messages", "responses": "OpenAI's Responses",
    "gemini": "Google's Gemini API", "cohere": "Cohere's chat", "bedrock": "AWS Bedrock's Converse",
}  # fmt: skip
MODELS = {
    "openai": "gpt-5-mini", "responses": "gpt-5-mini", "anthropic": "claude-sonnet-4-6", "gemini": "gemini-3.5-flash",
    "cohere": "command-a-reasoning-08-2025", "bedrock": "anthropic.claude-sonnet-4-6",
}  # fmt: skip
"""What some APIs take depends on the model."""

# -- requests ---------------------------------------------------------------------------------------------

HI = Turn(Role.USER, (Text("Hello?"),))
WEATHER = Tool("weather", "Of a city.", b'{"type":"object"}')
CALLS = (ToolCall("c1", "weather", '{"city":"Oslo"}'), ToolCall("c2", "weather", '{"city":"Rome"}'))
RESULTS = tuple(ToolResult(call.id, (Text(f"sun {call.id}"),)) for call in CALLS)
SCHEMA = ResponseFormat(AnswerKind.SCHEMA, b'{"type":"object","properties":{}}', name="place", strict=True)
PNG, PDF = Source(data="iVBORw0KGgo=", media_type="image/png"), "JVBERi0xLjQK"
MARKED = (Text("Hello?", cache=CacheMark()),)
THOUGHT = Reasoning("Let me see.", signature="c2lnbmVk")
OF_RESPONSES = Reasoning("Let me see.", encrypted="c2VhbGVk", id="rs_1")


def _turns(*turns: Turn, tools: tuple[Tool, ...] = (), **parameters: Any) -> Conversation:
    return Conversation("m", turns, tools, Parameters(max_output_tokens=9000, **parameters))


def _with(part: Part) -> Conversation:
    return _turns(Turn(Role.USER, (Text("Hello?"), part)))


PLAIN = _turns(HI)
OFFERED = _turns(HI, tools=(WEATHER,))
BACK = "earlier reasoning with its signature"
REQUESTS: dict[str, tuple[Conversation, Conversation]] = {
    "system prompt": (PLAIN, _turns(Turn(Role.SYSTEM, (Text("Be brief."),)), HI)),
    "several turns": (PLAIN, _turns(HI, Turn(Role.ASSISTANT, (Text("Yes?"),)), Turn(Role.USER, (Text("Where?"),)))),
    "image, as data": (PLAIN, _with(Image(PNG))),
    "image, by URL": (PLAIN, _with(Image(Source(url="https://pages.example/a.png")))),
    "document": (PLAIN, _with(File(Source(data=PDF, media_type="application/pdf", name="a.pdf")))),
    "audio": (PLAIN, _with(Audio(Source(data="UklGRg==", media_type="audio/wav")))),
    "tools": (PLAIN, OFFERED),
    "parallel tool calls and results": (
        OFFERED, _turns(HI, Turn(Role.ASSISTANT, CALLS), Turn(Role.TOOL, RESULTS), tools=(WEATHER,)),
    ),
    "tool choice": (OFFERED, _turns(HI, tools=(WEATHER,), tool_choice=ToolChoice(ToolMode.REQUIRED, ("weather",)))),
    "parallel tool calls off": (OFFERED, _turns(HI, tools=(WEATHER,), parallel_tool_calls=False)),
    "JSON schema": (PLAIN, _turns(HI, response_format=SCHEMA)),
    "JSON without a schema": (PLAIN, _turns(HI, response_format=ResponseFormat(AnswerKind.JSON))),
    "stop sequences": (PLAIN, _turns(HI, stop=("END",))),
    "temperature": (PLAIN, _turns(HI, temperature=0.5)),
    "`top_k`": (PLAIN, _turns(HI, top_k=5)),
    "`seed`": (PLAIN, _turns(HI, seed=5)),
    "several choices (`n`)": (PLAIN, _turns(HI, choices=2)),
    "log probabilities": (PLAIN, _turns(HI, logprobs=True, top_logprobs=2)),
    "reasoning effort": (PLAIN, _turns(HI, reasoning_effort="high")),
    BACK: (
        _turns(HI, Turn(Role.ASSISTANT, CALLS[:1]), Turn(Role.TOOL, RESULTS[:1]), tools=(WEATHER,)),
        _turns(HI, Turn(Role.ASSISTANT, (THOUGHT, CALLS[0])), Turn(Role.TOOL, RESULTS[:1]), tools=(WEATHER,)),
    ),
    "cache breakpoints": (PLAIN, _turns(Turn(Role.USER, MARKED))),
    "user": (PLAIN, _turns(HI, user="u1")),
}  # fmt: skip
"""Without the feature, and with it."""


def _both(format: str, feature: str) -> list[Conversation]:
    """The two, with reasoning as its own provider gives it."""
    without, with_it = (replace(each, model=MODELS[format]) for each in REQUESTS[feature])
    if feature == BACK and format == "responses":
        first, said, *rest = with_it.turns
        with_it = replace(with_it, turns=(first, replace(said, parts=(OF_RESPONSES, *said.parts[1:])), *rest))
    return [without, with_it]


def asked(format: str, feature: str) -> str:
    """As a provider of that format is asked: it is said, left out, or refused with a parameter's name."""
    without, with_it = _both(format, feature)
    translator = provider_format(format).translator()
    try:
        made = translator.write_request(with_it)
    except InvalidRequestError as error:
        return f"refused (`{error.param}`)"
    return "yes" if made != translator.write_request(without) else "left out"


def asks(format: str, feature: str) -> str:
    """Whether an app of that format can say it."""
    translator = app_format(format).translator()
    if feature == BACK:
        return "yes" if _sends_back(format) else "–"
    try:
        read = [translator.read_request(translator.write_request(each)) for each in _both(format, feature)]
    except InvalidRequestError:
        return "–"
    return "yes" if read[0] != read[1] else "–"


def _sends_back(format: str) -> bool:
    """An app that sends an answer again, as it came."""
    translator = app_format(format).translator()
    member = "anthropic" if format != "anthropic" else "bedrock"
    said = Said("", thought="Let me see.", sealed="c2VhbA==", calls=CALLED)
    answer = provider_format(member).translator().read_answer(_spoken(member, said, stream=False)[0])
    told_of = told.history(format, json.loads(translator.write_answer(answer)))
    body = conversations.followed(format, conversations.body(format, HELLO), told_of)
    read = translator.read_request(json.dumps({"model": "m", **body}).encode())
    return any(getattr(part, "signature", "") for turn in read.turns for part in turn.parts)


# -- answers ----------------------------------------------------------------------------------------------

CALLED = (("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"}))
CITING = Said("Hello there", cites=(("https://pages.example/a", "A", 0, 5),))
USING = Said(tokens_in=100, tokens_out=50, cached=40, written=30, lasting=10, reasoned=20)


def _parts(answer: Answer, kind: Any) -> list[Any]:
    return [part for choice in answer.choices for part in choice.parts if isinstance(part, kind)]


def _ended(answer: Answer) -> Finish | None:
    return answer.choices[0].finish


ANSWERS: dict[str, tuple[Said, Callable[[Answer], Any]]] = {
    "text": (Said("Hello there"), lambda answer: _parts(answer, Text)),
    "reasoning": (Said(thought="Let me see."), lambda answer: any(each.text for each in _parts(answer, Reasoning))),
    "reasoning signature": (
        Said(thought="Let me see.", sealed="c2VhbA=="),
        lambda answer: any(
            getattr(each, name, "") for each in _parts(answer, Part) for name in ("signature", "encrypted")
        ),
    ),
    "parallel tool calls": (Said("", calls=CALLED), lambda answer: len(_parts(answer, ToolCall)) == 2),
    "citations of web pages": (CITING, lambda answer: answer.choices[0].citations),
    "input and output tokens": (
        USING,
        lambda answer: answer.usage and answer.usage.input_tokens * answer.usage.output_tokens,
    ),
    "tokens read from a cache": (USING, lambda answer: answer.usage and answer.usage.cached_tokens),
    "tokens written to a cache": (USING, lambda answer: answer.usage and answer.usage.written_tokens),
    "reasoning tokens": (USING, lambda answer: answer.usage and answer.usage.reasoning_tokens),
    "finish reason: output limit": (Said(finish="length"), lambda answer: _ended(answer) is Finish.LENGTH),
    "content filter": (Said(finish="filter"), lambda answer: _ended(answer) in (Finish.FILTER, Finish.REFUSAL)),
}
"""What a model says, and what tells that it arrived."""


def _payloads(parser: Splitter, stream: Iterable[bytes]) -> list[bytes]:
    found = [event for piece in stream for event in parser.feed(piece)]
    return [event.data for event in [*found, *parser.finish()] if event.data != b"[DONE]"]


def _spoken(format: str, said: Said, *, stream: bool) -> list[bytes]:
    asked = {"model": "m", "stream": stream, "stream_options": {"include_usage": True}}
    pieces = written(CHAT.paths[format], asked, said)
    if not stream:
        return pieces
    return _payloads(FrameParser() if format == "bedrock" else EventParser(), pieces)


def _events(format: str, payloads: Iterable[bytes]) -> list[Event]:
    reader = provider_format(format).translator().event_reader()
    return [event for payload in payloads for event in reader.read(payload)]


def read_from(format: str, feature: str, *, stream: bool) -> str:
    """Whether a provider's answer of that format has it."""
    said, arrived = ANSWERS[feature]
    try:
        payloads = _spoken(format, said, stream=stream)
    except KeyError:  # it has no such finish reason
        return "–"
    if stream:
        return "yes" if arrived(assembled(_events(format, payloads))) else "–"
    return "yes" if arrived(provider_format(format).translator().read_answer(payloads[0])) else "–"


def told_to(format: str, feature: str, *, stream: bool) -> str:
    """Whether an app of that format is told it; by a member that says it."""
    said, arrived = ANSWERS[feature]
    translator = app_format(format).translator()
    member = next(name for name in FORMATS if name != format and read_from(name, feature, stream=stream) == "yes")
    payloads = _spoken(member, said, stream=stream)
    if not stream:
        answer = provider_format(member).translator().read_answer(payloads[0])
        return "yes" if arrived(translator.read_answer(translator.write_answer(answer))) else "–"
    writer = translator.event_writer()
    written_again = [each for event in _events(member, payloads) for each in writer.write(event)] + writer.end()
    return "yes" if arrived(assembled(_events(format, written_again))) else "–"


def pieces_of_calls(format: str) -> int:
    """Deltas of the arguments of two calls in a provider's stream."""
    events = _events(format, _spoken(format, Said("", calls=CALLED), stream=True))
    return sum(isinstance(event, CallDelta) for event in events)


# -- errors and limits ------------------------------------------------------------------------------------

LIMITS: dict[str, list[tuple[bytes, bytes]]] = {
    "openai": [(b"x-ratelimit-limit-requests", b"60"), (b"x-ratelimit-remaining-requests", b"12")],
    "responses": [(b"x-ratelimit-limit-requests", b"60"), (b"x-ratelimit-remaining-requests", b"12")],
    "anthropic": [(b"anthropic-ratelimit-requests-limit", b"60"), (b"anthropic-ratelimit-requests-remaining", b"12")],
}
"""As the APIs document them; the others send none."""


def kinds_of_errors(format: str) -> list[str]:
    """The kinds of failures that one refusal of each kind is."""
    made = [refusal(format, kind) for kind in KINDS]
    headers = [[(name.encode(), str(value).encode()) for name, value in each.headers.items()] for each in made]
    failures = [
        failure_from_response(each.status, json.dumps(each.body).encode(), raw, "https://p.example")
        for each, raw in zip(made, headers, strict=True)
    ]
    return [str(failure.kind) for failure in failures]


def _limit_headers(format: str) -> tuple[str, str]:
    """To apps, and from a provider."""
    names = app_format(format).app.headers("r", RateLimits(60, 12, 1.0), 0.0) if format in APPS else []
    sent = rate_limits(LIMITS.get(format, []))
    to_apps = "yes" if any("ratelimit" in name for name, _ in names) else "–"
    return to_apps, "yes" if sent is not None and sent.remaining_requests == 12 else "–"


# -- the page ---------------------------------------------------------------------------------------------

HEAD = """# Conformance

This page shows what each wire format can express. A program
([tests/support/conformance.py](../tests/support/conformance.py)) generates it by trying each feature: the mesh writes
the feature in the format and reads it back. The providers' answers have the shapes that their vendors document.
[providers.md](providers.md) describes how features are translated.

- **from apps**: an app can ask for the feature in this format. **to providers**: the mesh sends it to a provider of
  this format. "Left out" and "refused" apply to requests that came in another format; a refusal names the parameter, so
  that another model can be asked. For requests, it makes no difference whether the answer is a stream.
- **to apps**, **from providers**: the feature in answers, in one piece and streamed. "–": the format does not have it.
- Some APIs support a feature only for some models. This page was generated with
  {models}.
"""


def page() -> str:
    models = ", ".join(f"`{model}`" for model in dict.fromkeys(MODELS.values()))
    return "\n".join([HEAD.format(models=models), *(line for format in TITLES for line in _section(format))])


def _section(format: str) -> list[str]:
    app = format in APPS
    lines = [f"## {TITLES[format]}", "", "| in a request | from apps | to providers |", "| --- | --- | --- |"]
    lines += [f"| {name} | {asks(format, name) if app else '–'} | {asked(format, name)} |" for name in REQUESTS]
    lines += ["", "| in an answer | to apps | to apps, streamed | from providers | from providers, streamed |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for name in ANSWERS:
        cells = [told_to(format, name, stream=stream) if app else "–" for stream in (False, True)]
        cells += [read_from(format, name, stream=stream) for stream in (False, True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    deltas = "in pieces" if pieces_of_calls(format) > 2 else "whole"
    lines.append(f"| arguments of tool calls | {'whole' if app else '–'} | {_told_deltas(format)} | whole | {deltas} |")
    to_apps, sent = _limit_headers(format)
    lines.append(f"| rate limits in headers | {to_apps} | {to_apps} | {sent} | {sent} |")
    kinds = ", ".join(f"`{kind}`" for kind in dict.fromkeys(kinds_of_errors(format)))
    return [*lines, "", f"Kinds of errors that the mesh recognises from such a provider: {kinds}.", ""]


def _told_deltas(format: str) -> str:
    if format not in APPS:
        return "–"
    member = "anthropic" if format != "anthropic" else "openai"
    writer = app_format(format).translator().event_writer()
    events = _events(member, _spoken(member, Said("", calls=CALLED), stream=True))
    payloads = [payload for event in events for payload in writer.write(event)] + writer.end()
    pieces = sum(isinstance(event, CallDelta) for event in _events(format, payloads))
    return "in pieces" if pieces > 2 else "whole"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
