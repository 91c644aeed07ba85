"""What sound costs: its tokens have prices of their own, reserved at the dearer one, settled by what is reported.

The figures are those of the pages that the catalogue's rows name, read on 28 November 2026.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from meshd.core.needs import RequestNeeds
from meshd.core.prices import HEARD, HEARD_CACHED, SPOKEN
from meshd.formats.gemini import usage as of_gemini
from meshd.formats.openai import usage as of_openai
from meshd.operations.audio.transcription import TRANSCRIPTION
from meshd.operations.chat import CHAT
from meshd.routing.attempts.usage import in_units
from meshd.routing.request.estimate import upper_bound
from meshd.routing.request.unpriced import unpriced
from meshd.routing.table.specs import PoolSpec
from meshd.sdk.provider import Usage
from tests.unit.catalogue.test_costs import M, chat, dollars, model, prompt, read

HEARS = RequestNeeds(CHAT, attached=4000, max_output=500, most=100, tokens=4100)
SPEAKS = replace(HEARS, costly=("modalities", "audio"))


def spoken(prompt_audio: int, output_audio: int, **more: Any) -> dict[str, Any]:
    usage = prompt(1300, 400, audio_tokens=prompt_audio, **more)
    return chat(
        **usage | {"completion_tokens_details": {"audio_tokens": output_audio, "text_tokens": 400 - output_audio}}
    )


def test_openai_hears_and_speaks() -> None:
    """gpt-audio-1.5: text $2.50 and $10, audio $32 and $64."""
    of = model("openai.llm.v1", "gpt-audio-1.5")
    usage = in_units(read("openai", spoken(1200, 300)), SPEAKS, of)
    assert dollars(usage, of) == (100 * Decimal("2.5") + 1200 * 32 + 100 * 10 + 300 * 64) / M
    reserved = upper_bound(SPEAKS, of)
    assert Decimal(reserved.cost) / 10**9 == (100 * Decimal("2.5") + 4000 * 32 + 500 * 64) / M
    silent = upper_bound(HEARS, of)
    assert Decimal(silent.cost) / 10**9 == (100 * Decimal("2.5") + 4000 * 32 + 500 * 10) / M


def test_what_is_not_reported_apart_is_taken_for_sound_where_there_was_some() -> None:
    of = model("openai.llm.v1", "gpt-audio-1.5")
    plain = read("openai", chat(**prompt(1300, 400)))
    assert dollars(in_units(plain, SPEAKS, of), of) == (Decimal(1300 * 32) + 400 * 64) / M
    assert dollars(in_units(plain, HEARS, of), of) == (Decimal(1300 * 32) + 400 * 10) / M
    text = RequestNeeds(CHAT, most=2000, tokens=1300)
    assert dollars(in_units(plain, text, of), of) == (1300 * Decimal("2.5") + 400 * 10) / M
    lied = in_units(read("openai", spoken(10**9, -5)), SPEAKS, of)
    assert dict(lied.units) == {HEARD: 1300, SPOKEN: 400}, "no more than there were tokens"


def test_openai_transcribes_by_tokens() -> None:
    """gpt-4o-transcribe: audio $6, text $2.50 and $10. A second is at most 32 tokens, an answer 2,000."""
    of = model("openai.llm.v1", "gpt-4o-transcribe")
    needs = RequestNeeds(TRANSCRIPTION, units={"seconds": 60})
    details = {"audio_tokens": 600, "text_tokens": 20}
    usage = {"type": "tokens", "input_tokens": 620, "output_tokens": 150, "total_tokens": 770}
    told = read("openai", {"text": "Yes.", "usage": {**usage, "input_token_details": details}}, TRANSCRIPTION)
    assert dollars(in_units(told, needs, of), of) == (600 * Decimal(6) + 20 * Decimal("2.5") + 150 * 10) / M
    bare = read("openai", {"text": "Yes.", "usage": usage}, TRANSCRIPTION)
    assert dollars(in_units(bare, needs, of), of) == (620 * Decimal(6) + 150 * 10) / M
    assert Decimal(upper_bound(needs, of).cost) / 10**9 >= (60 * 32 * Decimal(6) + 2000 * 10) / M


def gemini(**details: Any) -> dict[str, Any]:
    counts = {"promptTokenCount": 1000, "candidatesTokenCount": 50, "totalTokenCount": 1050}
    candidate = {"content": {"role": "model", "parts": [{"text": "Yes."}]}, "finishReason": "STOP"}
    return {"candidates": [candidate], "usageMetadata": counts | details}


def of_kinds(text: int, audio: int) -> list[dict[str, Any]]:
    """A kind of which there are no tokens is left out."""
    return [{"modality": kind, "tokenCount": n} for kind, n in (("TEXT", text), ("AUDIO", audio)) if n]


def test_gemini_by_modality() -> None:
    """gemini-2.5-flash: $0.30 and $2.50, cached $0.03; audio $1, cached $0.10."""
    of = model("google.gemini.v1", "gemini-2.5-flash")
    told = read("gemini", gemini(promptTokensDetails=of_kinds(400, 600), candidatesTokensDetails=of_kinds(50, 0)))
    assert dollars(in_units(told, HEARS, of), of) == (400 * Decimal("0.3") + 600 + 50 * Decimal("2.5")) / M
    cached = gemini(
        promptTokensDetails=of_kinds(400, 600),
        cachedContentTokenCount=500,
        cacheTokensDetails=of_kinds(300, 200),
    )
    usage = in_units(read("gemini", cached), HEARS, of)
    assert dict(usage.units) == {HEARD: 400, HEARD_CACHED: 200}
    by_hand = 100 * Decimal("0.3") + 300 * Decimal("0.03") + 400 + 200 * Decimal("0.1") + 50 * Decimal("2.5")
    assert dollars(usage, of) == by_hand / M
    paper = read("gemini", gemini(promptTokensDetails=of_kinds(1000, 0)))
    assert dollars(in_units(paper, HEARS, of), of) == (1000 * Decimal("0.3") + 50 * Decimal("2.5")) / M, (
        "a file of text"
    )
    assert Decimal(upper_bound(HEARS, of).cost) / 10**9 == (100 * Decimal("0.3") + 4000 + 500 * Decimal("2.5")) / M


def test_where_sound_from_a_cache_has_no_price_it_costs_what_other_sound_does() -> None:
    of = model("openai.llm.v1", "gpt-audio-1.5")
    usage = Usage(1000, 0, 200, units=((HEARD, 300), (HEARD_CACHED, 200)))
    assert dict(in_units(usage, HEARS, of).units)[HEARD] == 500


@pytest.mark.parametrize("id", ["gpt-audio-1.5", "gpt-5-mini"])
def test_a_budget_pays_for_sound_that_has_a_price(id: str) -> None:
    fields, parts = unpriced(SPEAKS, model("openai.llm.v1", id), PoolSpec("q", "chat-completion", ("p.m",)))
    assert (fields, parts) == (() if id == "gpt-audio-1.5" else ("modalities", "audio"), ())


@pytest.mark.parametrize("format", ["openai", "gemini"])
def test_an_app_of_either_format_is_told_of_it(format: str) -> None:
    usage = Usage(1000, 60, 300, units=((HEARD, 400), (HEARD_CACHED, 200), (SPOKEN, 20)))
    if format == "openai":
        again = of_openai.usage_in({"usage": of_openai.usage_map(usage)})
    else:
        again = of_gemini.usage_in(of_gemini.usage_map(usage))
    assert again is not None
    assert dict(again.units) == dict(usage.units)
