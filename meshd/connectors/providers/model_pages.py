"""A provider's list of models, page after page.

Owns: how many pages and bytes of it are read, and when it has ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from yarl import URL

from meshd.core.listed_models import MOST_MODELS
from meshd.formats.protocol import ProviderSide
from meshd.host import clock
from meshd.sdk.provider import ModelListing

MAX_LIST = 16 * 1024 * 1024  # bytes of all pages: the longest real lists have half a megabyte
MOST_PAGES = 50

Get = Callable[[URL, float, int], Awaitable[bytes]]
"""(address, seconds, most bytes) → a page. Raises ProviderFailure."""


async def all_models(
    side: ProviderSide, first: URL, timeout: float, get: Get, read: Callable[[bytes], list[ModelListing]]
) -> list[ModelListing]:
    """read: returns the models of a page. timeout: seconds for all pages. Raises what the functions raise."""
    deadline, room = clock.now() + timeout, MAX_LIST
    found: dict[str, ModelListing] = {}
    page = first
    for _ in range(MOST_PAGES):
        known = len(found)
        body = await get(page, max(deadline - clock.now(), 0.0), room)
        found |= {each.id: each for each in read(body) if each.id not in found}
        room -= len(body)
        more = side.more_models(body)
        if not more or len(found) == known or len(found) >= MOST_MODELS:  # a server may ignore the parameter
            break
        page = first.update_query(more)
    return list(found.values())[:MOST_MODELS]
