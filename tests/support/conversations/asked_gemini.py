"""Conversations as apps of the Gemini API send them (`body`), and what such a provider was asked (`meant`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.conversations.drawn import SCHEMA, Call, Chat, Image, Text, Thought, Turn, exactly
from tests.support.formats.openai_chats import Json


def body(chat: Chat) -> Json:
    names = {part.id: part.name for turn in chat.turns for part in turn.parts if isinstance(part, Call)}
    contents = [_content(turn, names) for turn in chat.turns]
    made: Json = {"contents": contents, "generationConfig": {"maxOutputTokens": chat.limit}}
    declared = [{"name": name, "parametersJsonSchema": SCHEMA} for name in chat.tools]
    made |= {"tools": [{"functionDeclarations": declared}]} if declared else {}
    return made | ({"systemInstruction": {"parts": [{"text": chat.system}]}} if chat.system else {})


def _content(turn: Turn, names: dict[str, str]) -> Json:
    role = "model" if turn.role == "assistant" else "user"
    return {"role": role, "parts": [_part(part, names) for part in turn.parts]}


def _part(part: Any, names: dict[str, str]) -> Json:
    match part:
        case Text(text):
            return {"text": text}
        case Thought(text):
            return {"text": text, "thought": True}
        case Call(id, name, arguments):
            return {"functionCall": {"id": id, "name": name, "args": arguments}}
        case Image(data, url):
            if url:
                return {"fileData": {"mimeType": "image/png", "fileUri": url}}
            return {"inlineData": {"mimeType": "image/png", "data": data}}
    texts = [each.text for each in part.parts if isinstance(each, Text)]
    output: Any = texts[0] if len(texts) == 1 else texts or ""
    response = {"error" if part.failed else "output": output}
    made: Json = {"id": part.call, "name": names.get(part.call, "unknown"), "response": response}
    shown = [_part(each, names) for each in part.parts if isinstance(each, Image)]
    return {"functionResponse": made | ({"parts": shown} if shown else {})}


def meant(asked: Json) -> Iterator[Any]:
    if system := "".join(part["text"] for part in asked.get("systemInstruction", {}).get("parts", ())):
        yield "system", system
    for content in asked["contents"]:
        role = "assistant" if content["role"] == "model" else "user"
        parts = content["parts"]
        thought = "".join(part["text"] for part in parts if part.get("thought"))
        seal = "".join(part.get("thoughtSignature", "") for part in parts)
        if thought or seal:
            yield "thought", thought, seal
        for part in parts:
            if not part.get("thought"):
                yield from _facts(part, role)


def _facts(part: Json, role: str) -> Iterator[Any]:
    match part:
        case {"functionCall": call}:
            yield "call", call["id"], call["name"], exactly(call["args"])
        case {"functionResponse": result}:
            [(kind, said)] = result["response"].items()
            texts = said if isinstance(said, list) else [said]
            shown = [fact for each in result.get("parts", ()) for fact in _shown(each)]
            yield "result", result["id"], [text for text in texts if text] + shown, kind == "error"
        case {"text": text}:
            if text:
                yield role, text
        case _:
            yield from ((role, fact) for fact in _shown(part))


def _shown(part: Json) -> list[Any]:
    match part:
        case {"inlineData": {"mimeType": kind, "data": data}}:
            return [("image", f"data:{kind};base64,{data}")]
        case {"fileData": {"fileUri": url}}:
            return [("image", url)]
    raise AssertionError(f"{part} was not said")
