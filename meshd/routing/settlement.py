"""What an attempt used whose provider did not say.

Owns: the rule from how an attempt ended, and what came of it, to the tokens it is settled with.
Must never: settle by zero what may have cost something. What a provider reports is taken as it is, and not here.

| how it ended | input | output |
| --- | --- | --- |
| not sent, or refused with a status of 400 or more, and nothing came | none | none |
| a 200 that was no answer: HTML, an error event, an empty stream | counted | what came |
| an answer or a stream to its end, without usage | counted | counted from the text |
| cut, silent, timed out, lost, the app gone | counted | counted from the text that came |

Counted: with the model's vocabulary where that was done, else from bytes, erring high. Of output no more is estimated
than was reserved: the provider keeps to the limit it was sent, so that what is above it is the estimate's error. (What
a provider reports counts over a reservation too: what was used was used.) Of hidden reasoning nobody hears: a stream
that is cut is settled without it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from meshd.cdk.provider import ProviderFailure, Usage
from meshd.routing import estimate
from meshd.routing.needs import Needs
from meshd.routing.table import ModelSpec

OUTPUT_BYTES_PER_TOKEN = 2
"""Of an answer's text without its vocabulary: English has 4 to 5 bytes a token, Chinese 3, code less than English."""

_NOTHING = Usage()


class Received(NamedTuple):
    """What came of an answer. size: bytes of its text. events: of a stream, those with content: a token each at least,
    a part of a tool call too. tokens: of the text, where the model's vocabulary was there to count them."""

    size: int = 0
    events: int = 0
    tokens: int | None = None

    @classmethod
    def of(cls, text: str, events: int = 0, tokens: int | None = None) -> Received:
        return cls(len(text.encode(errors="replace")), events, tokens)


def used(failure: ProviderFailure | None, needs: Needs, model: ModelSpec, received: Received) -> Usage:
    """What the attempt is settled with. failure: None where the answer or stream ended well, or the app went away."""
    came = received.size > 0 or received.events > 0
    if failure is not None and not came:
        if failure.unsent or failure.status >= 400:
            return _NOTHING
        return Usage(_input(needs, model))
    return Usage(_input(needs, model), _output(needs, model, received))


def _input(needs: Needs, model: ModelSpec) -> int:
    counted = model.vocabulary in needs.counts
    return max(estimate.input_at_most(needs, model) if counted else needs.tokens, 1)


def _output(needs: Needs, model: ModelSpec, received: Received) -> int:
    """None of a request that was given up before anything came, else at least one."""
    tokens = received.tokens if received.tokens is not None else -(-received.size // OUTPUT_BYTES_PER_TOKEN)
    return min(max(tokens, received.events, received.size > 0), estimate.at_most(needs, model).tokens_out)


# -- the text of an answer ----------------------------------------------------------------------------

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal", "text")


def answer_text(body: bytes) -> str:
    """What a unary answer says, its tool calls as JSON; the whole body where that is not to be found."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list):
        return body.decode(errors="replace")
    said = [text for choice in choices if isinstance(choice, dict) for text in _said(choice)]
    return "\n".join(said)


def _said(choice: dict[str, Any]) -> list[str]:
    message = choice.get("message")
    said = []
    for part in (choice, message if isinstance(message, dict) else {}):
        said += [part[name] for name in _TEXTS if isinstance(part.get(name), str)]
        said += [msgspec.json.encode(part[name]).decode() for name in ("tool_calls", "function_call") if part.get(name)]
    return said
