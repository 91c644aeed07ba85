"""The language of scripted answers and faults, shared by the scripted provider and the scripted server.

Owns: the steps of a script, which step a request gets, and the OpenAI-format bytes of each.
Must never: do I/O or read a clock; whatever plays a step does the waiting, cutting and resetting.

A script is a list of steps. Requests take them in order; the last one repeats (`cycle: true`: it starts over). A
mapping of model ids to lists gives each model its own (`*`: every other model). A step is one of

  {reply: "text"}              that text, streamed word by word, or as `tokens: ["te", "xt"]`
  {echo: true}                 the last user message, marked as scripted
  {tool_call: {name: f, arguments: {…}}}, or several as `tool_calls`
  {echo_results: true}         the results of the tools that were called last, marked as scripted
  {embedding: 8}               vectors with this number of dimensions, the same for the same text
  {error: 503, message: "…", code: "…", type: "…", retry_after: 2}
  {fault: NAME, after: N}      N content chunks first (streams), then the fault (`Fault`)

and any may have `times` (the number of requests that get it), `delay` (before the first byte), `chunk_delay`, `usage`,
`running_usage` (a stream reports the usage so far in every chunk), `finish_reason`, `headers`, `reasoning` (its pieces,
before the text), `preface` (a stream begins with a chunk that only names the role) and `byte_delay` (after `after`
chunks, one byte at a time, with this delay between them). Of the faults, `error_event` has a `shape` (`ErrorShape`),
`pause` lasts for `pause`, and `raw` sends the text `raw` as it is, followed by `[DONE]` (instead of a plain answer:
that text alone). `odd` makes good answers odd (`oddities.py`).
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.connectors.providers.scripted import asked, oddities
from meshd.connectors.providers.scripted.oddities import Odd
from meshd.sdk.provider import OperationSpec
from meshd.sdk.reading import lenient

FINGERPRINT = "scripted"
DEFAULT_MODEL = "scripted"
CREATED = 1_700_000_000
MOST_DIMENSIONS = 8192
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_UNITS = {None: 1.0, "": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Fault(enum.StrEnum):
    RESET = "reset"  # the connection is reset (with `after: 0`, before any byte)
    CLEAN_CLOSE = "clean_close"  # the stream ends regularly, without a finish reason
    CUT_CHUNK = "cut_chunk"  # closed inside a chunk
    SILENCE = "silence"  # the stream stays open, nothing comes
    BAD_CHUNK = "bad_chunk"  # one chunk is not JSON, good ones follow
    BAD_END = "bad_end"  # one chunk is not JSON, and it is the last
    ERROR_EVENT = "error_event"  # an error event inside the 200
    EMPTY = "empty"  # 200, and no event (more)
    HTML = "html"  # 200 with a web page; after content, in the middle of the stream
    TIMEOUT = "timeout"  # connected, but never an answer
    PAUSE = "pause"  # nothing comes for a while, then it continues (with `after: 0`, after the headers)
    RAW = "raw"  # some text unchanged, and [DONE]
    ENDLESS = "endless"  # a line that never ends


class ErrorShape(enum.StrEnum):
    """Named after the APIs that use it."""

    OPENAI = "openai"  # data: {"error": {message, type, code}}
    ANTHROPIC = "anthropic"  # event: error, data: {"type": "error", "error": {type, message}}
    GEMINI = "gemini"  # data: {"error": {code, message, status}}
    GEMINI_LIST = "gemini_list"  # the same in a list


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    reply: str | None = None
    tokens: tuple[str, ...] | None = None
    echo: bool = False
    echo_results: bool = False
    tool_call: dict[str, Any] | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()
    embedding: int | None = None
    error: int | None = None
    message: str = ""
    code: str | None = None
    type: str | None = None
    retry_after: float | None = None
    fault: Fault | None = None
    after: int = 0
    times: int = 1
    delay: str | float = 0.0
    chunk_delay: str | float = 0.0
    usage: dict[str, int] | None = None
    running_usage: bool = False
    reasoning: tuple[str, ...] = ()
    preface: bool = False
    byte_delay: str | float = 0.0
    pause: str | float = 0.0
    shape: ErrorShape = ErrorShape.OPENAI
    finish_reason: str | None = None
    headers: dict[str, str] = {}
    raw: str = ""
    odd: Odd | None = None

    @property
    def delay_seconds(self) -> float:
        return seconds(self.delay)

    @property
    def chunk_delay_seconds(self) -> float:
        return seconds(self.chunk_delay)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Calls of tools, as OpenAI writes them."""
        single = [self.tool_call] if self.tool_call else []
        return [_tool_call(call) for call in (*single, *self.tool_calls)]

    @property
    def at_once(self) -> bool:
        """Whether the fault comes before anything of the stream."""
        return not self.after and not self.preface

    @property
    def byte_delay_seconds(self) -> float:
        return seconds(self.byte_delay)

    @property
    def pause_seconds(self) -> float:
        return seconds(self.pause)


