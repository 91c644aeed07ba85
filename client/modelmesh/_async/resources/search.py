"""`client.search`, which the OpenAI SDK does not have."""

from __future__ import annotations

from typing import Any

from modelmesh._async.resources.resource import AsyncResource
from modelmesh.types import Object


class AsyncSearch(AsyncResource):
    _called = "client.search"

    async def create(self, *, query: str, **params: Any) -> Any:
        """Search the web: an Object whose `results` have `title`, `url` and `snippet`, and, if the service reports
        them, `content`, `score` and `published`.

        max_results, domains, exclude_domains, recency (`day`, `week`, `month`, `year`), country, language, content (the
        text of each page too), safe_search.
        """
        return await self._sender.ask("/v1/search", Object, "web-search", {"query": query, **params})
