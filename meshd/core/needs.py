"""What a request needs of a model, whatever format it came in.

Owns: the records, and the constants of the estimates in it.
Must never: read a body; formats do (`meshd/formats/openai/body/needs.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from meshd.sdk.calls.operation import OperationSpec

BYTES_PER_TOKEN: Final = 4
"""Bytes of JSON text, to estimate whether a prompt fits a context window. English prose has 4 to 5 bytes a token, and
JSON adds to it; if a model turns out too small it refuses, and a larger one is asked."""

TOKENS_PER_IMAGE: Final = 1000
"""An image's bytes are not text: it takes a few hundred to two thousand tokens, depending on its size."""

PREAMBLE: Final = 128
"""Tokens at most that a provider adds to a prompt by itself: a template's own system message."""
TOOLS_PREAMBLE: Final = 640
"""The same where there are tools: Anthropic's instructions for their use are 313 to 530 tokens by model."""

TIER_FIELD = "service_tier"
"""The field of a request, and of an answer, that names the service tier."""

SOUND_FIELDS = ("audio", "modalities")
SOUND_FIELD = SOUND_FIELDS[0]
"""The fields of a request that ask for sound in the answer; the first one says which kind."""

OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens")
"""The names of a request's output limit, the newer one first."""

CONTINUING = 320
"""The most bytes that asking for the rest of an answer adds to the text so far: a turn around it, and an
instruction."""

Caches = Literal["", "short", "lasting"]
"""What is to be written to a provider's cache: nothing, for 5 minutes, for longer."""


class Named(NamedTuple):
    """A model that a body names besides `model`. sure: its field names models, so any text counts. Otherwise only a
    known model's name does."""

    name: str
    sure: bool


class RequestNeeds(msgspec.Struct, frozen=True):
    """tokens: an estimate for the prompt. most: an upper bound for its text in any vocabulary: one token for each byte.
    longest: the same estimate for the longest text that a model reads separately; 0: it reads all texts at once.
    counts: vocabulary → tokens of the text, where they were counted. attached: tokens at most of inline audio, video
    and files. max_output: what the app asked for at most, None if it did not say. choices: answers to one request.

    costly, unknown: fields that may raise the price by an unknown amount, and fields whose effect is unknown. fixed:
    the same for parts that cannot be left out; files: there are some, which some providers charge for by the page.
    predicted: tokens at most of a predicted output, which are billed if the answer differs. caches: something is to be
    written to a provider's cache (`formats/openai/body/fields.py`). units: the most that is used besides tokens
    (`meshd/core/prices.py`). kind: the kind of these units, where their price depends on it: name → value, "" if the
    body leaves it to the model. tier: the service tier that it asks for, if that has prices of its own.

    `most` and `counts` are of text alone; images depend on the model (`estimate.upper_bound`).
    """

    operation: OperationSpec
    stream: bool = False
    tools: bool = False
    structured: bool = False  # a JSON schema
    json_mode: bool = False
    images: int = 0
    logprobs: bool = False
    tokens: int = 0
    longest: int = 0
    max_output: int | None = None
    choices: int = 1
    most: int = 0
    attached: int = 0
    counts: dict[str, int] = {}
    costly: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    files: bool = False
    predicted: int = 0
    caches: Caches = ""
    units: dict[str, int] = {}
    kind: dict[str, str] = {}
    tier: str = ""

    def tokens_at_most(self, vocabulary: str) -> int:
        """An upper bound for its text: counted with that vocabulary, else `most`."""
        return self.counts.get(vocabulary, self.most)

    def expected(self, vocabulary: str) -> int:
        """The expected tokens of the prompt, not a bound: counted with that vocabulary, else estimated."""
        text = self.counts.get(vocabulary)
        return self.tokens if text is None else text + self.attached + TOKENS_PER_IMAGE * self.images

    def counted(self, counts: Mapping[str, int]) -> RequestNeeds:
        """The same, knowing these counts; the largest becomes the estimate for models of other vocabularies."""
        if not counts:
            return self
        merged = {**self.counts, **counts}
        text = max(merged.values()) + self.attached
        return replace(self, counts=merged, tokens=text + TOKENS_PER_IMAGE * self.images)

    def describe(self) -> dict[str, object]:
        """For `explain`: only what is asked for."""
        asked = {
            "operation": str(self.operation),
            "stream": self.stream,
            "tools": self.tools,
            "structured_output": self.structured,
            "json_mode": self.json_mode,
            "images": self.images,
            "logprobs": self.logprobs,
            "tokens": self.tokens,
            "max_output_tokens": self.max_output,
            "units": self.units,
            "unpriced_fields": list(self.costly + self.unknown + self.fixed),
        }
        return {name: value for name, value in asked.items() if value}


def of_the_rest(needs: RequestNeeds, text: str, output_tokens: int) -> RequestNeeds:
    """What continuing an answer needs after `text`: that is part of the prompt now, and the output limit is reduced by
    it. output_tokens: what the last attempt was settled with."""
    added = len(text.encode(errors="replace")) + CONTINUING
    left = None if needs.max_output is None else max(needs.max_output - output_tokens, 1)
    return replace(
        needs,
        tokens=needs.tokens + added // BYTES_PER_TOKEN,
        most=needs.most + added,
        counts={vocabulary: tokens + added for vocabulary, tokens in needs.counts.items()},
        max_output=left,
    )
