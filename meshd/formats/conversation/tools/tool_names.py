"""One name for a tool in a namespace, for formats without namespaces."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from meshd.formats.conversation.parts import Other
from meshd.formats.conversation.request import Tool

_LONGEST = 64  # characters: OpenAI's and Anthropic's limit
_HASHED = 8
_ALLOWED = re.compile(r"[A-Za-z0-9_-]+")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_-]")


def joined(namespace: str, local: str) -> str:
    """`namespace__local`. If it is too long or has characters that are not allowed, it ends in a part of a hash of
    both, so that no two names become the same."""
    if not namespace:
        return local
    name = f"{namespace}__{local}"
    if len(name) <= _LONGEST and _ALLOWED.fullmatch(name):
        return name
    digest = hashlib.sha256(f"{namespace}\0{local}".encode(errors="replace")).hexdigest()[:_HASHED]
    return f"{_NOT_ALLOWED.sub('_', name)[: _LONGEST - _HASHED - 1]}_{digest}"


def by_name(tools: Iterable[Tool | Other]) -> dict[str, Tool]:
    """The tools that the app runs."""
    return {tool.name: tool for tool in tools if isinstance(tool, Tool)}
