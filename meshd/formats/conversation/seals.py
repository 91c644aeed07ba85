"""The part of its reasoning that a provider needs back, in an API that has no field for it.

Apps send one opaque text back as it came: Anthropic's `signature`, the `encrypted_content` of Responses. Whatever comes
from another API is written there after a mark, and read from there again.
"""

from __future__ import annotations

from meshd.formats.conversation.parts import Reasoning

_SIGNED, _REDACTED, _ENCRYPTED = "mesh.signature:", "mesh.redacted:", "mesh.encrypted:"


def sealed(part: Reasoning, *, of_items: bool) -> str:
    """The text for an app; "" if there is nothing to send back. of_items: for an API whose reasoning is encrypted and
    has an id, such as Responses; otherwise it is signed, as in Anthropic's, which writes redacted reasoning
    separately."""
    if part.encrypted and part.id:
        return part.encrypted if of_items else f"{_ENCRYPTED}{len(part.id)}:{part.id}{part.encrypted}"
    if part.signature:
        return _SIGNED + part.signature if of_items else part.signature
    return _REDACTED + part.encrypted if of_items and part.encrypted else ""


def unsealed(text: str, seal: str, id: str = "", *, of_items: bool) -> Reasoning:
    """The reverse of `sealed`. id: that of the item, used only for reasoning that its own API wrote."""
    for mark in (_SIGNED, _REDACTED, _ENCRYPTED):
        if seal.startswith(mark):
            return _marked(text, mark, seal[len(mark) :], id)
    return Reasoning(text, "", seal, id) if of_items else Reasoning(text, seal)


def _marked(text: str, mark: str, rest: str, id: str) -> Reasoning:
    if mark == _SIGNED:
        return Reasoning(text, rest, "", id)
    if mark == _REDACTED:
        return Reasoning(text, "", rest)
    count, _, rest = rest.partition(":")
    length = int(count) if count.isascii() and count.isdigit() and len(count) < 4 else 0
    return Reasoning(text, "", rest[length:], rest[:length])
