"""What a record has of a request's content, at the levels `summary` and `full`.

Owns: its fields `prompt` and `answer`, without keys and personal data.
Must never: read more of a content than is shown of it, beyond what it takes to find that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import msgspec

from meshd.core.events.content import Content
from meshd.formats.conversation.parts import Text
from meshd.formats.conversation.request import Conversation, Role
from meshd.formats.lookup import app_format
from meshd.operations.known import OPERATIONS
from meshd.sdk.provider import ProviderSettings
from meshd.sdk.reading.lenient import UNREADABLE
from meshd.telemetry.text import genai_messages, personal_data
from meshd.telemetry.text.redaction import Redactor

logger = logging.getLogger("meshd.telemetry")

SUMMARY = 200
"""Characters."""
_BEFORE_THE_CUT = 512
"""Characters before a cut that are dropped as well: they may be the beginning of a secret."""
_EACH = 4  # bytes of JSON around a value
_DEEPEST = 64


class ContentReader:
    """max_payload_size: bytes, of a prompt and of an answer. personal: kinds of `personal_data`."""

    def __init__(
        self,
        redactor: Redactor,
        level: str,
        max_payload_size: int,
        personal: Iterable[str],
    ) -> None:
        self.level = level
        self._redactor = redactor
        self._most = max_payload_size
        self._personal = tuple(personal)

    def fields_of(self, content: Content | None) -> dict[str, Any]:
        """For the record of a request. The content is released."""
        if content is None:
            return {}
        try:
            return self._read(content) if self.level != "metadata" else {}
        except Exception as error:
            logger.warning("the content of a request could not be read: %r", error)
            return {"content": "could not be read"}
        finally:
            content.release()

    def attributes_of(self, content: Content) -> dict[str, str]:
        """For a trace: messages as JSON, each of the two in `max_payload_size`. The content stays as it is."""
        if content.left_out:
            return {}
        try:
            said = {
                "gen_ai.input.messages": genai_messages.of_prompt(content),
                "gen_ai.output.messages": genai_messages.of_answer(content, answer_of(content)),
            }
            shown = {name: self._value(messages, _Budget(self._most), 0) for name, messages in said.items() if messages}
        except Exception as error:
            logger.warning("the content of a request could not be read: %r", error)
            return {}
        return {name: msgspec.json.encode(value).decode() for name, value in shown.items()}

    def _read(self, content: Content) -> dict[str, Any]:
        sizes = {"prompt_size": content.prompt_size, "answer_size": content.answer_size}
        if content.left_out:
            return {**sizes, "content": "left out: too many requests at once"}
        answer = answer_of(content)
        if self.level == "summary":
            return {
                "prompt": self._beginning(prompt_text(content)),
                "answer": self._beginning(answer_text(content, answer)),
                **sizes,
            }
        return {"prompt": self._whole(content.prompt), "answer": self._whole(answer), **sizes}

    def _beginning(self, text: str) -> str:
        clean = self._clean(text[: SUMMARY + 2 * _BEFORE_THE_CUT])
        return clean if len(clean) <= SUMMARY else f"{clean[: SUMMARY - 1]}…"

    def _whole(self, body: bytes) -> Any:
        """JSON as it is, with long texts cut; anything else as text."""
        if not body:
            return None
        budget = _Budget(self._most)
        try:
            return self._value(msgspec.json.decode(body), budget, 0)
        except UNREADABLE:
            return self._text(body[: 4 * self._most].decode(errors="replace"), budget)

    def _value(self, value: Any, budget: _Budget, depth: int) -> Any:
        budget.left -= _EACH
        if isinstance(value, str):
            return self._text(value, budget)
        if isinstance(value, int | float) or value is None:
            budget.left -= len(str(value))
            return value
        if budget.left <= 0 or depth > _DEEPEST:
            return "…"
        if isinstance(value, dict):
            found: dict[str, Any] = {}
            for name, item in value.items():
                if budget.left <= 0:
                    found["…"] = len(value) - len(found)
                    break
                shown = self._text(name, budget)
                found[shown] = self._redactor.secret_field(name, item) or self._value(item, budget, depth + 1)
            return found
        items: list[Any] = []
        for item in value:
            if budget.left <= 0:
                items.append("…")
                break
            items.append(self._value(item, budget, depth + 1))
        return items

    def _text(self, text: str, budget: _Budget) -> str:
        """The text, or as much of it as there is room for."""
        if len(text) > budget.left:
            shown = self._clean(text[: max(budget.left, 0) + _BEFORE_THE_CUT])
            text = f"{shown[: max(min(len(shown) - _BEFORE_THE_CUT, budget.left), 0)]}…"
        else:
            text = self._clean(text)
        budget.left -= len(text.encode(errors="replace"))
        return text

    def _clean(self, text: str) -> str:
        text = self._redactor.text(text)
        return personal_data.mask(text, self._personal) if self._personal else text


class _Budget:
    """left: bytes that may still be shown."""

    def __init__(self, left: int) -> None:
        self.left = left


def prompt_text(content: Content) -> str:
    """What the user said last, or the text of a request that is not a conversation; the whole body if it cannot be
    read."""
    said: list[str] = []
    try:
        format, operation = app_format(content.format), OPERATIONS[content.operation]
        if operation.conversation:
            return _last_of_the_user(format.translator().read_request(content.prompt))
        asked = format.app.read(operation, content.prompt, budgeted=False)
        format.app.count(operation, asked.fields, lambda text: said.append(text) or 0)  # type: ignore[func-returns-value]
    except Exception:
        # A request that was refused, or whose body is too long to be held.
        said = []
    return "\n".join(said) or content.prompt.decode(errors="replace")


def _last_of_the_user(conversation: Conversation) -> str:
    for turn in reversed(conversation.turns):
        text = "\n".join(part.text for part in turn.parts if isinstance(part, Text)) if turn.role is Role.USER else ""
        if text:
            return text
    return ""


def answer_of(content: Content) -> bytes:
    """The answer's body; that of a stream is assembled."""
    if not content.streamed or not content.chunks:
        return b"".join(content.chunks)
    try:
        assembly = app_format(content.format).provider(ProviderSettings("log", "")).assembling()
        for chunk in content.chunks:
            assembly.add(chunk)
        return assembly.answer()
    except Exception:
        # Events of another operation, or only the first ones of a long stream.
        return b"\n".join(content.chunks)


def answer_text(content: Content, answer: bytes) -> str:
    return app_format(content.format).app.answer_text(answer) if answer else ""
