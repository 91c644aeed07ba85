"""The most that a request can use of a model: what is reserved before it is sent.

Owns: the arithmetic from a request's needs to tokens and money at most.
Must never: be too low, because whatever a reservation does not cover may exceed a budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from meshd.core.needs import OUTPUT_LIMITS, PREAMBLE, SOUND_FIELD, TOOLS_PREAMBLE, RequestNeeds
from meshd.core.prices import HEARD, PICTURED, SPOKEN, Pricing
from meshd.routing.table.specs import ModelSpec
from meshd.sdk.provider import Usage

OUTPUT_UNKNOWN: Final = 4096
"""Tokens, if neither model nor request has a limit. If output costs money, the request is sent with this limit
(`AppSide.with_output_limit`), so that it holds."""

IMAGE_TOKENS = 12_000
"""The most tokens of one image, if the catalogue does not say: GPT-5.4 at full detail takes 10,000 patches, and is
billed up to a fifth more. Claude's largest is 4784."""

HEARD_A_SECOND = 32
"""The most tokens of a second of audio: Gemini's number; OpenAI's is 10."""

ROUNDED = 500_000
"""10⁻⁹ USD: half of the tenth of a cent to which the prices of images are published. Their tokens may cost so much
more."""


class Estimate(NamedTuple):
    """Upper bounds: tokens in and out, and 10⁻⁹ USD."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost: int = 0

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out


def upper_bound(needs: RequestNeeds, model: ModelSpec) -> Estimate:
    """Input as counted with the model's vocabulary (else its upper bound), with images and files; and the output limit:
    the request's, else the model's, for each choice."""
    tokens_in = input_at_most(needs, model)
    tokens_out = 0
    kind = kind_of(needs, model) if needs.units else {}
    if made := _made(needs, model, kind):
        tokens_out = made
    elif needs.operation.output or (needs.operation.told and model.pricing.output_per_1m):
        limit = output_limit(needs, model) or model.max_output_tokens or model.context_window or OUTPUT_UNKNOWN
        tokens_out = (limit + needs.predicted) * choices(needs, model)
    percent, pricing = write_percent(needs, model), _dearer(model.pricing, needs.tier)
    if percent <= 100:
        cost = pricing.cost(tokens_in, tokens_out)
    else:
        cost = pricing.cost(tokens_in, tokens_out, tokens_written=tokens_in, write_percent=percent)
    units = needs.units
    if pricing.of_units and (needs.images or needs.attached or units or needs.costly):
        units = units | _in_place_of_tokens(needs, model, pricing, tokens_out)
    return Estimate(tokens_in, tokens_out, cost + pricing.cost_of_units(units.items(), kind) if units else cost)


def _in_place_of_tokens(needs: RequestNeeds, model: ModelSpec, pricing: Pricing, tokens_out: int) -> dict[str, int]:
    """Tokens of images and audio at most, where they have prices of their own that are higher."""
    most = {
        PICTURED: needs.images * (model.tokens_per_image or IMAGE_TOKENS),
        HEARD: heard_at_most(needs, model),
        SPOKEN: tokens_out if asks_for_sound(needs) else 0,
    }
    return {name: count for name, count in most.items() if count and pricing.is_dearer(name)}


def heard_at_most(needs: RequestNeeds, model: ModelSpec) -> int:
    """Input tokens of audio: any attachment may have sound. Of a recording to transcribe, by its length."""
    if HEARD not in model.pricing.of_units:
        return 0
    attached = min(needs.attached, model.context_window or needs.attached)
    return attached + needs.units.get("seconds", 0) * HEARD_A_SECOND


def asks_for_sound(needs: RequestNeeds) -> bool:
    """Whether the answer may have sound."""
    return SOUND_FIELD in needs.costly


def _dearer(pricing: Pricing, tier: str) -> Pricing:
    """The prices of a tier that a request asks for, if they are higher: a provider may serve it in the usual one."""
    asked = pricing.in_tier(tier)
    return asked if asked.output_per_1m > pricing.output_per_1m else pricing


def _made(needs: RequestNeeds, model: ModelSpec, kind: Mapping[str, str]) -> int:
    """Output tokens at most, where prices of images say how many there are; else 0."""
    each = model.pricing.output_per_1m
    if not (needs.operation.told and needs.units and each):
        return 0
    cost = model.pricing.cost_of_answer(needs.units.items(), kind)
    return -(-(cost + ROUNDED * sum(needs.units.values())) * 10**6 // each) if cost else 0


def kind_of(needs: RequestNeeds, model: ModelSpec, told: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """The kind of the request's units, as far as it is known. told: what the answer says about the rest."""
    asked = {**model.defaults, **needs.kind, **model.overrides}
    known = {name: str(asked[name]).lower() for name in needs.operation.priced_by if name in asked}
    return {**dict(told), **{name: value for name, value in known.items() if value not in ("", "auto")}}