ECHO = Step(echo=True)
HTML_PAGE = b"<!DOCTYPE html><html><body><h1>It works (scripted)</h1></body></html>"
BROKEN_CHUNK = b'{"id":"chatcmpl-scripted","choices":[{"index":0,"delta":{"content":'


class ScriptError(ValueError):
    """The script is invalid; the message says where."""


class Request(msgspec.Struct, frozen=True):
    operation: OperationSpec
    model: str
    fields: dict[str, Any]


def seconds(value: str | float) -> float:
    if isinstance(value, int | float):
        return float(value)
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ScriptError(f"{value!r} is not a duration: 10ms, 2s, 1m")
    return float(match[1]) * _UNITS[match[2]]


class _Track:
    """One list of steps and its position."""

    def __init__(self, steps: list[Step], cycle: bool) -> None:
        self.steps = [step for step in steps for _ in range(max(1, step.times))]
        self.cycle = cycle
        self.played = 0

    def take(self) -> Step:
        index = self.played % len(self.steps) if self.cycle else min(self.played, len(self.steps) - 1)
        self.played += 1
        return self.steps[index]


class Script:
    """The steps to serve, in order, and how many were served."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        """`options`: `models`, `script`, `cycle`; anything absent has its default. Raises ScriptError."""
        options = options or {}
        models = options.get("models")
        steps = options.get("script")
        cycle = bool(options.get("cycle"))
        by_model = steps if isinstance(steps, Mapping) else {"*": steps or [{"echo": True}]}
        self._tracks = {str(model): _Track(_steps(listed, model), cycle) for model, listed in by_model.items()}
        named = [model for model in self._tracks if model != "*"]
        self.models: list[str] = [str(model) for model in models or named or [DEFAULT_MODEL]]
        self.served = 0
        self.served_by_model: dict[str, int] = {}

    def take(self, model: str) -> Step:
        """The step for the next request to `model`."""
        self.served += 1
        self.served_by_model[model] = self.served_by_model.get(model, 0) + 1
        track = self._tracks.get(model) or self._tracks.get("*")
        return track.take() if track else ECHO


def _steps(listed: Any, model: Any) -> list[Step]:
    if isinstance(listed, Mapping):
        listed = [listed]
    if not isinstance(listed, list | tuple) or not listed:
        raise ScriptError("`script` must be a list of steps, or a mapping of models to such lists")
    steps = []
    for number, raw in enumerate(listed, 1):
        try:
            step = msgspec.convert(raw, Step)
            for duration in (step.delay, step.chunk_delay, step.byte_delay, step.pause):
                seconds(duration)
        except (msgspec.ValidationError, ScriptError) as exc:
            where = f"step {number}" if model == "*" else f"step {number} of {model}"
            raise ScriptError(f"script, {where}: {exc}") from None
        steps.append(step)
    return steps


def words_of(step: Step, request: Request) -> list[str]:
    """An answer's text, in the pieces that are streamed."""
    if step.tokens is not None:
        return list(step.tokens)
    text = step.reply
    if text is None:
        said = asked.last_results(request.fields) if step.echo_results else asked.last_user_text(request.fields)
        text = "" if step.calls else lenient.well_formed(f"[scripted] {said}")
    return re.findall(r"\s*\S+|\s+$", text) or ([text] if text else [])


