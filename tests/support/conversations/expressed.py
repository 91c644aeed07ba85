"""What of a drawn conversation each API can say, as docs/providers.md has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.conversations import drawn, told
from tests.support.providers.vendors.three_apis import Said


def chat_for(app: str, member: str, chat: drawn.Chat) -> drawn.Chat:
    """One that an app of that API can send, and that a member of the other takes."""
    if app == "openai":
        chat = drawn.without_pictures_of_tools(chat)
    return drawn.with_pictures_in_hand(chat) if member == "bedrock" else chat


def facts_for(app: str, member: str, chat: drawn.Chat) -> list[Any]:
    """What reaches the member. Only Anthropic's API and Gemini's say that a tool failed, and in the latter images come
    after a result's text. In a chat a tool's result is text, and images in it are the user's. Converse refuses blank
    texts. What passes between an app and a member of one API is unchanged."""
    facts = drawn.facts(chat)
    if member == "bedrock":
        facts = [fact for fact in facts if not _is_blank(fact[-1])]
        facts = [(*fact[:2], [each for each in fact[2] if not _is_blank(each)], False) if fact[0] == "result" else fact
                 for fact in facts]  # fmt: skip
    made: list[Any] = []
    shown: list[Any] = []
    for fact in facts:
        if fact[0] != "result":
            made, shown = [*made, *shown, fact], []
            continue
        _, call, said, failed = fact
        if "gemini" in (app, member):
            said = sorted(said, key=lambda each: type(each) is tuple)
        if member in ("openai", "cohere"):
            for n, each in enumerate(said):
                if type(each) is tuple:
                    name = f"image {len(shown) // 2 + 1}"
                    shown += [("user", f"[{name}, from a tool]"), ("user", each)]
                    said = [*said[:n], f"[{name}: see the next message]", *said[n + 1 :]]
        made.append(("result", call, said, failed and {app, member} <= {"anthropic", "gemini"}))
    return [*made, *shown]


def check_answer(app: str, member: str, found: told.Told, said: Said, *, stream: bool) -> None:
    """Whether an app was told what the member said, as far as both APIs have it."""
    meant = told.meant(said)
    assert replace(found, cites=()) == replace(meant, cites=())
    if stream and len(said.calls) > 1 and member == "gemini" and app in ("anthropic", "responses"):
        assert not found.cites, "it comes after the calls, when the text is closed"
    elif stream and app == "anthropic" and member != "bedrock":
        assert told.cited_at_the_end(found.cites, meant.cites), "a block cites, and what it says was told already"
    else:
        assert found.cites == meant.cites


def _is_blank(said: Any) -> bool:
    return isinstance(said, str) and not said.strip()
