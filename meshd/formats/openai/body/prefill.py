"""Continues another model's answer: the text so far as a prefilled assistant turn, or its closest equivalent.

Owns: the form that each OpenAI-format server accepts (the quirk `prefill`).
Must never: change what the app sent; it only adds to it.

  assistant      the assistant's last message is continued (llama-server, Ollama, Groq)
  prefix         as above, marked `"prefix": true` (Mistral)
  partial        as above, marked `"partial": true` (Moonshot)
  final_message  as above, with `continue_final_message` instead of `add_generation_prompt` (vLLM)
  instruct       a finished turn, and an instruction to continue where it stops (OpenAI, which has no prefill). Every
                 server understands it, so it is the default, and used for an address with many models of which some
                 refuse to end with the assistant's turn. If tools are offered it is always used: a server need not look
                 for calls in what it writes after a prefilled turn, so a call would become text
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.sdk.provider import FailureKind, OperationSpec, ProviderFailure
from meshd.sdk.reading.lenient import whole

PREFILLS = ("assistant", "prefix", "partial", "final_message", "instruct")
DEFAULT = "instruct"

# Together with its turn no longer than what is reserved for it (`core/needs.py`: CONTINUING).
CONTINUE = {
    "role": "user",
    "content": "Your last message was cut off. Write what comes next, beginning with the very next character: repeat "
    "nothing, and say nothing about the interruption.",
}
CONTINUE_WITH_TOOLS = {
    "role": "user",
    "content": "Your last message was cut off. Write what comes next, beginning with the very next character, or make "
    "the call that it was leading up to: repeat nothing, and say nothing about the interruption.",
}
_TOOLS = ("tools", "functions")
_messages = msgspec.json.Decoder(list[msgspec.Raw]).decode
_prompt = msgspec.json.Decoder(str | list[Any]).decode


def prefill_of(quirks: Mapping[str, Any], provider: str) -> str:
    """Raises ValueError for an unknown one."""
    prefill = str(quirks.get("prefill", DEFAULT))
    if prefill not in PREFILLS:
        raise ValueError(f"provider {provider}: prefill {prefill!r} is not one of {', '.join(PREFILLS)}")
    return prefill


def continue_turn(fields: Mapping[str, msgspec.Raw]) -> dict[str, str]:
    """The turn that asks for the rest, in the formats that have such turns."""
    return CONTINUE_WITH_TOOLS if offers_tools(fields) else CONTINUE


def offers_tools(fields: Mapping[str, msgspec.Raw]) -> bool:
    return any(bytes(fields.get(name, b"null")) not in (b"null", b"[]") for name in _TOOLS)


def continued(fields: Mapping[str, msgspec.Raw], operation: OperationSpec, so_far: str, how: str) -> dict[str, Any]:
    """The request's fields, asking for the rest of an answer after `so_far`. Raises ProviderFailure if
    that cannot be asked for."""
    if not operation.conversation:
        prompt = operation.text[0]
        return {**fields, prompt: _text(fields[prompt]) + so_far}
    if offers_tools(fields):
        how = "instruct"
    turn: dict[str, Any] = {"role": "assistant", "content": so_far}
    if how in ("prefix", "partial"):
        turn[how] = True
    added = [turn, continue_turn(fields)] if how == "instruct" else [turn]
    changed: dict[str, Any] = {**fields, "messages": [*_messages(whole(bytes(fields["messages"]))), *added]}
    if how == "final_message":
        changed |= {"continue_final_message": True, "add_generation_prompt": False}
    return changed


def _text(prompt: msgspec.Raw) -> str:
    """The prompt's text; a prompt may be a list of one."""
    given = _prompt(whole(bytes(prompt)))
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if not isinstance(given, str):
        message = "the prompt is not text, so no answer can follow it"
        raise ProviderFailure(FailureKind.UNSUPPORTED, message, unsent=True)
    return given
