"""What models on Bedrock accept beyond the fields that all of them have, by the family in a model's id.

Owns: finding the family; which families support what. A model whose id does not name it (an application inference
profile, an imported model) is assumed to support only what all models do.

https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html (marks, and how long they last);
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolResultBlock.html (`status`), 2026-11-28
"""

from __future__ import annotations

import re

from meshd.formats.anthropic.versions import version_of

_CLAUDE, _NOVA = re.compile(r"(?:^|[./:])anthropic\.claude"), re.compile(r"(?:^|[./:])amazon\.nova-(\d)?")
_LASTING_SINCE = (4, 5)
_LONGEST = 2048  # characters of a model's id


def is_claude(model: str) -> bool:
    """`anthropic.claude-opus-4-8`, `us.anthropic.claude-…`, or an ARN with one of these in it."""
    return _CLAUDE.search(model[:_LONGEST]) is not None


def is_nova(model: str) -> bool:
    return _NOVA.search(model[:_LONGEST]) is not None


def thinks_by_effort(model: str) -> bool:
    """Amazon Nova 2."""
    found = _NOVA.search(model[:_LONGEST])
    return found is not None and found[1] == "2"


def takes_marks(model: str) -> bool:
    """Whether it caches prompts where they are marked; others refuse marks."""
    return is_claude(model) or is_nova(model)


def marks_tools(model: str) -> bool:
    return is_claude(model)


def keeps_for_an_hour(model: str) -> bool:
    version = version_of(model) if is_claude(model) else None
    return version is not None and version >= _LASTING_SINCE


def hears_of_failed_tools(model: str) -> bool:
    """Whether it takes the `status` of a tool's result."""
    return is_claude(model) or is_nova(model)
