"""Where credentials are in an address and in headers.

Owns: where the userinfo of an address ends, and which headers are known to contain no secrets. Must never: mask.
"""

from __future__ import annotations

import re

REFERENCE = r"\$\{(?:\$\{[^{}]*+\}|[^{}])*+\}"
"""A `${…}`, including one in its default. It stops at the next "{", so that unclosed ones take linear time."""
_ADDRESS = re.compile(
    rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?:(?P<userinfo>(?>{REFERENCE}|.)*)@)?(?P<rest>.*)", re.DOTALL
)
"""A text that is one address. Its userinfo ends at the last `@`: people write a password as it is, with `/` or `?`."""
_PLACE = re.compile(r"[^/@:]*(?::\d{1,5})?/(?:[^@:]*/)?")
"""What comes before an `@` that begins a part of a path (`https://host/@me`)."""
_PLAIN_HEADER = re.compile(r"accept|agent|content|version|beta|title|referer|trace", re.IGNORECASE)


def address_parts(text: str) -> tuple[str, str | None, str] | None:
    """(scheme, userinfo, rest) of a text that is an address. The scheme keeps its `://`."""
    match = _ADDRESS.match(text)
    if match is None:
        return None
    scheme, userinfo, rest = match["scheme"], match["userinfo"], match["rest"]
    if userinfo is not None and _PLACE.fullmatch(userinfo):
        return scheme, None, f"{userinfo}@{rest}"
    return scheme, userinfo, rest


def is_plain_header(name: str) -> bool:
    """Whether a header of this name contains no secret."""
    return bool(_PLAIN_HEADER.search(name))
