"""One request by the vendors' SDKs, whichever API: with instructions, a picture and tools.

`asked` gives what came as JSON in that API's own words: one answer, or a stream's payloads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import types
from pydantic import BaseModel

from tests.support.formats.openai_chats import Json

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SYSTEM, TEXT = "Be brief.", "Where is it, and how is the weather there?"
SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_URL = f"data:image/png;base64,{PNG}"


@dataclass(frozen=True)
class Sdks:
    gpt: openai.OpenAI
    claude: anthropic.Anthropic
    google: genai.Client


class Weather(BaseModel):
    city: str
    degrees: int


def asked(sdks: Sdks, api: str, pool: str, *, stream: bool = False) -> Any:
    """Raises what the SDK raises."""
    if api == "gemini":
        return _gemini(sdks.google, pool, stream)
    found = _CALLS[api](sdks, pool, stream)
    return [_json(each) for each in found] if stream else _json(found)


def parsed(sdks: Sdks, api: str, pool: str) -> Any:
    """An answer in the form of `Weather`, as the SDK reads it."""
    if api == "openai":
        chat = sdks.gpt.chat.completions.parse(model=pool, messages=_hi(), response_format=Weather)
        return chat.choices[0].message.parsed
    if api == "responses":
        return sdks.gpt.responses.parse(model=pool, input=TEXT, text_format=Weather).output_parsed
    if api == "anthropic":
        message = sdks.claude.messages.parse(model=pool, messages=_hi(), max_tokens=50, output_format=Weather)
        return message.parsed_output
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Weather)
    return sdks.google.models.generate_content(model=pool, contents=TEXT, config=config).parsed


def _hi() -> Any:
    return [{"role": "user", "content": TEXT}]


def _json(found: Any) -> Json:
    made: Json = found.model_dump(mode="json", exclude_unset=True)
    return made


def _chat(sdks: Sdks, pool: str, stream: bool) -> Any:
    said = [{"type": "text", "text": TEXT}, {"type": "image_url", "image_url": {"url": _URL}}]
    messages: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": said}]
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    more: Any = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return sdks.gpt.chat.completions.create(model=pool, messages=messages, tools=tools, **more)


def _messages(sdks: Sdks, pool: str, stream: bool) -> Any:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    said = [{"type": "text", "text": TEXT}, {"type": "image", "source": source}]
    messages: Any = [{"role": "user", "content": said}]
    tools: Any = [{"name": "weather", "input_schema": SCHEMA}]
    return sdks.claude.messages.create(
        model=pool, system=SYSTEM, messages=messages, tools=tools, max_tokens=500, stream=stream
    )


def _responses(sdks: Sdks, pool: str, stream: bool) -> Any:
    said = [{"type": "input_text", "text": TEXT}, {"type": "input_image", "image_url": _URL, "detail": "auto"}]
    items: Any = [{"role": "user", "content": said}]
    tools: Any = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]
    return sdks.gpt.responses.create(model=pool, instructions=SYSTEM, input=items, tools=tools, stream=stream)


def _gemini(google: genai.Client, pool: str, stream: bool) -> Any:
    said: Any = [{"text": TEXT}, {"inline_data": {"mime_type": "image/png", "data": PNG}}]
    declared = types.FunctionDeclaration(name="weather", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(
        system_instruction=SYSTEM, tools=[types.Tool(function_declarations=[declared])]
    )
    contents: Any = [{"role": "user", "parts": said}]
    if stream:
        chunks = google.models.generate_content_stream(model=pool, contents=contents, config=config)
        return [_google_json(each) for each in chunks]
    return _google_json(google.models.generate_content(model=pool, contents=contents, config=config))


def _google_json(answer: Any) -> Json:
    found: Json = answer.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"sdk_http_response", "parsed"}
    )
    return found


_CALLS = {"openai": _chat, "anthropic": _messages, "responses": _responses}
