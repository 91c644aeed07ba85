"""An app gets the same answer, whichever of six formats the member that serves it speaks; as the real SDKs read it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tests.integration.formats.conftest import APPS, FORMATS
from tests.support.apps.sdks.sdk_calls import PNG, SYSTEM, TEXT, Sdks, Weather, asked, parsed
from tests.support.conversations import drawn, told
from tests.support.providers.vendors.six_apis import SixApis, format_of
from tests.support.providers.vendors.three_apis import Json, Said

SAID = {
    "text": Said("Hello there", tokens_in=100, tokens_out=50, cached=40),
    "calls": Said("I look.", calls=(("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"}))),
    "only calls": Said("", calls=(("weather", {"city": "Oslo"}),)),
    "reasoning": Said("Hello there", thought="It is in Oslo.", reasoned=3),
    "length": Said("Hello", finish="length"),
    "filter": Said("Hello", finish="filter"),
}
OF_ITS_PROVIDER = {
    "reasoning_details", "thoughtSignature", "encrypted_content", "signature", "cache_write_tokens",
    "output_tokens_details", "prompt_tokens_details", "completion_tokens_details", "thoughtsTokenCount",
}  # fmt: skip
"""Fields that tell what only some providers report."""
SIGNED = ("thoughtSignature", "signature_delta", "reasoning_details")
"""In payloads with what a provider needs back of its reasoning, if it needs anything."""
GOOGLES_PNG = PNG.replace("+", "-").replace("/", "_")
"""As its SDK sends it, which no other API reads."""


def fields(value: Any, at: str = "") -> set[str]:
    """The path and the type of each."""
    if isinstance(value, list):
        return {at} | {path for each in value for path in fields(each, f"{at}[]")}
    if not isinstance(value, dict):
        return {f"{at}: {type(value).__name__}"}
    inner = {name: each for name, each in value.items() if name not in OF_ITS_PROVIDER}
    return {path for name, each in inner.items() for path in fields(each, f"{at}.{name}")}


def kinds(api: str, payloads: list[Json]) -> list[str]:
    """Of a stream's payloads, in order; neighbours of one kind count once."""
    return [kind for kind, _ in itertools.groupby(_kind(api, each) for each in payloads)]


def _kind(api: str, payload: Json) -> str:
    if api in ("anthropic", "responses"):
        return f"{payload['type']} {payload.get('delta', {}).get('type', '') if api == 'anthropic' else ''}"
    if api == "openai":
        [delta] = [choice["delta"] for choice in payload["choices"]] or [{"usage": True}]
        return " ".join(sorted(delta.keys() - {"role"}))
    [candidate] = payload["candidates"]
    parts = [name for part in candidate["content"].get("parts", ()) for name in part]
    return " ".join([*parts, candidate.get("finishReason", "")])


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("api", APPS)
def test_an_answer_is_the_same_in_one_piece_and_streamed(api: str, said: str, sdks: Sdks, apis: SixApis) -> None:
    members = [each for each in FORMATS if (each, said) != ("cohere", "filter")]  # it has none
    seen: list[tuple[set[str], set[str], list[str]]] = []
    for member in members:
        apis.answer = answer = drawn.as_said_in(member, SAID[said])
        whole = asked(sdks, api, f"of-{member}")
        events = asked(sdks, api, f"of-{member}", stream=True)
        expected = told.meant(answer)
        assert told.told(api, whole) == told.told(api, told.streamed(api, events)) == expected, member
        if member != api:  # else it is the provider's own, byte for byte
            kept = [each for each in events if not any(name in str(each) for name in SIGNED)]
            seen.append((fields(whole), fields(kept), kinds(api, kept)))
    for first, each in itertools.pairwise(seen):
        assert each == first
    assert [format_of(each) for each in apis.asked] == [each for each in members for _ in "12"]
    for each in apis.asked:
        picture = GOOGLES_PNG if api == format_of(each) == "gemini" else PNG
        assert all(word in each.raw.decode() for word in (picture, SYSTEM, TEXT, '"city"'))


SCHEMA_AT = {
    "openai": ("response_format", "json_schema", "schema"),
    "anthropic": ("output_config", "format", "schema"),
    "responses": ("text", "format", "schema"),
    "gemini": ("generationConfig",),
    "cohere": ("response_format", "json_schema"),
    "bedrock": ("outputConfig", "textFormat", "structure", "jsonSchema", "schema"),
}


@pytest.mark.parametrize("api", APPS)
def test_a_json_schema_reaches_every_member(api: str, sdks: Sdks, apis: SixApis) -> None:
    apis.answer = Said('{"city": "Oslo", "degrees": 3}')
    for member in FORMATS:
        assert parsed(sdks, api, f"of-{member}") == Weather(city="Oslo", degrees=3), member
        found: Any = apis.asked[-1].body
        for name in SCHEMA_AT[member]:
            found = found[name]
        if member == "gemini":
            found = found["responseSchema" if api == "gemini" else "responseJsonSchema"]
        schema = json.loads(found) if isinstance(found, str) else found
        assert (set(schema["properties"]), schema["required"]) == ({"city", "degrees"}, ["city", "degrees"]), member


def test_when_it_was_made_is_told_by_the_mesh_if_by_no_provider(sdks: Sdks, apis: SixApis) -> None:
    for member in ("anthropic", "gemini", "cohere", "bedrock"):
        whole = asked(sdks, "openai", f"of-{member}")
        chunks = asked(sdks, "openai", f"of-{member}", stream=True)
        [made] = {chunk["created"] for chunk in chunks}
        assert 0 <= made - whole["created"] < 60
        assert whole["created"] > 1_700_000_000
