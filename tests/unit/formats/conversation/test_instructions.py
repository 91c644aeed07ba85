"""Instructions that come late or in several turns, for servers that take one system message, the first."""

from __future__ import annotations

from meshd.formats.conversation.instructions import with_instructions_first
from meshd.formats.conversation.parts import Image, Source, Text, ToolCall, ToolResult
from meshd.formats.conversation.request import Conversation, Role, Turn

TAGGED = "<system-reminder>\n{}\n</system-reminder>"


def turn(role: Role, *texts: str) -> Turn:
    return Turn(role, tuple(Text(text) for text in texts))


def roles_and_texts(*turns: Turn) -> list[tuple[str, list[str]]]:
    made = with_instructions_first(Conversation("m", turns)).turns
    return [(str(each.role), [part.text for part in each.parts if isinstance(part, Text)]) for each in made]


def test_what_is_in_order_stays() -> None:
    turns = (turn(Role.SYSTEM, "a", "b"), turn(Role.USER, "c"), turn(Role.ASSISTANT, "d"))
    assert with_instructions_first(Conversation("m", turns)).turns == turns
    assert with_instructions_first(Conversation("m", ())).turns == ()


def test_the_first_ones_are_one_system_turn() -> None:
    told = roles_and_texts(turn(Role.SYSTEM, "a"), turn(Role.DEVELOPER, "b", "c"), turn(Role.USER, "d"))
    assert told == [("system", ["a", "b", "c"]), ("user", ["d"])]
    assert roles_and_texts(turn(Role.DEVELOPER, "a"), turn(Role.USER, "b")) == [("system", ["a"]), ("user", ["b"])]


def test_later_ones_are_said_by_the_user() -> None:
    assert roles_and_texts(turn(Role.USER, "a"), turn(Role.SYSTEM, "b"), turn(Role.DEVELOPER, "c")) == [
        ("user", ["a", TAGGED.format("b"), TAGGED.format("c")])
    ]


def test_after_an_answer_or_a_result_they_are_a_turn() -> None:
    called = Turn(Role.ASSISTANT, (ToolCall("1", "f", "{}"),))
    result = Turn(Role.TOOL, (ToolResult("1", (Text("r"),)),))
    made = with_instructions_first(Conversation("m", (turn(Role.USER, "a"), called, result, turn(Role.SYSTEM, "b"))))
    assert made.turns == (turn(Role.USER, "a"), called, result, turn(Role.USER, TAGGED.format("b")))


def test_those_of_several_parts_are_marked_as_a_whole() -> None:
    image = Image(Source(url="https://x"))
    late = Turn(Role.SYSTEM, (Text("look"), image))
    [made] = with_instructions_first(Conversation("m", (turn(Role.USER, "a"), late))).turns
    begin, end = TAGGED.split("{}")
    assert made.parts == (Text("a"), Text(begin), Text("look"), image, Text(end))