def answer(step: Step, request: Request) -> bytes:
    """The unary answer."""
    if not request.operation.output:
        return _rows(step, request)
    words = words_of(step, request)
    finish = step.finish_reason or ("tool_calls" if step.calls else "stop")
    if not request.operation.conversation:
        choice: dict[str, Any] = {"index": 0, "text": "".join(words), "finish_reason": finish, "logprobs": None}
    else:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(words) or None}
        if step.reasoning:
            message["reasoning_content"] = "".join(step.reasoning)
        if step.calls:
            message["tool_calls"] = step.calls
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    document = _head(request, stream=False) | {"choices": [choice], "usage": usage(step, request, words)}
    return oddities.answer(step.odd, msgspec.json.encode(document))


def preface_chunks(step: Step, request: Request) -> list[bytes]:
    """The chunks before the content, as OpenAI sends them."""
    if not (step.preface and request.operation.conversation):
        return []
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    return [msgspec.json.encode(_head(request, stream=True) | {"choices": [choice]})]


def content_chunks(step: Step, request: Request) -> list[bytes]:
    """The content of a streamed answer, one event's payload each."""
    chunks: list[bytes] = []
    head = _head(request, stream=True)
    pieces: list[dict[str, Any]] = [{"content": word} for word in words_of(step, request)]
    pieces += [{"tool_calls": [{"index": index} | call]} for index, call in enumerate(step.calls)]
    if request.operation.conversation:
        pieces = [{"reasoning_content": piece} for piece in step.reasoning] + pieces
        if pieces and not step.preface:
            pieces[0] = {"role": "assistant"} | pieces[0]
    for piece in pieces:
        if not request.operation.conversation:
            choice = {"index": 0, "text": piece.get("content") or "", "finish_reason": None}
        else:
            choice = {"index": 0, "delta": piece, "finish_reason": None}
        running = {"usage": usage_so_far(step, request, len(chunks) + 1)} if step.running_usage else {}
        chunks.append(msgspec.json.encode(head | {"choices": [choice]} | running))
    return oddities.chunks(step.odd, chunks, content=True)


def last_chunks(step: Step, request: Request) -> list[bytes]:
    """The finish reason, and the usage if asked for."""
    finish = step.finish_reason or ("tool_calls" if step.calls else "stop")
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
    if not request.operation.conversation:
        choice["text"] = ""
    else:
        choice["delta"] = {}
    head = _head(request, stream=True)
    chunks = [msgspec.json.encode(head | {"choices": [choice]})]
    if (request.fields.get("stream_options") or {}).get("include_usage"):
        report = usage(step, request, words_of(step, request))
        chunks.append(msgspec.json.encode(head | {"choices": [], "usage": report}))
    return oddities.chunks(step.odd, chunks, content=False)


def error_body(step: Step) -> bytes:
    status = step.error or 500
    document = {
        "message": step.message or f"scripted error {status}",
        "type": step.type or ("server_error" if status >= 500 else "invalid_request_error"),
        "param": None,
        "code": step.code,
    }
    return msgspec.json.encode({"error": document})


