"""Pages that a model of another API cited, in the history that an app sends back.

The mesh writes them as Anthropic's own search would, but without the text that Anthropic encrypts, and such a citation
is refused there.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE, whole

MARK = "mesh.cited"
"""The `encrypted_index` of a page that another API cited."""
_NEEDLE = MARK.encode()
_decode = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def without_foreign(messages: msgspec.Raw) -> msgspec.Raw:
    """The messages without them; the same object if there are none."""
    if _NEEDLE not in bytes(messages):
        return messages
    try:
        read = _decode(whole(bytes(messages)))
        return msgspec.Raw(_encode([_of_message(each) if _NEEDLE in bytes(each) else each for each in read]))
    except UNREADABLE:
        return messages


def _of_message(raw: msgspec.Raw) -> Any:
    message = msgspec.json.decode(raw)
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return raw
    made = [_of_block(block) for block in content]
    return raw if made == content else {**message, "content": made}


def _of_block(block: Any) -> Any:
    given = block.get("citations") if isinstance(block, dict) and block.get("type") == "text" else None
    if not isinstance(given, list):
        return block
    kept = [each for each in given if not (isinstance(each, dict) and each.get("encrypted_index") == MARK)]
    rest = {name: value for name, value in block.items() if name != "citations"}
    return block if len(kept) == len(given) else rest | ({"citations": kept} if kept else {})
