"""The usage report of an answer or a stream, in OpenAI's and similar formats.

Owns: reading a report: the prompt, the output with all reasoning, and the cached part, wherever they are.
Must never: judge whether it is plausible (`routing/attempts/usage.py`), or fail on a count of another type.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from meshd.core.needs import TIER_FIELD
from meshd.core.prices import HEARD, HEARD_CACHED, PICTURED, SPOKEN, tier_of
from meshd.formats.openai.records import WireUsage
from meshd.sdk.provider import Usage

MOST_COUNTED: Final = 10**12
"""A count beyond this is implausible: it is cut to it, and `routing/attempts/usage.py` replaces it."""
_MOST_DIGITS: Final = 20
_MOST_HIDDEN: Final = 10**7  # the most reasoning tokens that `completion_tokens` may leave out


def usage_of(wire: WireUsage | None) -> Usage | None:
    """As reported, plausible or not; None unless the provider counted something. Counts outside the two halves are
    added to them: of several readings that fit a report, the one with more tokens counts."""
    if wire is None:
        return None
    prompt, output = wire.prompt_tokens, wire.completion_tokens
    if adds_up(wire) and 0 <= prompt <= MOST_COUNTED and 0 <= output <= MOST_COUNTED:
        details = wire.completion_tokens_details
        return Usage(prompt, output, reasoning_tokens=0 if details is None else details.get("reasoning_tokens", 0))
    if type(prompt) is not int or type(output) is not int:
        prompt, output = first_count(prompt, wire.input_tokens), first_count(output, wire.output_tokens)
    units = _units(wire)
    if prompt is None and output is None:
        return Usage(units=units) if units else None
    prompt, output = _halves(prompt, output, wire)
    details = wire.prompt_tokens_details
    cached = details.get("cached_tokens") if type(details) is dict else None
    if cached is None:
        cached = first_count(wire.prompt_cache_hit_tokens, wire.cache_read_input_tokens)
    cached = within(cached if type(cached) is int else first_count(cached) or 0)
    written = _written(wire)
    if written and prompt >= 0 and cached >= 0 and written + cached > prompt:
        prompt = within(prompt + written + cached)  # Anthropic's counts: not included in the prompt's
    return Usage(prompt, output, cached, written, units, min(max(_thought(wire), 0), max(output, 0)))


def _units(wire: WireUsage) -> tuple[tuple[str, int], ...]:
    """Units other than tokens, as far as they are reported."""
    counts = ((name, first_count(getattr(wire, field))) for field, name in _UNITS.items())
    found = [(name, within(count)) for name, count in counts if count is not None]
    for details in (wire.input_tokens_details, wire.prompt_tokens_details, wire.input_token_details):
        if type(details) is dict:
            found += [(name, count) for name, count in _of_the_prompt(details).items() if count]
            break
    for details in (wire.completion_tokens_details, wire.output_tokens_details):
        spoken = first_count(details.get("audio_tokens")) if type(details) is dict else None
        if spoken:
            found.append((SPOKEN, within(spoken)))
            break
    return tuple(found)


def _of_the_prompt(details: dict[str, Any]) -> dict[str, int]:
    """Tokens of images and audio."""
    cached = details.get("cached_tokens_details")
    again = (first_count(cached.get("audio_tokens")) if type(cached) is dict else None) or 0
    heard = first_count(details.get("audio_tokens")) or 0
    pictured = first_count(details.get("image_tokens")) or 0
    return {PICTURED: within(pictured), HEARD: within(heard - again), HEARD_CACHED: within(again)}


def _halves(prompt: int | None, output: int | None, wire: WireUsage) -> tuple[int, int]:
    """A missing half is the rest of the total, and so is reasoning that `completion_tokens` leaves out (xAI, Gemini).
    Perplexity's total leaves out reasoning and citations; SGLang's `reasoning_tokens` are part of `completion_tokens`,
    like OpenAI's."""
    total = within(first_count(wire.total_tokens) or 0)
    if (prompt is None or prompt < 0) and output is not None and 0 <= output < total:
        prompt = total - output
    prompt, told = within(prompt or 0), within(output or 0)
    output = told
    if prompt >= 0 and 0 < total - prompt - max(told, 0) <= _MOST_HIDDEN:
        output = total - prompt
    thought = _thought(wire)
    beside = wire.reasoning_tokens is not None and not (
        wire.citation_tokens is wire.num_search_queries is wire.search_context_size is None
    )
    if thought and told >= 0 and (beside or thought > told):
        output = max(output, told + thought)
    cited = first_count(wire.citation_tokens) or 0
    return (within(prompt + cited) if prompt >= 0 and 0 < cited <= _MOST_HIDDEN else prompt), within(output)


def _thought(wire: WireUsage) -> int:
    """Reasoning tokens, 0 if no plausible count is given."""
    details = (wire.completion_tokens_details, wire.output_tokens_details)
    said = [each.get(name) for each in details if type(each) is dict for name in _THINKING]
    counts = [first_count(value) or 0 for value in (wire.reasoning_tokens, *said)]
    return max((count for count in counts if count <= _MOST_HIDDEN), default=0)