def write_percent(needs: RequestNeeds, model: ModelSpec) -> int:
    """What the request's writes to a cache cost, in percent of the input price; 100 if they cost no more."""
    if not needs.caches and not model.caches_unasked:
        return 100
    percent = model.cache_write_percent
    return model.pricing.lasting_percent if percent > 100 and needs.caches == "lasting" else percent


def cost_of(usage: Usage, model: ModelSpec, percent: int) -> int:
    """What an attempt is settled with. percent: what writes to a cache cost (`write_percent`): above 100, all input
    that is not reported as read from the cache may have been written to it. What is reported as written for longer
    costs `lasting_percent`, the rest the model's own percent."""
    written, lasting = usage.written_tokens, usage.lasting_tokens
    if written is None:
        written = max(usage.input_tokens - usage.cached_tokens, 0) if percent > 100 else 0
    elif written and (percent <= 100 or lasting is not None):
        percent = model.cache_write_percent
    tokens = usage.input_tokens, usage.output_tokens, usage.cached_tokens
    pricing = model.pricing.in_tier(usage.tier)
    cost = pricing.cost(*tokens, written, percent, min(lasting or 0, written))
    return cost + pricing.cost_of_units(usage.units, dict(usage.kind)) if usage.units else cost


def input_at_most(needs: RequestNeeds, model: ModelSpec) -> int:
    tokens = needs.tokens_at_most(model.vocabulary)
    if needs.images:
        tokens += needs.images * (model.tokens_per_image or IMAGE_TOKENS)
    if needs.attached:
        # A file's bytes say little about its tokens; its provider accepts no more than fits the window.
        tokens += min(needs.attached, model.context_window or needs.attached)
    if "seconds" in needs.units:
        tokens += heard_at_most(needs, model)
    return tokens


def output_limit(needs: RequestNeeds, model: ModelSpec) -> int | None:
    """The limit that the request is sent with, None without one. A model's `overrides` replace the request's fields,
    its `defaults` fill in missing ones; of two limits the provider may use either, so the larger one counts."""
    forced = _largest(model.overrides) if model.overrides else None
    if forced is not None:
        return max(forced, needs.max_output or 0)
    if needs.max_output is not None or not model.defaults:
        return needs.max_output
    return _largest(model.defaults)


def why_input(needs: RequestNeeds, model: ModelSpec) -> str:
    """For `explain`: what `input_at_most` is made of."""
    if model.vocabulary in needs.counts:
        parts = [f"{needs.counts[model.vocabulary]} counted by its vocabulary {model.vocabulary}"]
    else:
        added = PREAMBLE + (TOOLS_PREAMBLE if needs.tools else 0)
        parts = [
            f"at most one for each of {max(needs.most - added, 0)} bytes",
            f"{PREAMBLE} for its provider's template",
        ]
        if needs.tools:
            parts.append(f"{TOOLS_PREAMBLE} for tools")
    if needs.images:
        each = model.tokens_per_image or IMAGE_TOKENS
        parts.append(f"{needs.images} {'image' if needs.images == 1 else 'images'} of at most {each}")
    if needs.attached:
        parts.append(f"{min(needs.attached, model.context_window or needs.attached)} for files")
    if "seconds" in needs.units and (heard := heard_at_most(needs, model)):
        parts.append(f"{heard} for audio")
    return ", ".join(parts)


def why_output(needs: RequestNeeds, model: ModelSpec) -> str:
    """For `explain`: where the output limit of `upper_bound` comes from; "" if there is none."""
    if not needs.operation.output and not (needs.operation.told and model.pricing.output_per_1m):
        return ""
    forced = _largest(model.overrides) if model.overrides else None
    if forced is not None and forced >= (needs.max_output or 0):
        parts = [f"its overrides' limit of {forced}"]
    elif needs.max_output:
        parts = [f"the request's limit of {needs.max_output}"]
    elif default := _largest(model.defaults) if model.defaults else None:
        parts = [f"its default limit of {default}"]
    elif model.max_output_tokens:
        parts = [f"no limit in the request, and it writes at most {model.max_output_tokens}"]
    elif model.context_window:
        parts = [f"no limit in the request, and its context window is {model.context_window}"]
    else:
        parts = [f"no limit is known: {OUTPUT_UNKNOWN}"]
    if needs.predicted:
        parts.append(f"{needs.predicted} for the prediction")
    answers = choices(needs, model)
    return ", ".join(parts) + (f"; for each of {answers} answers" if answers > 1 else "")


def choices(needs: RequestNeeds, model: ModelSpec) -> int:
    """How many answers are made at once."""
    asked = max(needs.choices, 1)
    forced = model.overrides.get("n") if model.overrides else None
    if isinstance(forced, int):
        return max(asked, forced)
    default = model.defaults.get("n") if model.defaults else None
    return max(asked, default) if isinstance(default, int) else asked


def _largest(parameters: Mapping[str, Any]) -> int | None:
    given = [parameters[name] for name in OUTPUT_LIMITS if isinstance(parameters.get(name), int)]
    return max(given, default=None)
