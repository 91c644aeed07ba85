# Generated from modelmesh/_async/resources/search.py by client/sync_twins.py; edit that file.
"""`client.search`, which the OpenAI SDK does not have."""

from __future__ import annotations

from typing import Any

from modelmesh._sync.resources.resource import Resource
from modelmesh.types import Object


class Search(Resource):
    _called = "client.search"

    def create(self, *, query: str, **params: Any) -> Any:
        """Search the web: an Object whose `results` have `title`, `url` and `snippet`, and, if the service reports
        them, `content`, `score` and `published`.

        max_results, domains, exclude_domains, recency (`day`, `week`, `month`, `year`), country, language, content (the
        text of each page too), safe_search.
        """
        return self._sender.ask("/v1/search", Object, "web-search", {"query": query, **params})
