"""Conversations and answers in words of no API, as hypothesis draws them.

`facts` says what a conversation means, in order, however an API cuts it into turns; what is empty means nothing.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from tests.support.formats import openai_chats
from tests.support.formats.openai_chats import Json, values, words
from tests.support.providers.vendors.three_apis import Said


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Image:
    """A PNG as base64, or a URL."""

    data: str = ""
    url: str = ""


@dataclass(frozen=True)
class Thought:
    """Reasoning that this mesh told the app earlier: only a text."""

    text: str


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: Json


@dataclass(frozen=True)
class Result:
    call: str
    parts: tuple[Text | Image, ...]
    failed: bool


@dataclass(frozen=True)
class Turn:
    """role: user, assistant, or tool, whose parts are results."""

    role: str
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Chat:
    """limit: of the output."""

    system: str
    turns: tuple[Turn, ...]
    tools: tuple[str, ...]
    limit: int = 4321


SCHEMA: Json = {"type": "object", "properties": {"place": {"type": "string", "description": "Où? 🗺️"}}}
_odd = st.sampled_from(
    ["🏳️‍🌈👩🏽‍🚀", "\u202eabc\u2066", "e\u0301\u0327", "\ufeffbom", "\u2028line\u2029", '"\\/\b\f\n\r\t', "\x00\x1f\x7f",
     "<system-reminder>", "data: [DONE]\n\n", '{"type":"tool_use"}', "\uffff\U0010ffff", "ＡＢＣ½", " ", "\n"]
)  # fmt: skip
texts = openai_chats.texts | _odd
_spoken = texts.filter(lambda text: bool(text.strip()))
_ids = st.text("abcXYZ019_-", min_size=1, max_size=12)
_arguments = st.dictionaries(texts, values, max_size=3) | st.just(
    {"": {"a": [[{"b": [1, 2.5, -0.0, 1e21, 2**63, None, True, "ü\U0001f600"]}]]}}
)
_base64 = st.binary(min_size=1, max_size=40).map(lambda data: b64encode(data).decode())
images = st.builds(Image, data=_base64) | st.builds(Image, url=words.map("https://example.com/{}.png".format))


def _results(draw: st.DrawFn, calls: tuple[Call, ...]) -> Turn:
    content = st.lists(st.builds(Text, texts) | images, max_size=3).map(tuple)
    return Turn("tool", tuple(Result(call.id, draw(content), draw(st.booleans())) for call in calls))


@st.composite
def chats(draw: st.DrawFn) -> Chat:
    """Of turns as agents send them: the calls of an answer are followed by their results."""
    tools = tuple(draw(st.lists(words, min_size=1, max_size=3, unique=True)))
    ids = draw(st.lists(_ids, min_size=9, max_size=9, unique=True))
    turns: list[Turn] = []
    for _ in range(draw(st.integers(1, 3))):
        said = draw(st.lists(st.builds(Text, texts) | images, max_size=3))
        turns.append(Turn("user", (*said, Text(draw(_spoken)))))
        thoughts = [Thought(draw(_spoken))] if draw(st.booleans()) else []
        spoken = [Text(draw(texts))] if draw(st.booleans()) else []
        count = draw(st.integers(0, 3))
        calls = [Call(ids.pop(), draw(st.sampled_from(tools)), draw(_arguments)) for _ in range(count)]
        if not any(part.text.strip() for part in spoken) and not calls:
            spoken = [Text(draw(_spoken))]
        turns.append(Turn("assistant", (*thoughts, *spoken, *calls)))
        if calls:
            turns.append(_results(draw, tuple(calls)))
    if turns[-1].role == "assistant":
        turns.append(Turn("user", (Text(draw(_spoken)),)))
    return Chat(draw(texts), tuple(turns), tools)


_pages = st.none() | st.tuples(words.map("https://pages.example/{}".format), _spoken)


def _cites(pieces: list[Any]) -> tuple[tuple[str, str, int, int], ...]:
    """pieces: texts, each with the page that it cites."""
    found, at = [], 0
    for text, page in pieces:
        if page is not None:
            found.append((*page, at, at + len(text)))
        at += len(text)
    return tuple(found)


@st.composite
def answers(draw: st.DrawFn) -> Said:
    """What a model says: it thinks, speaks and calls tools, or some of these."""
    calls = draw(st.lists(st.tuples(words, _arguments), max_size=3).map(tuple))
    cached, thought_tokens = draw(st.integers(0, 50)), draw(st.integers(0, 9))
    thought, sealed = draw(texts), draw(st.sampled_from(["", "c2VhbA==", "a+/x+/8="]))
    pieces = draw(st.lists(st.tuples(_spoken, _pages), min_size=0 if calls else 1, max_size=3))
    return Said(
        text="".join(text for text, _ in pieces),
        cites=_cites(pieces),
        thought=thought,
        sealed=sealed or ("c2VhbA==" if thought else ""),
        calls=calls,
        finish="calls" if calls else draw(st.sampled_from(["stop", "length", "filter"])),
        tokens_in=cached + draw(st.integers(1, 10**6)),
        tokens_out=thought_tokens + draw(st.integers(1, 10**6)),
        cached=cached,
        reasoned=thought_tokens,
        whole=draw(st.booleans()),
    )


def as_said_in(format: str, said: Said) -> Said:
    """What a model can say in that API: Converse and Cohere do not say how many tokens were of reasoning, and Cohere
    seals nothing and has no filter."""
    if format == "cohere":
        finish = "stop" if said.finish == "filter" else said.finish
        return replace(said, finish=finish, sealed="", reasoned=0)
    return replace(said, reasoned=0) if format == "bedrock" else said


def without_pictures_of_tools(chat: Chat) -> Chat:
    """In a chat, a tool's result is text."""

    def plain(part: Any) -> Any:
        if not isinstance(part, Result):
            return part
        return replace(part, parts=tuple(each for each in part.parts if isinstance(each, Text)))

    return replace(chat, turns=tuple(replace(turn, parts=tuple(map(plain, turn.parts))) for turn in chat.turns))


def with_pictures_in_hand(chat: Chat) -> Chat:
    """For an API that fetches none."""

    def plain(part: Any) -> Any:
        if isinstance(part, Result):
            return replace(part, parts=tuple(map(plain, part.parts)))
        return Image(data="iVBORw0KGgo=") if isinstance(part, Image) and part.url else part

    return replace(chat, turns=tuple(replace(turn, parts=tuple(map(plain, turn.parts))) for turn in chat.turns))


def facts(chat: Chat) -> list[Any]:
    said: list[Any] = [("system", chat.system)] if chat.system else []
    for turn in chat.turns:
        for part in turn.parts:
            match part:
                case Text() | Image():
                    said += [(turn.role, fact) for fact in content([part])]
                case Call():
                    said.append(("call", part.id, part.name, exactly(part.arguments)))
                case Result():
                    said.append(("result", part.call, content(part.parts), part.failed))
    return said


def content(parts: Iterable[Text | Image]) -> list[Any]:
    """Texts, and images as URLs."""
    found: list[Any] = []
    for part in parts:
        if isinstance(part, Image):
            found.append(("image", part.url or f"data:image/png;base64,{part.data}"))
        elif part.text:
            found.append(part.text)
    return found


def exactly(value: Any) -> str:
    """JSON that tells 1 from 1.0 and from true, and does not depend on the order of keys."""
    return json.dumps(value, sort_keys=True)


HELLO = Chat("Be brief.", (Turn("user", (Text("Hello?"),)),), ("f",))
