"""What Claude's versions accept, by the version in a model's name.

Owns: reading a version from a name, and which version changed what. Other names are those of compatible servers'
models.

Sources (2026-11-28): docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html (4.6 thinks
adaptively, earlier ones by a budget, later ones only adaptively); openrouter.ai/docs/guides/evaluate-and-optimize/
model-migrations/claude-4-7 (no sampling parameters any more); github.com/vybestack/llxprt-code/pull/3695 and
github.com/ericc-ch/copilot-api/pull/261 (since 4.6, a conversation may not end with the assistant's turn).
"""

from __future__ import annotations

import functools
import re

_CLAUDE = re.compile(r"claude(?:[._-][a-z]+)*?[._-](\d{1,2})(?:[._-](\d{1,2}))?(?!\d)")
_LONGEST = 200  # characters
_NEWEST = (999, 0)  # a Claude without a version: a preview
_ADAPTIVE = (4, 6)
_UNSAMPLED = (4, 7)


def version_of(model: str) -> tuple[int, int] | None:
    """`claude-opus-4-8`, `anthropic/claude-3.7-sonnet`, `claude-sonnet-4-20250514`; None for another model."""
    return _version_of(model[:_LONGEST].lower())


@functools.lru_cache(256)
def _version_of(name: str) -> tuple[int, int] | None:
    found = _CLAUDE.search(name)
    if found is not None:
        return int(found[1]), int(found[2] or 0)
    return _NEWEST if "claude" in name else None


def continues_prefill(model: str) -> bool:
    """Whether it continues an assistant's turn at the end."""
    version = version_of(model)
    return version is not None and version < _ADAPTIVE


def thinks_adaptively(model: str) -> bool:
    """Whether it is asked to think by an effort; otherwise by a budget of tokens."""
    version = version_of(model)
    return version is not None and version >= _ADAPTIVE


def takes_sampling(model: str) -> bool:
    """Whether it takes `temperature`, `top_p` and `top_k`."""
    version = version_of(model)
    return version is None or version < _UNSAMPLED
