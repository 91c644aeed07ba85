"""`client.models`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from modelmesh._async.resources.resource import AsyncResource
from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh._shared.options import quoted
from modelmesh.types import AsyncPages, Model, ModelPage, async_page

PATH: Final = "/v1/models"


class AsyncModels(AsyncResource):
    _called = "client.models"

    def list(
        self,
        *,
        timeout: Any = NOT_GIVEN,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> AsyncPages[ModelPage]:
        """Every pool, capability and model that `model=` may name. Iterates over Model; with asyncio, `await` gives
        the page itself."""
        call = self._sender.call("GET", PATH, **_options(timeout, extra_headers, extra_query))
        found: AsyncPages[ModelPage] = async_page(partial(self._sender.answer, call, ModelPage))
        return found

    async def retrieve(
        self,
        model: str,
        *,
        timeout: Any = NOT_GIVEN,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> Model:
        """One pool, capability or model. Raises NotFoundError."""
        return await self._sender.send(  # type: ignore[no-any-return]
            "GET", _one(model), Model, **_options(timeout, extra_headers, extra_query)
        )


def _options(timeout: Any, headers: Any, query: Any) -> dict[str, Any]:
    """Options without a body: a list is requested without one, even if the program gives one."""
    return {"timeout": timeout, "extra_headers": headers, "extra_query": query}


def _one(model: str) -> str:
    if not model:
        raise ValueError("a model's id is needed")
    return f"{PATH}/{quoted(model, safe='/')}"
