"""Why an answer ended, in this API's words.

https://ai.google.dev/api/generate-content#FinishReason, 2026-11-28
"""

from __future__ import annotations

from typing import Any

from meshd.formats.conversation.answer import Finish

_FINISHES = {
    "STOP": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "SAFETY": Finish.FILTER,
    "RECITATION": Finish.FILTER,
    "BLOCKLIST": Finish.FILTER,
    "PROHIBITED_CONTENT": Finish.FILTER,
    "SPII": Finish.FILTER,
    "IMAGE_SAFETY": Finish.FILTER,
    "IMAGE_PROHIBITED_CONTENT": Finish.FILTER,
    "IMAGE_RECITATION": Finish.FILTER,
    "MODEL_ARMOR": Finish.FILTER,
    "ESCALATION": Finish.FILTER,
    "CONTINUATION": Finish.PAUSE,
}
_WRITTEN = {
    Finish.STOP: "STOP",
    Finish.SEQUENCE: "STOP",
    Finish.TOOL_CALLS: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.CONTEXT: "MAX_TOKENS",
    Finish.FILTER: "SAFETY",
    Finish.REFUSAL: "SAFETY",
}


def finish_of(reason: Any, *, calls: bool) -> Finish | None:
    """None if it has not ended. calls: the answer calls functions, for which this API has no finish reason."""
    if not isinstance(reason, str) or reason in ("", "FINISH_REASON_UNSPECIFIED"):
        return None
    finish = _FINISHES.get(reason, Finish.OTHER)
    return Finish.TOOL_CALLS if calls and finish is Finish.STOP else finish


def written_finish(finish: Finish) -> str:
    """As this API cannot express a pause, it gets a plain end."""
    return _WRITTEN.get(finish, "STOP" if finish is Finish.PAUSE else "OTHER")