def error_inside(step: Step) -> bytes:
    """An error inside a 200, in the step's `shape`."""
    message = step.message or "scripted error inside a 200"
    document: Any
    match step.shape:
        case ErrorShape.OPENAI:
            document = {"error": {"message": message, "type": step.type or "server_error", "code": step.code}}
        case ErrorShape.ANTHROPIC:
            document = {"type": "error", "error": {"type": step.type or "overloaded_error", "message": message}}
        case _:
            error = {"code": int(step.code or 503), "message": message, "status": step.type or "UNAVAILABLE"}
            document = {"error": error} if step.shape is ErrorShape.GEMINI else [{"error": error}]
    return msgspec.json.encode(document)


def error_event(step: Step) -> bytes:
    """The same as an event of a stream, with its framing."""
    name = b"event: error\n" if step.shape is ErrorShape.ANTHROPIC else b""
    return name + event(error_inside(step))


def event(payload: bytes, odd: Odd | None = None) -> bytes:
    """An event, after whatever an odd server sends before each one."""
    if odd is not None and odd.between:
        return odd.between.encode() + event(payload)
    return b"data: " + payload + b"\n\n"


def usage(step: Step, request: Request, words: list[str]) -> dict[str, Any]:
    # A word is a token; no vocabulary has tokens of more than a hundred letters.
    tokens = sum(1 + len(word) // 16 if len(word) > 100 else 1 for word in words) + len(step.reasoning)
    counted = {"prompt_tokens": asked.words(request.fields), "completion_tokens": tokens} | (step.usage or {})
    return counted | {"total_tokens": counted["prompt_tokens"] + counted["completion_tokens"]}


def usage_so_far(step: Step, request: Request, chunks: int) -> dict[str, Any]:
    """The usage of a stream that is cut after `chunks` chunks of content, with one token in each."""
    prompt = usage(step, request, [])["prompt_tokens"]
    return {"prompt_tokens": prompt, "completion_tokens": chunks, "total_tokens": prompt + chunks}


def model_list(models: list[str]) -> bytes:
    listed = [{"id": model, "object": "model", "created": CREATED, "owned_by": FINGERPRINT} for model in models]
    return msgspec.json.encode({"object": "list", "data": listed})


def _head(request: Request, *, stream: bool) -> dict[str, Any]:
    kind = "chat.completion" if request.operation.conversation else "text_completion"
    return {
        "id": f"chatcmpl-scripted-{request.model}",
        "object": f"{kind}.chunk" if stream and kind == "chat.completion" else kind,
        "created": CREATED,
        "model": request.model,
        "system_fingerprint": FINGERPRINT,
    }


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    arguments = call.get("arguments", {})
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    function = {"name": call.get("name", "f"), "arguments": text}
    return {"id": call.get("id", "call_scripted"), "type": "function", "function": function}


def _rows(step: Step, request: Request) -> bytes:
    """A vector or a number for each text."""
    name, member, *_ = request.operation.rows
    given = request.fields.get(request.operation.text[-1])
    texts = given if isinstance(given, list) and given else [given]
    asked = request.fields.get("dimensions")
    dimensions = asked if type(asked) is int and 0 < asked <= MOST_DIMENSIONS else step.embedding or 8
    vectors = [vector(str(text), dimensions) for text in texts]
    data = [
        {"object": member, "index": index, member: made if member == "embedding" else made[0]}
        for index, made in enumerate(vectors)
    ]
    tokens = sum(len(str(text).split()) for text in texts)
    report = {"prompt_tokens": tokens, "total_tokens": tokens} | (step.usage or {})
    return msgspec.json.encode(
        {"object": "list", name: data, "model": request.model, "usage": report, "system_fingerprint": FINGERPRINT}
    )


def vector(text: str, dimensions: int) -> list[float]:
    """A unit vector, the same for the same text."""
    raw = hashlib.shake_256(text.encode()).digest(4 * dimensions)
    values = [int.from_bytes(raw[i : i + 4], "big") / 2**31 - 1.0 for i in range(0, len(raw), 4)]
    length = sum(value * value for value in values) ** 0.5 or 1.0
    return [value / length for value in values]