def adds_up(wire: WireUsage) -> bool:
    """Whether its three counts fit each other, without a cache and without more reasoning than output, like most
    reports."""
    prompt, output, total, details = (
        wire.prompt_tokens,
        wire.completion_tokens,
        wire.total_tokens,
        wire.prompt_tokens_details,
    )
    if not (type(prompt) is type(output) is type(total) is int and total == prompt + output):
        return False
    if details is not None and (type(details) is not dict or any(details.values())):
        return False  # a cache, audio or images
    details = wire.completion_tokens_details
    if details is not None:
        if type(details) is not dict or "thinking_tokens" in details or "thoughts_tokens" in details:
            return False
        thought = details.get("reasoning_tokens", 0)
        if details.get("audio_tokens"):
            return False
        if type(thought) is not int or not 0 <= thought <= output:
            return False
    if not (wire.reasoning_tokens is wire.output_tokens_details is wire.citation_tokens is None):
        return False
    if not (wire.seconds is wire.search_units is wire.pages_processed is None):
        return False
    return wire.prompt_cache_hit_tokens is wire.cache_read_input_tokens is wire.cache_creation_input_tokens is None


_UNITS: Final = {"seconds": "seconds", "search_units": "searches", "pages_processed": "pages"}
_THINKING: Final = ("reasoning_tokens", "thinking_tokens", "thoughts_tokens")
_WRITTEN: Final = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")


def _written(wire: WireUsage) -> int | None:
    """Tokens written to a cache, None if not reported."""
    details = wire.prompt_tokens_details
    said = [details.get(name) for name in _WRITTEN] if type(details) is dict else []
    count = first_count(wire.cache_creation_input_tokens, *said)
    return None if count is None or count < 0 else within(count)


def first_count(*values: Any) -> int | None:
    """The first value that is a number, in JSON or as text."""
    for value in values:
        if type(value) is int:
            return value
        if isinstance(value, str) and len(value) <= _MOST_DIGITS:
            try:
                value = float(value)
            except ValueError:
                continue
        if isinstance(value, float):
            if math.isfinite(value):
                return math.ceil(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def within(count: int) -> int:
    return max(-1, min(count, MOST_COUNTED))


def in_tier(usage: Usage | None, told: object) -> Usage | None:
    """The report, with the service tier that the answer names."""
    tier = tier_of(told)
    return replace(usage, tier=tier) if tier and usage is not None else usage


def usage_in(document: Mapping[str, Any]) -> Usage | None:
    """Its report; a figure of another type is dropped."""
    choices = document.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None  # Moonshot's is in the last chunk's choice
    for place in (document, document.get("x_groq"), first):
        wire = place.get("usage") if isinstance(place, Mapping) else None
        if isinstance(wire, dict):
            read = WireUsage(**{name: wire[name] for name in WireUsage.__struct_fields__ if name in wire})
            return in_tier(usage_of(read), document.get(TIER_FIELD))
    return None


def reported(
    document: Mapping[str, Any], members: Mapping[str, str], kinds: Iterable[str] = (), *, output: bool = True
) -> Usage | None:
    """The same, with what other members of the answer say about units that the report leaves out. members: their names,
    with dots, and the unit of each. kinds: members that say which kind the answer is. output: the answer is made of
    tokens; otherwise a total is the input."""
    usage = usage_in(document)
    if usage is None and not output and isinstance(document.get("usage"), Mapping):
        usage = total_in(document["usage"].get("total_tokens"))
    units = dict(usage.units) if usage is not None else {}
    for path, unit in members.items():
        value: Any = document
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if unit not in units and (count := first_count(value)) is not None:
            units[unit] = within(count)
    told = {name: document.get(name) for name in kinds}
    kind = tuple((name, value.lower()) for name, value in told.items() if isinstance(value, str) and len(value) <= 64)
    return replace(usage or Usage(), units=tuple(units.items()), kind=kind) if units or kind else usage


def total_in(count: object) -> Usage | None:
    """The total of an answer without output, whose report has nothing else (Voyage, Jina)."""
    total = first_count(count)
    return None if total is None else Usage(within(total))


def usage_map(usage: Usage) -> dict[str, Any]:
    """In OpenAI's names, with reasoning and what was written to a cache where they were reported."""
    made: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
    if usage.written_tokens is not None:
        made["prompt_tokens_details"]["cache_write_tokens"] = usage.written_tokens
    if usage.reasoning_tokens:
        made["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    if usage.units:
        _add_audio(made, dict(usage.units))
    return made


def _add_audio(made: dict[str, Any], units: Mapping[str, int]) -> None:
    """Its tokens, in the details."""
    heard, again, spoken = (units.get(name, 0) for name in (HEARD, HEARD_CACHED, SPOKEN))
    if heard or again:
        made["prompt_tokens_details"]["audio_tokens"] = heard + again
    if again:
        made["prompt_tokens_details"]["cached_tokens_details"] = {"audio_tokens": again}
    if spoken:
        made.setdefault("completion_tokens_details", {})["audio_tokens"] = spoken
