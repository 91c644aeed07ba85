"""The answer that a stream's events amount to, of whatever format they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.conversation.answer import Answer, Choice, Finish, TokenLogprob
from meshd.formats.conversation.events import (
    AudioDelta,
    Began,
    CallBegan,
    CallDelta,
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Unread,
    Used,
    assembled,
)
from meshd.formats.conversation.parts import Audio, Original, Reasoning, Refusal, Source, Text, ToolCall
from meshd.sdk.provider import Usage


def parts_of(*events: Event) -> tuple[object, ...]:
    return assembled(events).choices[0].parts


def test_blocks_stay_in_their_order() -> None:
    """As Anthropic streams them: thinking and its signature, text, a call, text again."""
    answer = assembled(
        [
            Began("msg_1", "m"),
            ReasoningDelta("Let me", block=0),
            ReasoningDelta(" see.", block=0),
            ReasoningDelta(signature="sig", block=0),
            TextDelta("I ", block=1),
            TextDelta("look.", block=1),
            CallBegan(0, "toolu_1", "weather"),
            CallDelta(0, '{"place":'),
            CallDelta(0, '"Rome"}'),
            TextDelta("Done.", block=3),
            Finished(Finish.SEQUENCE, sequence="END"),
            Used(Usage(7, 1)),
            Used(Usage(7, 9)),
        ]
    )
    parts = (
        Reasoning("Let me see.", "sig"),
        Text("I look."),
        ToolCall("toolu_1", "weather", '{"place":"Rome"}'),
        Text("Done."),
    )
    assert answer == Answer((Choice(parts, Finish.SEQUENCE, 0, "END"),), "msg_1", "m", None, Usage(7, 9))


def test_another_block_is_another_part() -> None:
    assert parts_of(TextDelta("a", block=0), TextDelta("b", block=1)) == (Text("a"), Text("b"))
    encrypted = (ReasoningDelta(encrypted="x", block=0), ReasoningDelta(encrypted="y", block=1))
    assert parts_of(*encrypted) == (Reasoning(encrypted="x"), Reasoning(encrypted="y"))


def test_choices_are_told_apart_and_ordered() -> None:
    answer = assembled([TextDelta("b", 1), TextDelta("a", 0), TextDelta("b", 1), Finished(Finish.STOP, 0)])
    assert answer.choices == (Choice((Text("a"),), Finish.STOP, 0), Choice((Text("bb"),), None, 1))


def test_calls_that_come_in_turns_are_whole() -> None:
    events = [CallBegan(0, "a", "f"), CallBegan(1, "b", "g"), CallDelta(0, "1"), CallDelta(1, "2"), CallDelta(0, "3")]
    assert parts_of(*events) == (ToolCall("a", "f", "13"), ToolCall("b", "g", "2"))


def test_arguments_of_a_call_that_never_began_are_not_lost() -> None:
    assert parts_of(CallDelta(0, "{}")) == (ToolCall("", "", "{}"),)


def test_speech_is_one_part() -> None:
    events = [AudioDelta("AA", "Hel", "audio_1"), AudioDelta("BB", "lo"), AudioDelta(expires=9), RefusalDelta("No.")]
    assert parts_of(*events) == (Audio(Source("AABB", id="audio_1"), "Hello", 9), Refusal("No."))


def test_likelihoods_are_joined_and_what_is_unread_is_left_out() -> None:
    one, two = TokenLogprob("a", -0.5), TokenLogprob("b", -1.5)
    unread = Unread(Original("openai", b"{}"), 0)
    answer = assembled([TextDelta("a", logprobs=(one,)), unread, TextDelta("b", logprobs=(two,))])
    assert answer.choices[0].logprobs == (one, two)
    assert assembled([unread]).choices == ()


@given(st.lists(st.text(max_size=5), max_size=20), st.lists(st.integers(0, 2), max_size=20))
def test_no_text_is_lost_however_it_is_split(texts: list[str], blocks: list[int]) -> None:
    events = [TextDelta(text, block=block) for text, block in zip(texts, blocks, strict=False)]
    whole = "".join(event.text for event in events)
    choices = assembled(events).choices
    assert "".join(part.text for choice in choices for part in choice.parts if isinstance(part, Text)) == whole
