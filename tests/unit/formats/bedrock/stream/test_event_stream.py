"""A message's stream of frames, cut at any byte: whole, or told as broken; and the same answer as a unary one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshd.formats.bedrock.answer import as_stream, read_answer
from meshd.formats.bedrock.conversation.translator import BedrockTranslator
from meshd.formats.bedrock.stream.assembled import Assembly
from meshd.formats.bedrock.stream.event_stream import MEDIA_TYPE
from meshd.formats.conversation.events import assembled
from meshd.formats.lookup import provider_format
from meshd.formats.protocol import Address, Opened
from meshd.host import clock
from meshd.net.http import BodyInHand
from meshd.operations.chat import CHAT
from meshd.sdk.provider import (
    FailureKind,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    StreamEvent,
    Usage,
)
from tests.support.answers import spoken_converse
from tests.support.conversations import drawn
from tests.support.formats.converse_frames import error, event, exception
from tests.support.providers.vendors.three_apis import Said

SIDE = provider_format("bedrock").provider(ProviderSettings("here", "aws.bedrock.v1"))
SAID = Said(thought="Hm", sealed="c2ln", calls=(("f", {"a": [1, None]}), ("g", {})), cached=3, written=2, lasting=1)


def frames(said: Said) -> list[bytes]:
    return spoken_converse.streamed({}, said, 4)


async def read(stream: bytes, content_type: str = MEDIA_TYPE) -> tuple[list[StreamEvent], ProviderFailure | None]:
    """The events, and why it is not whole; None if it is."""

    def failed(error: BaseException) -> ProviderFailure:
        return ProviderFailure(FailureKind.CONNECTION, str(error))

    call = ProviderCall(CHAT, "m", {}, stream=True)
    opened = Opened(clock.now(), content_type, None, failed)
    reader = SIDE.stream(BodyInHand(stream), call, Address("here", "http://here"), opened)
    found: list[StreamEvent] = []
    try:
        while not reader.done:
            found += await reader.more()
    except ProviderFailure as failure:
        return found, failure
    finally:
        reader.close()
    return found, None


async def test_what_a_stream_says() -> None:
    events, failure = await read(b"".join(frames(SAID)))
    assert failure is None
    assert "".join(each.text for each in events) == "Hello there"
    assert "".join(each.reasoning for each in events) == "Hm"
    assert [each.finish_reason for each in events if each.finish_reason] == ["tool_calls"]
    assert events[-1].usage == Usage(11, 5, 3, 2, lasting_tokens=1)
    assert not events[0].content


@given(said=drawn.answers())
async def test_a_stream_is_the_unary_answer(said: Said) -> None:
    whole = json.dumps(spoken_converse.unary({}, said)).encode()
    expected = BedrockTranslator().read_answer(whole)
    [choice] = expected.choices
    events, failure = await read(b"".join(frames(said)))
    assert failure is None
    reader = BedrockTranslator.event_reader()
    made = assembled(each for one in events for each in reader.read(one.data))
    [streamed] = made.choices
    arguments = [json.loads(part.arguments) for part in streamed.parts if hasattr(part, "arguments")]
    assert arguments == [json.loads(part.arguments) for part in choice.parts if hasattr(part, "arguments")]
    plain = [replace(part, arguments="") if hasattr(part, "arguments") else part for part in streamed.parts]
    assert plain == [replace(part, arguments="") if hasattr(part, "arguments") else part for part in choice.parts]
    assert (made.usage, streamed.finish) == (expected.usage, choice.finish)
    assembly = Assembly()
    for each in events:
        assembly.add(each.data)
    again = read_answer(assembly.answer())
    assert BedrockTranslator().read_answer(again.body) == expected
    other = Assembly()
    for data in as_stream(whole):
        other.add(data)
    assert BedrockTranslator().read_answer(other.answer()) == expected


_WHOLE = b"".join(frames(SAID))
_METADATA = len(frames(SAID)[-1])


@given(at=st.integers(0, len(_WHOLE) - 1))
async def test_a_stream_that_breaks_off_is_broken_before_its_stop_reason(at: int) -> None:
    events, failure = await read(_WHOLE[:at])
    if at >= len(_WHOLE) - _METADATA:
        assert failure is None, "only its usage is missing"
        return
    assert failure is not None
    content = any(each.content for each in events)
    assert failure.kind is (FailureKind.STREAM_CUT if content else FailureKind.BAD_ANSWER)


@given(at=st.integers(0, len(_WHOLE) - _METADATA - 1), bit=st.integers(0, 7))
async def test_a_changed_bit_is_never_read(at: int, bit: int) -> None:
    broken = bytearray(_WHOLE)
    broken[at] ^= 1 << bit
    _, failure = await read(bytes(broken))
    assert failure is not None
    assert failure.kind in (FailureKind.STREAM_CUT, FailureKind.BAD_ANSWER)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (exception("throttlingException", "Too many tokens, please wait"), FailureKind.RATE_LIMIT),
        (exception("validationException", "Input is too long for requested model."), FailureKind.CONTEXT_LENGTH),
        (exception("modelStreamErrorException", "The model failed"), FailureKind.BAD_ANSWER),
        (exception("internalServerException", "Something"), FailureKind.BAD_ANSWER),
        (error("ServiceUnavailable", "Try again"), FailureKind.BAD_ANSWER),
        (event("messageStop", {"stopReason": "malformed_tool_use"}), FailureKind.BAD_ANSWER),
    ],
)
async def test_exceptions_inside_a_stream(frame: bytes, kind: FailureKind) -> None:
    events, failure = await read(b"".join(frames(SAID)[:6]) + frame)
    assert events
    assert failure is not None
    assert failure.kind is kind
    assert failure.error_inside


async def test_new_events_and_blocks_are_passed_over() -> None:
    text = frames(Said())
    web = {"toolUseId": "x", "name": "web", "type": "server_tool_use"}
    odd: list[bytes] = [
        event("newerEvent", {"a": 1}),
        event("contentBlockStart", {"contentBlockIndex": 7, "start": {"toolUse": web}}),
        event("contentBlockDelta", {"contentBlockIndex": 7, "delta": {"toolUse": {"input": "{}"}}}),
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"citation": {"title": "A"}}}),
    ]  # fmt: skip
    events, failure = await read(b"".join([*text[:3], *odd, *text[3:]]))
    assert failure is None
    reader = BedrockTranslator.event_reader()
    made = assembled(each for one in events for each in reader.read(one.data))
    assert [type(part).__name__ for part in made.choices[0].parts] == ["Text"]


async def test_an_answer_instead_of_a_stream() -> None:
    whole = json.dumps(spoken_converse.unary({}, SAID)).encode()
    events, failure = await read(whole, "application/json")
    assert failure is None
    assert "".join(each.text for each in events) == "Hello there"
    assert events[-1].usage is not None
    _, failure = await read(b"data: {}\n\n", "text/event-stream")
    assert failure is not None


def answer(**changed: Any) -> bytes:
    return json.dumps({**spoken_converse.unary({}, Said()), **changed}).encode()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", FailureKind.BAD_ANSWER),
        (b'{"message":"The security token included in the request is expired"}', FailureKind.AUTHENTICATION),
        (b'{"choices":[]}', FailureKind.BAD_ANSWER),
        (b"<html></html>", FailureKind.BAD_ANSWER),
        (answer(stopReason="malformed_model_output"), FailureKind.BAD_ANSWER),
    ],
)
def test_what_is_not_an_answer(body: bytes, kind: FailureKind) -> None:
    with pytest.raises(ProviderFailure) as caught:
        SIDE.read(body, ProviderCall(CHAT, "m", {}), Address("here", "http://here"))
    assert caught.value.kind is kind


def test_an_empty_answer_with_a_reason_is_one() -> None:
    body = answer(output={"message": {"role": "assistant", "content": []}})
    assert SIDE.read(body, ProviderCall(CHAT, "m", {}), Address("here", "http://here")).size == 0


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("amazon.nova-pro-v1:0", "model/amazon.nova-pro-v1%3A0/converse"),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.x",
            "model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.x/converse",
        ),
    ],
)
def test_the_model_is_in_the_path(model: str, path: str) -> None:
    assert SIDE.path(CHAT, model, stream=False) == path
    assert SIDE.path(CHAT, model, stream=True) == f"{path}-stream"
