"""What may go wrong in a stream, as steps of a scripted provider."""

from __future__ import annotations

from typing import Any

FAULTS: dict[str, dict[str, Any]] = {
    "reset": {"fault": "reset"},
    "clean-close": {"fault": "clean_close"},
    "cut-chunk": {"fault": "cut_chunk"},
    "silence": {"fault": "silence"},
    "bad-chunk": {"fault": "bad_chunk"},
    "bad-end": {"fault": "bad_end"},
    "openai-error": {"fault": "error_event", "message": "The server had an error while processing your request"},
    "anthropic-error": {"fault": "error_event", "shape": "anthropic", "message": "Overloaded"},
    "gemini-error": {"fault": "error_event", "shape": "gemini", "message": "The model is overloaded."},
    "gemini-list-error": {"fault": "error_event", "shape": "gemini_list", "message": "The model is overloaded."},
    "empty": {"fault": "empty"},
    "html": {"fault": "html"},
    "late": {"fault": "pause", "pause": "20s"},
    "trickle": {"byte_delay": "30ms"},
    "endless": {"fault": "endless"},
}
